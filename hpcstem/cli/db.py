"""`hpcstem db`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from hpcstem.cli.show import echo_json, echo_table, json_option

_run = click.argument("run", type=click.Path(path_type=Path))


@click.group()
def command() -> None:
    """Start and stop the embedded job database of the run directory RUN."""


@command.command()
@_run
@json_option
def start(run: Path, as_json: bool) -> None:
    """Start it, if it is not running, and print its address."""
    from hpcstem.campaign.stages.simulation import DATABASE_CLAIM
    from hpcstem.simulation.database import start_database

    folder = _folder(run)
    uri = start_database(folder)
    # Without it, a run that had started the database for itself leaves it running.
    folder.parents[1].joinpath(DATABASE_CLAIM).unlink(missing_ok=True)
    if as_json:
        echo_json({"uri": uri})
    else:
        click.echo(uri)


@command.command()
@_run
def stop(run: Path) -> None:
    """Stop it; what it holds stays."""
    from hpcstem.simulation.database import stop_database

    click.echo("stopped" if stop_database(_folder(run)) else "was not running")


@command.command()
@_run
@json_option
def status(run: Path, as_json: bool) -> None:
    """Say whether it runs, and where."""
    from hpcstem.simulation.database import database_status

    found = asdict(database_status(_folder(run)))
    if as_json:
        echo_json(found)
    else:
        echo_table([(name, value) for name, value in found.items()])


def _folder(run: Path) -> Path:
    from hpcstem.campaign.run import Run
    from hpcstem.errors import HpcstemError

    if not (run / "campaign.yaml").is_file():
        raise HpcstemError(f"{run} is no run directory", wanted="the --out folder of `hpcstem run`")
    return Run(run).path("simulation/database")
