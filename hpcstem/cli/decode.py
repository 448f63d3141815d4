"""`hpcstem decode`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hpcstem.cli.show import echo_json, json_option
from hpcstem.cli.threads import one_thread

if TYPE_CHECKING:
    from hpcstem.campaign.schema import Campaign


@click.command()
@click.argument("movies", nargs=-1)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Run directory, or dataset, for the atoms.")
@click.option(
    "--manifest", type=click.Path(path_type=Path), help="CSV, Parquet or text file that lists movies for a dataset."
)
@click.option("--model", default="graphene-si", show_default=True, help="Folder or name of the ensemble.")
@click.option(
    "--refine/--no-refine",
    default=True,
    show_default=True,
    help="Fit the positions to the frames, or leave them to the networks.",
)
@click.option(
    "--members",
    type=click.Choice(["all", "agreeing"]),
    default="all",
    show_default=True,
    help="Members of the ensemble that vote on a movie.",
)
@click.option("--pixel-size-A", "pixel_size_A", type=float, help="Pixel size [Å], where the files have none.")
@click.option("--site", default="local", show_default=True, help="Site configuration.")
@click.option("--workers", type=click.IntRange(1), help="Workers instead of the site's.")
@click.option("--bad-frames", type=click.Choice(["skip", "refuse"]), help="Broken frames; skip by default.")
@click.option("--chunk-MB", "chunk_MB", type=click.FloatRange(0, min_open=True), help="Chunks of a dataset [MB]; 16.")
@click.option("--dry-run", is_flag=True, help="Of a dataset: say what would be done; write nothing.")
@click.option("--retry-faults", is_flag=True, help="Of a dataset: try again what failed.")
@json_option
def command(
    movies: tuple[str, ...],
    out: Path,
    manifest: Path | None,
    model: str,
    refine: bool,
    members: str,
    pixel_size_A: float | None,
    site: str,
    workers: int | None,
    bad_frames: str | None,
    chunk_MB: float | None,
    dry_run: bool,
    retry_faults: bool,
    as_json: bool,
) -> None:
    """Find the atoms in MOVIES; run again, it decodes only what is missing.

    With a quoted pattern such as 'data/**/*.h5', or with --manifest, the atoms of all movies go to one dataset. What
    fails is listed there, the rest is done, and the exit status is 4.
    """
    one_thread()
    from hpcstem.campaign.reprocessing.dataset import SETTINGS_FILE
    from hpcstem.campaign.reprocessing.manifest import is_pattern

    if manifest is not None or any(map(is_pattern, movies)) or (out / SETTINGS_FILE).is_file():
        from hpcstem.cli.dataset import decode_dataset

        if bad_frames == "refuse":
            raise click.UsageError("--bad-frames refuse does not go with a dataset, which lists them")
        if members != "all":
            raise click.UsageError("--members agreeing does not go with a dataset, whose atoms all members vote on")
        decode_dataset(
            movies,
            out,
            manifest,
            model=model,
            refine=refine,
            pixel_size_A=pixel_size_A,
            site=site,
            workers=workers,
            chunk_MB=chunk_MB,
            dry_run=dry_run,
            retry_faults=retry_faults,
            as_json=as_json,
        )
        return
    if dry_run or retry_faults or chunk_MB is not None:
        raise click.UsageError("--dry-run, --retry-faults and --chunk-MB go with a quoted pattern or --manifest")
    if not movies:
        raise click.UsageError("Missing argument 'MOVIES...', or --manifest")
    paths = tuple(map(Path, movies))
    _decode_movies(paths, out, model, refine, members, pixel_size_A, site, workers, bad_frames or "skip", as_json)


def _decode_movies(
    movies: tuple[Path, ...],
    out: Path,
    model: str,
    refine: bool,
    members: str,
    pixel_size_A: float | None,
    site: str,
    workers: int | None,
    bad_frames: str,
    as_json: bool,
) -> None:
    """Decode a few movies in a run directory."""
    from hpcstem.campaign.conduct import run_campaign
    from hpcstem.campaign.schema import Campaign
    from hpcstem.config import checked
    from hpcstem.files import read_json

    value = {
        "name": "decode",
        "site": site,
        "movies": [{"path": str(path.resolve()), "pixel_size_A": pixel_size_A} for path in movies],
        "frames": {"bad_frames": bad_frames},
        "decode": {"model": model, "refine": refine, "members": members},
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
    if summary["n_obscured"]:
        click.echo(f"  {summary['n_obscured']} atoms under contamination left out")
    if summary["n_candidates"]:
        click.echo(f"  {summary['n_candidates']} places for unknown species or defects: {out / 'decode' / 'frames'}")
    for movie in summary["movies"]:
        for line in _warnings(movie, summary["model"]):
            click.echo(f"warning: {line}", err=True)
    for folder in atoms:
        click.echo(f"atoms: {folder}")


def _warnings(movie: dict[str, Any], model: dict[str, Any]) -> Iterator[str]:
    """What makes the atoms of a movie less than sure."""
    compared = movie["out_of_distribution"]
    if compared is not None and compared["flagged"]:
        reasons = ", ".join(f"{one['statistic']} {one['deviation']:+.0f} σ" for one in compared["reasons"])
        hint = f"; wanted {compared['hint']}" if compared.get("hint") else ""
        yield (
            f"movie {movie['name']} is not like the images that the ensemble was trained on "
            f"(score {compared['score']:.1f}, limit 1): {reasons}{hint}"
        )
    for member in movie["members"]:
        if member["reasons"] and member["name"] in movie["decoded_by"]:
            yield f"in movie {movie['name']}, {member['name']} {'; '.join(member['reasons'])}"
    if model["calibrated"] and len(movie["decoded_by"]) < model["n_members"]:
        yield (
            f"movie {movie['name']} was decoded by {len(movie['decoded_by'])} of {model['n_members']} networks; "
            "`probability` was calibrated with all of them"
        )


def _keep_other_movies(campaign: Campaign, out: Path) -> None:
    """Refuse to replace the atoms of movies that are not named this time."""
    from hpcstem.campaign.schema import load_campaign, movie_name
    from hpcstem.errors import HpcstemError

    if not (out / "campaign.yaml").is_file():
        return
    now = {movie.path for movie in campaign.movies}
    before = [movie_name(movie) for movie in load_campaign(out / "campaign.yaml").movies if movie.path not in now]
    others = [name for name in before if any((out / "decode" / "atoms" / name).glob("*.parquet"))]
    if others:
        raise HpcstemError(
            f"{out} holds the atoms of other movies", ", ".join(others), "another --out folder, or these movies too"
        )
