"""A campaign as a chain of batch jobs, one per stage that is to do."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpcstem.campaign.conduct import claim, keeps, plan_campaign
from hpcstem.campaign.run import Run
from hpcstem.campaign.schema import Campaign
from hpcstem.errors import ConfigError, HpcstemError
from hpcstem.execution.batch import BatchJob, JobKind, batch_system, render_script
from hpcstem.execution.site import Site, load_site, require_submittable, require_within_limits
from hpcstem.execution.site_sections import JobSize
from hpcstem.files import read_json, write_json, write_text

_SPREAD_STAGES = ("decode", "kinetics", "potentials")
"""Stages that hand work to the site's executor: as MPI ranks where that is what it is."""


@dataclass(frozen=True)
class StageJob:
    """What became of the batch job of one stage.

    Parameters
    ----------
    stage
        Name of the stage.
    status
        'submitted' now, 'queued' before and not ended, 'kept' where the stage is done, 'left out' by the campaign,
        or 'to do' in a dry run.
    job
        Number of the job in the batch system; none without a job.
    script
        Path of its batch script.
    text
        The script itself, where there is one.
    """

    stage: str
    status: str
    job: str | None = None
    script: str | None = None
    text: str | None = None


def submit_campaign(
    campaign: Campaign,
    folder: Path,
    *,
    until: str | None = None,
    dry_run: bool = False,
    on_job: Callable[[StageJob], None] = lambda job: None,
) -> list[StageJob]:
    """Hand over one batch job for each stage that is to do, each after the one before.

    A stage whose job is still waiting or running, as the batch system says, gets no second one. The numbers of the jobs
    are kept in `batch/jobs.json` of the run directory, the scripts and what the jobs print beside it.

    Parameters
    ----------
    campaign
        What to do, and the site.
    folder
        Run directory; made if absent.
    until
        Last stage.
    dry_run
        Write nothing, ask nobody, and give the scripts.
    on_job
        Called as soon as something is known of a stage.

    Raises
    ------
    ConfigError
        The site takes no jobs as it stands, a job is larger than its limits, the folder belongs to another campaign,
        or jobs of an earlier version of the campaign are still queued.
    ExecutionError
        The batch system cannot be reached or refuses.
    """
    site = load_site(campaign.site)
    require_submittable(site, campaign.site)
    run = Run(folder)
    stages = []
    for outcome in plan_campaign(campaign, folder, until):
        found = StageJob(outcome.name, outcome.status)
        if outcome.status == "to do":
            script, text = _script(site, run, campaign, outcome.name)
            found = StageJob(outcome.name, "to do", script=str(script), text=text)
        stages.append(found)
    if dry_run:
        for found in stages:
            on_job(found)
        return stages
    with run.locked("submit.lock"):
        return _submit(site, run, campaign, stages, on_job)


def _submit(
    site: Site, run: Run, campaign: Campaign, stages: list[StageJob], on_job: Callable[[StageJob], None]
) -> list[StageJob]:
    system = batch_system(site)
    # Asked, not read from jobs.json: this process may be killed between handing a job over and writing its number.
    live = {name: number for number, name in system.live().items()}
    queued = {found.stage: live[name] for found in stages if (name := _job_name(run, found.stage)) in live}
    if queued and not keeps(run, campaign):
        raise ConfigError(
            f"{run.folder} has jobs of an earlier version of this campaign in the queue",
            " ".join(queued.values()),
            f"{system.cancel_program} {' '.join(queued.values())}, then the same command again",
        )
    claim(run, campaign)
    numbers = _numbers(run)
    results = []
    before: tuple[str, ...] = ()
    chain_is_new = False
    for found in stages:
        result = found
        if found.stage in queued and not chain_is_new:
            result = StageJob(found.stage, "queued", queued[found.stage], found.script, found.text)
        elif found.status == "to do" and found.script is not None and found.text is not None:
            if found.stage in queued:
                # It waits for a job that ended without finishing its stage, and would wait for ever.
                system.cancel([queued[found.stage]])
            chain_is_new = True
            write_text(Path(found.script), found.text)
            number = system.submit(Path(found.script), before)
            result = StageJob(found.stage, "submitted", number, found.script, found.text)
        if result.job is not None:
            before = (result.job,)
            numbers[result.stage] = result.job
            write_json(run.path("batch/jobs.json"), numbers)
        results.append(result)
        on_job(result)
    return results


def _script(site: Site, run: Run, campaign: Campaign, stage: str) -> tuple[Path, str]:
    kind, size = _kind(site, stage)
    require_within_limits(site, size.nodes, size.walltime_s)
    # The campaign as it is kept in the run directory: what the jobs do does not change when its file does.
    command = [sys.executable, "-m", "hpcstem", "run", str(run.path("campaign.yaml")), "--out", str(run.folder)]
    command += ["--until", stage, "--site", campaign.site]
    log = run.path(f"batch/{stage}.log")
    job = BatchJob(_job_name(run, stage), kind, tuple(command), run.folder, log, size)
    return run.path(f"batch/{stage}.sh"), render_script(site, job)


def _kind(site: Site, stage: str) -> tuple[JobKind, JobSize]:
    """How the job of a stage is started, and how large it is."""
    if stage == "training":
        return "training", site.jobs.training
    if stage in _SPREAD_STAGES:
        size = site.jobs.frames if stage == "decode" else site.jobs.fits
        return "fits" if site.executor == "mpi" else "frames", size
    # `hpcstem run` is one process in this stage too, and starts the workers of the queue itself.
    return "frames", site.jobs.queue if stage == "simulation" else site.jobs.frames


def _job_name(run: Run, stage: str) -> str:
    """Name of a job, the same each time and of no other run directory."""
    return f"hpcstem-{hashlib.sha256(str(run.folder).encode()).hexdigest()[:10]}-{stage}"


def _numbers(run: Run) -> dict[str, Any]:
    path = run.path("batch/jobs.json")
    held = read_json(path) if path.exists() else {}
    if not isinstance(held, Mapping):
        raise HpcstemError(f"{path} is no list of jobs", wanted="to delete it: the batch system is asked anyway")
    return dict(held)
