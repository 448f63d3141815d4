"""`hpcstem queue`."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from hpcstem.cli.queue_offline import bring_back, take
from hpcstem.cli.queue_place import db_option, opened, place_options, selection_options
from hpcstem.cli.queue_results import analyse, export, web
from hpcstem.cli.show import echo_json, echo_table, json_option
from hpcstem.errors import AbsentError

_MOST_LISTED = 20
_MOST_FAILURES = 8


@click.group()
def command() -> None:
    """Queue simulations, run them, and see how they go."""


command.add_command(export)
command.add_command(analyse)
command.add_command(web)
command.add_command(take)
command.add_command(bring_back)


@command.command()
@click.option("--db", required=True, type=click.Path(path_type=Path), help="Folder to make.")
@click.option("--uri", help="MongoDB to use, without user and password; TLS options as MongoDB has them.")
@click.option("--credentials", type=click.Path(path_type=Path), help="YAML file of mode 0600: user, password.")
@json_option
def init(db: Path, uri: str | None, credentials: Path | None, as_json: bool) -> None:
    """Make the folder of a queue, with a database in it or elsewhere."""
    from hpcstem.simulation.place import create_place

    place = create_place(db, uri, credentials)
    if as_json:
        echo_json({"folder": place.folder, "uri": place.uri})
        return
    click.echo(f"queue in {place.folder}, database {place.uri or 'embedded'}")


@command.command()
@click.argument("sweep", type=click.Path(path_type=Path))
@place_options
@click.option("--elsewhere", is_flag=True, help="Engines are on another machine: do not ask whether they are here.")
@click.option("--dry-run", is_flag=True, help="Check everything and count the jobs; queue nothing.")
@json_option
def add(sweep: Path, db: str, folder: Path | None, elsewhere: bool, dry_run: bool, as_json: bool) -> None:
    """Queue the jobs of SWEEP (YAML, or the name of a shipped one) that are not queued yet."""
    from hpcstem.campaign.progress import progress_bar
    from hpcstem.config import workflow_file
    from hpcstem.simulation.place import PLACE_FILE, create_place, is_uri
    from hpcstem.simulation.sweep import expand
    from hpcstem.simulation.sweep_config import load_sweep
    from hpcstem.simulation.workflow import add_trees

    path = workflow_file(sweep)
    loaded = load_sweep(path)
    plan = expand(loaded, path.parent)
    if not elsewhere:
        try:
            plan.check_engines()
        except AbsentError as error:
            given = ["--folder", str(folder)] * (folder is not None) + ["--dry-run"] * dry_run
            line = shlex.join(["hpcstem", "queue", "add", str(sweep), "--db", db, *given, "--elsewhere"])
            wanted = f"{error.wanted}; or, where the jobs run on another machine: {line}"
            raise AbsentError(error.thing, error.got, wanted) from error
    jobs = plan.jobs
    summary: dict[str, Any] = {"sweep": loaded.name, "jobs": len(jobs), "structures": len(plan.structures)}
    if dry_run:
        axes: dict[str, dict[str, int]] = {}
        for job in jobs:
            for axis, value in job.labels.items():
                counts = axes.setdefault(axis, {})
                counts[value] = counts.get(value, 0) + 1
        _print(summary | {"axes": axes}, as_json)
        return
    here = Path(db)
    if not is_uri(db) and not (here / PLACE_FILE).exists() and not (here / "campaign.yaml").exists():
        create_place(here)
    with opened(db, folder) as queue, progress_bar("queue", len(jobs), "job") as update:
        plan.write_structures(queue.folder)
        added = add_trees(queue.launchpad, list(plan.trees.values()), loaded.name, loaded.priority, update)
    _print(summary | {"new": added.n_new}, as_json)


@command.command()
@place_options
@click.option("--slots", type=click.IntRange(1), help="Jobs side by side. [default: one per core]")
@click.option("--pin", is_flag=True, help="Keep each slot on its own share of the cores.")
@click.option("--gpus", default=0, type=click.IntRange(0), help="GPUs of this node, given to the slots in turn.")
@click.option("--walltime-s", type=click.FloatRange(0, min_open=True), help="Stop before so many seconds from now.")
@click.option("--end-time", type=float, help="Stop before this time [s since the epoch].")
@json_option
def launch(
    db: str,
    folder: Path | None,
    slots: int | None,
    pin: bool,
    gpus: int,
    walltime_s: float | None,
    end_time: float | None,
    as_json: bool,
) -> None:
    """Run queued jobs on this node until none is left, or the time is up; several nodes may do so at once."""
    import time

    from hpcstem.campaign.progress import progress_bar
    from hpcstem.simulation.launcher import launch as run_queue
    from hpcstem.simulation.packing import own_slots
    from hpcstem.simulation.queue import queue_counts

    ends = [end for end in (end_time, None if walltime_s is None else time.time() + walltime_s) if end is not None]
    with opened(db, folder) as queue:
        total = sum(queue_counts(queue.launchpad).values())
        with progress_bar("launch", total, "job") as update:
            found = run_queue(
                queue.launchpad,
                queue.folder,
                own_slots(slots, pin, gpus),
                progress=lambda counts: update(counts.get("COMPLETED", 0) + counts.get("FIZZLED", 0)),
                end_time_s=min(ends, default=None),
            )
    if as_json:
        echo_json({"counts": dict(found.counts)})
        return
    click.echo(_counted(found.counts) or "no jobs")
    if found.counts.get("FIZZLED"):
        click.echo(f"what failed and why: hpcstem queue status --db {db}")


@command.command()
@db_option
@click.option("--site", required=True, help="Site to submit at: a name that ships with hpcstem, or a YAML file.")
@click.option("--nodes", type=click.IntRange(1), help="Nodes of a job; a launcher runs on each. [default: the site's]")
@click.option("--walltime-s", type=click.IntRange(60), help="Time of a job [s]. [default: the site's]")
@click.option("--jobs", default=1, show_default=True, type=click.IntRange(1, 100), help="How many to submit.")
@click.option("--slots", type=click.IntRange(1), help="Jobs side by side on a node. [default: one per core]")
@click.option("--dry-run", is_flag=True, help="Print the script; submit nothing.")
@json_option
def submit(
    db: str,
    site: str,
    nodes: int | None,
    walltime_s: int | None,
    jobs: int,
    slots: int | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Submit batch jobs that run launchers of the queue."""
    from hpcstem.cli.queue_batch import queue_job
    from hpcstem.simulation import submission

    job = queue_job(db, site, nodes, walltime_s, slots)
    if dry_run:
        script = job.script_of(job.folder / submission.SUBMITTED / "launch.log")
        if as_json:
            echo_json({"script": script})
        else:
            click.echo(script, nl=False)
        return
    done = submission.submit(job.scheduler, job.folder, job.script_of, jobs)
    if as_json:
        echo_json({"jobs": [asdict(one) for one in done]})
        return
    for one in done:
        click.echo(f"job {one.number}: {one.script}")


