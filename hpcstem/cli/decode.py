"""`hpcstem decode`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hpcstem.cli.show import echo_json, json_option
from hpcstem.cli.threads import one_thread

if TYPE_CHECKING:
    from hpcstem.campaign.schema import Campaign


@click.command()
@click.argument("movies", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Run directory for the atoms.")
@click.option("--model", default="graphene-si", show_default=True, help="Folder or name of the ensemble.")
@click.option(
    "--refine/--no-refine",
    default=True,
    show_default=True,
    help="Fit the positions to the frames, or leave them to the networks.",
)
@click.option("--pixel-size-A", "pixel_size_A", type=float, help="Pixel size [Å], where the files have none.")
@click.option("--site", default="local", show_default=True, help="Site configuration.")
@click.option("--workers", type=click.IntRange(1), help="Workers instead of the site's.")
@click.option("--bad-frames", type=click.Choice(["skip", "refuse"]), default="skip", show_default=True)
@json_option
def command(
    movies: tuple[Path, ...],
    out: Path,
    model: str,
    refine: bool,
    pixel_size_A: float | None,
    site: str,
    workers: int | None,
    bad_frames: str,
    as_json: bool,
) -> None:
    """Find the atoms in MOVIES; run again, it decodes only what is missing."""
    one_thread()
    from hpcstem.campaign.conduct import run_campaign
    from hpcstem.campaign.schema import Campaign
    from hpcstem.config import checked
    from hpcstem.files import read_json

    value = {
        "name": "decode",
        "site": site,
        "movies": [{"path": str(path.resolve()), "pixel_size_A": pixel_size_A} for path in movies],
        "frames": {"bad_frames": bad_frames},
        "decode": {"model": model, "refine": refine},
    }
    campaign = checked(Campaign, value, "command line")
    _keep_other_movies(campaign, out)
    run_campaign(campaign, out, until="decode", workers=workers)
    summary = read_json(out / "decode" / "decode.json")
    atoms = sorted({str(path.resolve().parent) for path in (out / "decode" / "atoms").glob("*/*.parquet")})
    if as_json:
        echo_json({**summary, "atoms": atoms})
        return
    counts = ", ".join(f"{n} {symbol}" for symbol, n in summary["n_atoms"].items())
    click.echo(f"{summary['n_frames']} frames, {counts or 'no atoms'}; {len(summary['faults'])} frames left out")
    for fault in summary["faults"][:10]:
        click.echo(f"  {fault['movie']} frame {fault['frame']}: {fault['kind']}")
    for folder in atoms:
        click.echo(f"atoms: {folder}")


def _keep_other_movies(campaign: Campaign, out: Path) -> None:
    """Refuse to replace the atoms of movies that are not named this time."""
    from hpcstem.campaign.schema import load_campaign, movie_name
    from hpcstem.errors import HpcstemError

    if not (out / "campaign.yaml").is_file():
        return
    now = {movie.path for movie in campaign.movies}
    others = [movie_name(movie) for movie in load_campaign(out / "campaign.yaml").movies if movie.path not in now]
    if others:
        raise HpcstemError(
            f"{out} holds the atoms of other movies", ", ".join(others), "another --out folder, or these movies too"
        )
