"""Thousands of movies into one dataset of atoms: exactly once, restarted anywhere, with what failed listed."""

from hpcstem.campaign.reprocessing.conduct import reprocess
from hpcstem.campaign.reprocessing.dataset import DatasetSettings
from hpcstem.campaign.reprocessing.dry_run import DatasetPlan, plan_reprocessing
from hpcstem.campaign.reprocessing.manifest import find_movies, read_manifest
from hpcstem.campaign.reprocessing.tables import DatasetSummary

__all__ = [
    "DatasetPlan",
    "DatasetSettings",
    "DatasetSummary",
    "find_movies",
    "plan_reprocessing",
    "read_manifest",
    "reprocess",
]
