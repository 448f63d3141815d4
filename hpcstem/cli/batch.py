"""`hpcstem batch`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from hpcstem.cli.show import echo_json, json_option


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("kind", type=click.Choice(["frames", "training", "fits", "queue"]))
@click.argument("arguments", nargs=-1, required=True, type=click.UNPROCESSED)
@click.option("--site", required=True, help="Site with a batch system: a name, or a YAML file.")
@click.option("--name", required=True, help="Name of the job, of its script and of what it prints.")
@click.option("--nodes", type=click.IntRange(1), help="Nodes instead of the site's for this kind.")
@click.option("--walltime-s", "walltime_s", type=click.IntRange(60), help="Time instead of the site's [s].")
@click.option("--dry-run", is_flag=True, help="Print the script; write and submit nothing.")
@json_option
def command(
    kind: str,
    arguments: tuple[str, ...],
    site: str,
    name: str,
    nodes: int | None,
    walltime_s: int | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Submit one hpcstem command as a batch job.

    ARGUMENTS are those of the command, after a `--`: hpcstem batch fits --site S --name fit -- potentials fit STUDY
    --out DIR. frames and training run it once, fits as MPI ranks, queue once on each node. The script and what the job
    prints are in batch/ of the current folder. A job of the same name that waits or runs is not doubled.
    """
    from hpcstem.execution.batch import BatchJob, batch_system, render_script
    from hpcstem.execution.site import load_site, require_submittable, require_within_limits
    from hpcstem.files import write_text

    loaded = load_site(site)
    require_submittable(loaded, site)
    own = {key: value for key, value in {"nodes": nodes, "walltime_s": walltime_s}.items() if value is not None}
    size = getattr(loaded.jobs, kind).model_copy(update=own)
    require_within_limits(loaded, size.nodes, size.walltime_s)
    folder = Path.cwd()
    script, log = folder / "batch" / f"{name}.sh", folder / "batch" / f"{name}.log"
    words = (sys.executable, "-m", "hpcstem", *arguments)
    text = render_script(loaded, BatchJob(name, kind, words, folder, log, size))  # type: ignore[arg-type]
    if dry_run:
        click.echo(text, nl=False)
        return
    system = batch_system(loaded)
    number = {job: number for number, job in system.live().items()}.get(name)
    status = "queued"
    if number is None:
        write_text(script, text)
        number, status = system.submit(script), "submitted"
    if as_json:
        echo_json({"job": number, "status": status, "script": str(script), "log": str(log)})
    else:
        click.echo(f"{name} {status} as {number}")
