"""`hpcstem frames`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from hpcstem.cli.show import echo_json, echo_table, json_option


@click.group()
def command() -> None:
    """Look at movies."""


@command.command()
@click.argument("movies", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--dataset", help="Which dataset, where a file holds several.")
@click.option("--pixel-size-A", "pixel_size_A", type=float, help="Pixel size [Å], where the file has none.")
@click.option("--check", is_flag=True, help="Read every frame and name the bad ones.")
@json_option
def info(movies: tuple[Path, ...], dataset: str | None, pixel_size_A: float | None, check: bool, as_json: bool) -> None:
    """Print size, metadata and dose of MOVIES."""
    described = [_describe(path, dataset, pixel_size_A, check) for path in movies]
    if as_json:
        echo_json(described)
        return
    for entry in described:
        rows = [(key, "unknown" if value is None else value) for key, value in entry.items() if key != "faults"]
        echo_table(rows)
        for fault in entry.get("faults", []):
            click.echo(f"  frame {fault['frame']}: {fault['kind']}")


def _describe(path: Path, dataset: str | None, pixel_size_A: float | None, check: bool) -> dict[str, Any]:
    from hpcstem.errors import MovieError
    from hpcstem.frames import dose_per_frame, open_movie, plan_chunks

    movie = open_movie(path, dataset=dataset, pixel_size_A=pixel_size_A)
    metadata = movie.metadata
    try:
        dose: float | None = dose_per_frame(movie)
    except MovieError:
        dose = None
    entry: dict[str, Any] = {
        "movie": str(movie.path),
        "dataset": movie.dataset,
        "frames": movie.n_frames,
        "rows": movie.shape[0],
        "columns": movie.shape[1],
        "dtype": str(movie.dtype),
        "pixel_size_A": metadata.pixel_size_A,
        "dwell_time_us": metadata.dwell_time_us,
        "frame_time_s": metadata.frame_time_s,
        "beam_current_pA": metadata.beam_current_pA,
        "voltage_kV": metadata.voltage_kV,
        "dose_e_per_A2_per_frame": dose,
    }
    if check:
        chunks = plan_chunks(movie, 64_000_000)
        faults = [fault for chunk in chunks for fault in movie.read_checked(chunk.start, chunk.stop)[2]]
        entry["bad_frames"] = len(faults)
        entry["faults"] = [{"frame": fault.frame, "kind": fault.kind.value} for fault in faults]
    return entry
