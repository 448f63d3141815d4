"""Stage `report`: one HTML page."""

from __future__ import annotations

from typing import Any

from hpcstem.campaign.run import Outputs
from hpcstem.campaign.schema import Campaign
from hpcstem.campaign.stage import Job, Stage


def settings(campaign: Campaign) -> Any:
    """Nothing but that there is one."""
    return {}


def work(job: Job) -> Outputs:
    """Write `report.html`."""
    from hpcstem.report import build_report

    return Outputs((build_report(job.run.folder),))


NEEDS = ("simulate", "frames", "training", "decode", "structure", "kinetics", "potentials", "simulation")
STAGE = Stage("report", "write the report", NEEDS, settings, work)
