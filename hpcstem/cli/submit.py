"""`hpcstem submit`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hpcstem.cli.show import echo_json, json_option

if TYPE_CHECKING:
    from hpcstem.campaign.submission import StageJob


@click.command()
@click.argument("campaign", type=click.Path(path_type=Path))
@click.option("--site", required=True, help="Site with a batch system: a name, or a YAML file.")
@click.option("--out", type=click.Path(path_type=Path), help="Run directory; runs/NAME by default.")
@click.option("--until", metavar="STAGE", help="Last stage to submit.")
@click.option("--dry-run", is_flag=True, help="Print the batch scripts; write and submit nothing.")
@json_option
def command(campaign: Path, site: str, out: Path | None, until: str | None, dry_run: bool, as_json: bool) -> None:
    """Submit one batch job per stage of CAMPAIGN that is to do, each after the one before.

    CAMPAIGN is a YAML file, or the name of a workflow that ships with hpcstem. Called again, it submits only what is
    neither done nor queued.
    """
    from hpcstem.campaign.schema import load_campaign
    from hpcstem.campaign.submission import submit_campaign
    from hpcstem.config import workflow_file

    loaded = load_campaign(workflow_file(campaign))
    # The jobs run elsewhere: a path has to mean the same there.
    place = str(Path(site).resolve()) if Path(site).suffix in (".yaml", ".yml") else site
    loaded = loaded.model_copy(update={"site": place})
    folder = out or Path("runs") / loaded.name

    def show(found: StageJob) -> None:
        if as_json or found.status == "left out":
            return
        if dry_run and found.text is not None:
            click.echo(f"### {found.script}\n{found.text}")
        else:
            click.echo(f"{found.stage:<11} {found.status}" + (f" as {found.job}" if found.job else ""))

    found = submit_campaign(loaded, folder, until=until, dry_run=dry_run, on_job=show)
    if as_json:
        echo_json({"run": str(folder.resolve()), "jobs": [asdict(job) for job in found]})