@command.command()
@place_options
@selection_options
@click.option("--by", help="Axes to count by, by commas; else those with more than one value.")
@click.option("--jobs", "list_jobs", is_flag=True, help="List every job.")
@json_option
def status(
    db: str,
    folder: Path | None,
    query: dict[str, Any],
    by: str | None,
    list_jobs: bool,
    as_json: bool,
) -> None:
    """Print how many jobs are in which state, by axis of the sweep, and what failed and why."""
    from hpcstem.simulation.queue import queue_status
    from hpcstem.simulation.summary import by_axis, failures

    with opened(db, folder) as queue:
        found = queue_status(queue.launchpad, query)
    rows = by_axis(found.jobs, tuple(by.split(",")) if by else ())
    failed = failures(found.jobs)
    if as_json:
        summary = {"axes": [asdict(row) for row in rows], "failures": [asdict(one) for one in failed]}
        echo_json({"counts": dict(found.counts)} | summary | {"jobs": [asdict(job) for job in found.jobs]})
        return
    click.echo(_counted(found.counts) or "no jobs")
    echo_table([(row.axis, row.value, _counted(row.counts)) for row in rows])
    for one in failed[:_MOST_FAILURES]:
        click.echo(f"{one.n_jobs} × {one.reason}")
        shared = ", ".join(f"{axis}={value}" for axis, value in one.where.items())
        click.echo(f"    as {one.example} ({one.key[:12]})" + (f"; all of {shared}" if shared else ""))
    if len(failed) > _MOST_FAILURES:
        click.echo(f"and {len(failed) - _MOST_FAILURES} other reasons; `--state fizzled --jobs` lists all")
    if list_jobs or len(found.jobs) <= _MOST_LISTED:
        echo_table(
            [
                (
                    job.key[:12],
                    job.name,
                    job.state,
                    job.host,
                    "" if job.seconds is None else f"{job.seconds:.1f} s",
                    job.failure,
                )
                for job in found.jobs
            ]
        )


