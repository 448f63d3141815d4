"""`hpcstem simulate-movie`."""

from __future__ import annotations

from pathlib import Path

import click

from hpcstem.cli.show import echo_json, json_option
from hpcstem.cli.threads import one_thread


@click.command()
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="Run directory for the movie and its truth."
)
@click.option(
    "--config", type=click.Path(path_type=Path), help="YAML with the keys of a campaign's `simulate:` section."
)
@click.option("--frames", "n_frames", type=click.IntRange(1, 10_000), help="Number of frames.")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True)
@json_option
def command(out: Path, config: Path | None, n_frames: int | None, seed: int, as_json: bool) -> None:
    """Take a movie of graphene with silicon and a hole, and write where every atom was."""
    one_thread()
    from hpcstem.campaign.conduct import run_campaign
    from hpcstem.campaign.schema import Campaign, SimulatedMovieSection
    from hpcstem.config import checked, read_yaml

    section = checked(SimulatedMovieSection, {} if config is None else read_yaml(config), str(config))
    if n_frames is not None:
        section = section.model_copy(update={"n_frames": n_frames})
    campaign = Campaign(name="simulate-movie", seed=seed, simulate=section)
    run_campaign(campaign, out, until="simulate")
    movie = (out / "movies" / f"{section.name}.h5").resolve()
    truth = movie.with_name(f"{section.name}-truth.parquet")
    if as_json:
        echo_json({"movie": str(movie), "truth": str(truth)})
    else:
        click.echo(f"movie: {movie}\ntruth: {truth}")
