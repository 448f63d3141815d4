"""Campaigns: one YAML file from movie to report."""

from hpcstem.campaign.conduct import plan_campaign, run_campaign
from hpcstem.campaign.schema import Campaign, load_campaign
from hpcstem.campaign.stage import StageOutcome

__all__ = ["Campaign", "StageOutcome", "load_campaign", "plan_campaign", "run_campaign"]
