"""`hpcstem run`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from hpcstem.cli.show import echo_json, json_option
from hpcstem.cli.threads import one_thread


@click.command()
@click.argument("campaign", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Run directory; runs/NAME by default.")
@click.option("--until", metavar="STAGE", help="Last stage to run.")
@click.option("--dry-run", is_flag=True, help="Say what would be done; write nothing.")
@click.option(
    "--movie", "movies", type=click.Path(path_type=Path), multiple=True, help="Movies instead of the campaign's."
)
@click.option("--pixel-size-A", "pixel_size_A", type=float, help="Pixel size of the movies given here [Å].")
@click.option("--site", help="Site configuration instead of the campaign's.")
@click.option("--workers", type=click.IntRange(1), help="Workers instead of the site's.")
@json_option
def command(
    campaign: Path,
    out: Path | None,
    until: str | None,
    dry_run: bool,
    movies: tuple[Path, ...],
    pixel_size_A: float | None,
    site: str | None,
    workers: int | None,
    as_json: bool,
) -> None:
    """Run the stages of CAMPAIGN that are not done yet.

    CAMPAIGN is a YAML file, or the name of a workflow that ships with hpcstem, such as quickstart.
    """
    one_thread()
    from hpcstem.campaign.conduct import plan_campaign, run_campaign
    from hpcstem.campaign.schema import load_campaign, with_movies
    from hpcstem.campaign.stage import StageOutcome
    from hpcstem.config import workflow_file

    loaded = load_campaign(workflow_file(campaign))
    if movies:
        loaded = with_movies(loaded, movies, pixel_size_A)
    elif pixel_size_A is not None:
        raise click.UsageError("--pixel-size-A goes with --movie; in a campaign write `pixel_size_A:` under the movie")
    if site is not None:
        loaded = loaded.model_copy(update={"site": site})
    folder = out or Path("runs") / loaded.name

    def show(outcome: StageOutcome) -> None:
        if as_json or outcome.status == "left out":
            return
        if outcome.status == "to do":
            click.echo(f"{outcome.name:<11} {outcome.about} …")
        else:
            click.echo(
                f"{outcome.name:<11} {outcome.status}" + (f" in {outcome.seconds:.1f} s" if outcome.seconds else "")
            )

    if dry_run:
        outcomes = plan_campaign(loaded, folder, until)
        for outcome in outcomes:
            if not as_json:
                click.echo(f"{outcome.name:<11} {outcome.status:<9} {outcome.about}")
    else:
        outcomes = run_campaign(loaded, folder, until=until, workers=workers, on_stage=show)
        if not outcomes:  # an MPI rank that took its share of the work and has nothing to tell
            return
    report = folder / "report.html"
    if as_json:
        echo_json(
            {
                "run": str(folder.resolve()),
                "stages": [asdict(outcome) for outcome in outcomes],
                "report": str(report.resolve()) if report.exists() else None,
            }
        )
    elif report.exists() and not dry_run:
        click.echo(f"report: {report.resolve()}")