@command.command()
@click.argument("key")
@place_options
@json_option
def show(key: str, db: str, folder: Path | None, as_json: bool) -> None:
    """Print all that is known of the job whose KEY begins so: inputs, attempts, error, result."""
    from hpcstem.simulation.selection import select
    from hpcstem.simulation.steering import describe

    select(keys=[key])
    with opened(db, folder) as queue:
        found = describe(queue.launchpad, key)
    if as_json:
        echo_json(found)
        return
    for name in ("key", "name", "state", "priority"):
        click.echo(f"{name}: {found[name]}")
    click.echo("labels: " + ", ".join(f"{axis}={value}" for axis, value in found["labels"].items()))
    echo_table([("input", name, value) for name, value in found["input"].items()])
    for attempt in found["attempts"]:
        took = "" if attempt["runtime_s"] is None else f", {attempt['runtime_s']:.1f} s"
        click.echo(f"attempt on {attempt['host']} at {attempt['start']}{took}: {attempt['state']}")
        if attempt["error"]:
            click.echo(attempt["error"].rstrip())
    if found["result"]:
        echo_table([("result", name, value) for name, value in found["result"].items() if name != "settings"])


@command.command()
@place_options
@selection_options
@json_option
def rerun(
    db: str,
    folder: Path | None,
    query: dict[str, Any],
    as_json: bool,
) -> None:
    """Let failed jobs run again, from their last checkpoint."""
    from hpcstem.simulation.queue import rerun_failed

    with opened(db, folder) as queue:
        n_jobs = rerun_failed(queue.launchpad, query)
    _print({"rerun": n_jobs}, as_json)


@command.command()
@place_options
@selection_options
@click.option("--resume", is_flag=True, help="Let paused jobs be started again.")
@json_option
def pause(
    db: str,
    folder: Path | None,
    query: dict[str, Any],
    resume: bool,
    as_json: bool,
) -> None:
    """Keep jobs that have not started from being started."""
    from hpcstem.simulation import steering

    with opened(db, folder) as queue:
        change = steering.resume if resume else steering.pause
        n_jobs = change(queue.launchpad, query)
    _print({"resumed" if resume else "paused": n_jobs}, as_json)


@command.command()
@click.argument("number", type=click.IntRange(-1000, 1000))
@place_options
@selection_options
@json_option
def priority(
    number: int,
    db: str,
    folder: Path | None,
    query: dict[str, Any],
    as_json: bool,
) -> None:
    """Give jobs that have not started the priority NUMBER; those with a higher one are started first."""
    from hpcstem.simulation.steering import prioritise

    with opened(db, folder) as queue:
        n_jobs = prioritise(queue.launchpad, query, number)
    _print({"changed": n_jobs}, as_json)


def _counted(counts: Any) -> str:
    return ", ".join(f"{n} {state}" for state, n in counts.items())


def _print(summary: dict[str, Any], as_json: bool) -> None:
    if as_json:
        echo_json(summary)
        return
    for name, value in summary.items():
        if isinstance(value, dict):
            for axis, counts in value.items():
                click.echo(f"{axis}: " + ", ".join(f"{one} ({n})" for one, n in counts.items()))
        else:
            click.echo(f"{name}: {value}")
