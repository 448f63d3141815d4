"""Running a campaign: every stage that is not done, in order."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from hpcstem.campaign.provenance import write_provenance
from hpcstem.campaign.run import InputDigests, Run, fingerprint
from hpcstem.campaign.schema import Campaign
from hpcstem.campaign.stage import Job, Stage, StageOutcome
from hpcstem.campaign.stages import STAGES
from hpcstem.config import read_yaml
from hpcstem.errors import ConfigError, ExecutionError, HpcstemError
from hpcstem.execution import Executor, load_site, make_executor
from hpcstem.execution.conducted_ranks import conducted_ranks
from hpcstem.execution.ranks import launched_tasks
from hpcstem.files import write_text


def run_campaign(
    campaign: Campaign,
    folder: Path,
    *,
    until: str | None = None,
    workers: int | None = None,
    on_stage: Callable[[StageOutcome], None] = lambda outcome: None,
) -> list[StageOutcome]:
    """Run the stages of a campaign whose results are not there yet.

    A stage is done when it ran from the same settings and inputs, in its present version, and all its files are still
    there, unchanged. Where a launcher started MPI ranks for a site that has them, the first conducts, and the others
    take their share of the work and return nothing.

    Parameters
    ----------
    campaign
        What to do.
    folder
        Run directory; made if absent.
    until
        Last stage to run.
    workers
        Workers of the executor, instead of the site's.
    on_stage
        Called before a stage begins (status 'to do') and after.

    Raises
    ------
    ConfigError
        There is no stage `until` and no such site, or the folder belongs to another campaign.
    ExecutionError
        A launcher such as mpiexec started several of this process, and the site's executor is not `mpi`.
    HpcstemError
        A stage failed; what was done before is kept.
    """
    stages = _stages_until(until)
    site = load_site(campaign.site)
    if site.executor != "mpi":
        refuse_ranks()
    with conducted_ranks(site) as ranks:
        if ranks is None:
            return _run_stages(campaign, folder, stages, lambda: make_executor(site, workers), on_stage)
        if ranks.is_root:
            return _run_stages(campaign, folder, stages, lambda: ranks, on_stage)
        ranks.serve()
        return []


def _run_stages(
    campaign: Campaign,
    folder: Path,
    stages: Sequence[Stage],
    make: Callable[[], Executor],
    on_stage: Callable[[StageOutcome], None],
) -> list[StageOutcome]:
    run = Run(folder)
    _check_owner(run, campaign)
    with run.locked():
        claim(run, campaign)
        job = Job(campaign, run, InputDigests(run), make)
        outcomes: list[StageOutcome] = []
        started = time.time()
        for stage in stages:
            outcomes.append(_run_stage(stage, job, on_stage))
            on_stage(outcomes[-1])
            # After each stage, so that the report shows it and a broken run has it too.
            if outcomes[-1].status == "done":
                rest = [StageOutcome(s.name, s.about, "not run now") for s in STAGES[len(outcomes) :]]
                write_provenance(job, [*outcomes, *rest], started)
        return outcomes


def plan_campaign(campaign: Campaign, folder: Path, until: str | None = None) -> list[StageOutcome]:
    """Say what `run_campaign` would do, without doing or writing anything.

    Raises
    ------
    ConfigError
        There is no stage `until` and no such site, or the folder belongs to another campaign.
    """
    site = load_site(campaign.site)
    run = Run(folder)
    _check_owner(run, campaign)
    job = Job(campaign, run, InputDigests(run, keep=False), lambda: make_executor(site))
    outcomes: list[StageOutcome] = []
    changed: set[str] = set()
    for stage in _stages_until(until):
        if stage.settings(campaign) is None:
            status = "left out"
        elif changed.intersection(stage.needs) or run.record(stage.name) is None:
            status = "to do"
        else:
            status = "kept" if run.is_done(stage.name, _fingerprint(stage, job)) else "to do"
        if status == "to do":
            changed.add(stage.name)
        outcomes.append(StageOutcome(stage.name, stage.about, status))
    return outcomes


def _run_stage(stage: Stage, job: Job, on_stage: Callable[[StageOutcome], None]) -> StageOutcome:
    if stage.settings(job.campaign) is None:
        return StageOutcome(stage.name, stage.about, "left out")
    mark = _fingerprint(stage, job)
    if job.run.is_done(stage.name, mark):
        return StageOutcome(stage.name, stage.about, "kept")
    on_stage(StageOutcome(stage.name, stage.about, "to do"))
    started = time.monotonic()
    outputs = stage.work(job)
    seconds = time.monotonic() - started
    job.run.finish(stage.name, mark, outputs, seconds)
    return StageOutcome(stage.name, stage.about, "done", seconds)


def _fingerprint(stage: Stage, job: Job) -> str:
    inputs: dict[str, str] = dict(stage.inputs(job))
    # What a stage wrote that an earlier version of the campaign had is nothing to build on.
    there = {other.name for other in STAGES if other.settings(job.campaign) is not None}
    for name in there.intersection(stage.needs):
        inputs.update(job.run.data_digests(name))
    return fingerprint({"version": stage.version, "settings": stage.settings(job.campaign)}, inputs)


def _stages_until(until: str | None) -> tuple[Stage, ...]:
    names = [stage.name for stage in STAGES]
    if until is None:
        return STAGES
    if until not in names:
        raise ConfigError("stage to stop after", repr(until), f"one of: {', '.join(names)}")
    return STAGES[: names.index(until) + 1]


def refuse_ranks() -> None:
    """Refuse to be one of several processes that would all conduct the same run."""
    # A batch job sets SLURM_NTASKS for the one process of its script too.
    own = {name: value for name, value in os.environ.items() if name != "SLURM_NTASKS"}
    if (n_tasks := launched_tasks(own)) > 1:
        raise ExecutionError(
            "a campaign is run by one process, whose site says how it spreads the work",
            f"one of {n_tasks} that mpiexec or srun started",
            "the same command without mpiexec or srun, and a site with `executor: dask`; or one with `executor: mpi`",
        )


def _check_owner(run: Run, campaign: Campaign) -> None:
    """Refuse a folder of another campaign, or of other files, before anything is written there."""
    path = run.path("campaign.yaml")
    try:
        names = {entry.name for entry in run.folder.iterdir()} if run.folder.is_dir() else set()
    except OSError as error:
        raise HpcstemError(f"cannot read {run.folder}", error.strerror, "another --out folder") from error
    if path.name in names:
        held = read_yaml(path)
        name = held.get("name") if isinstance(held, dict) else None
        if name != campaign.name:
            raise ConfigError(
                f"{run.folder} holds the run of campaign {name!r}", repr(campaign.name), "another --out folder"
            )
    # A run killed at its very start leaves its locks, and a part of its campaign.
    elif any(name not in ("run.lock", "submit.lock") and not name.startswith(f".{path.name}.") for name in names):
        raise HpcstemError(f"{run.folder} holds other files and no run", wanted="a new or empty --out folder")


def claim(run: Run, campaign: Campaign) -> None:
    """Keep the campaign in its folder; the caller has locked it.

    Raises
    ------
    ConfigError
        The folder belongs to another campaign.
    HpcstemError
        It holds other files, or cannot be written.
    """
    _check_owner(run, campaign)
    if not keeps(run, campaign):
        write_text(run.path("campaign.yaml"), _text(campaign))


def keeps(run: Run, campaign: Campaign) -> bool:
    """Whether the folder keeps this very campaign, with the same settings."""
    path = run.path("campaign.yaml")
    return path.exists() and path.read_text(encoding="utf-8") == _text(campaign)


def _text(campaign: Campaign) -> str:
    import yaml

    return yaml.safe_dump(campaign.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
