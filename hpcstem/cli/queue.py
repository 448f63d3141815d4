"""`hpcstem queue`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from hpcstem.cli.show import echo_json, echo_table, json_option


@click.group()
def command() -> None:
    """See the simulations of a run."""


@command.command()
@click.argument("run", type=click.Path(path_type=Path))
@json_option
def status(run: Path, as_json: bool) -> None:
    """Print each job of the run directory RUN: its state, where it ran, how long, and why it failed."""
    from hpcstem.campaign.run import Run
    from hpcstem.campaign.schema import load_campaign
    from hpcstem.campaign.stages.simulation import database_address, launchpad_of
    from hpcstem.errors import HpcstemError
    from hpcstem.simulation.queue import queue_status

    if not (run / "campaign.yaml").is_file():
        raise HpcstemError(f"{run} is no run directory", wanted="the --out folder of `hpcstem run`")
    section = load_campaign(run / "campaign.yaml").simulation
    address = database_address(Run(run), section)
    if isinstance(address, Path) and not address.exists():
        raise HpcstemError(f"{run} has no job queue yet", wanted="`hpcstem run` as far as its stage `simulation`")
    with launchpad_of(Run(run), section) as launchpad:
        found = queue_status(launchpad)
    if as_json:
        echo_json({"counts": dict(found.counts), "jobs": [asdict(job) for job in found.jobs]})
        return
    click.echo(", ".join(f"{n} {state}" for state, n in found.counts.items()) or "no jobs")
    rows = [
        (job.name, job.state, job.host, "" if job.seconds is None else f"{job.seconds:.1f} s", job.failure)
        for job in found.jobs
    ]
    echo_table(rows)
