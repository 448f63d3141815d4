"""`hpcstem queue take|return`: jobs for nodes that do not reach the database."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from hpcstem.cli.queue_place import IDLE_S, opened, place_options, selection_options
from hpcstem.cli.show import echo_json, json_option


@click.command()
@click.argument("out", type=click.Path(path_type=Path))
@place_options
@selection_options
@click.option("--jobs", default=1000, show_default=True, type=click.IntRange(1), help="Jobs that are ready, at most.")
@json_option
def take(
    out: Path,
    db: str,
    folder: Path | None,
    query: dict[str, Any],
    jobs: int,
    as_json: bool,
) -> None:
    """Take jobs that are ready, and what starts from them, into the new queue OUT with a database of its own."""
    from hpcstem.simulation.launchpad import open_launchpad
    from hpcstem.simulation.offline import take as taken
    from hpcstem.simulation.place import create_offline

    with opened(db, folder) as queue:
        place = create_offline(out, queue.folder)
        offline = open_launchpad(place.address, IDLE_S)
        n_jobs = taken(queue.launchpad, offline, str(place.token), query, jobs)
    if as_json:
        echo_json({"folder": place.folder, "jobs": n_jobs})
    else:
        click.echo(f"{n_jobs} jobs in {out}: `hpcstem queue launch --db {out}`, then `hpcstem queue return {out}`")


@click.command("return")
@click.argument("out", type=click.Path(path_type=Path))
@place_options
@click.option("--unfinished", is_flag=True, help="Jobs without an outcome too, to be started in the queue again.")
@json_option
def bring_back(out: Path, db: str, folder: Path | None, unfinished: bool, as_json: bool) -> None:
    """Put the outcome of the jobs in OUT, which `take` has made, into the queue that they come from."""
    from dataclasses import asdict

    from hpcstem.errors import ConfigError
    from hpcstem.simulation.launchpad import open_launchpad
    from hpcstem.simulation.offline import bring_back as brought_back
    from hpcstem.simulation.place import read_place

    place = read_place(out)
    if place.token is None:
        raise ConfigError(str(out), "a queue of its own", "a folder that `hpcstem queue take` has made")
    with opened(db, folder) as queue:
        offline = open_launchpad(place.address, IDLE_S)
        found = brought_back(queue.launchpad, offline, place.token, queue.folder, unfinished)
    if as_json:
        echo_json(asdict(found))
    else:
        click.echo(f"{found.n_ended} with their outcome, {found.n_freed} without, {found.n_out} still out")
