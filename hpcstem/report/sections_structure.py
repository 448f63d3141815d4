"""Sections that show what the atoms form: counts and defects, rings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from hpcstem.errors import HpcstemError
from hpcstem.report.figures_counts import counts_over_frames
from hpcstem.report.figures_rings import ring_map
from hpcstem.report.formatting import UNKNOWN, count, plus_minus, quantity
from hpcstem.report.page import Absent, Block, Picture, Section, Table, shortened
from hpcstem.report.records import MovieStructure
from hpcstem.report.run import Run
from hpcstem.report.style import MUTED, ring_color, species_color

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SHOWN_MOVIES = 3
_SHOWN_DEFECTS = 10
_LISTED_MOVIES = 500


def defects_section(run: Run) -> Section:
    """Atoms and defects over the frames of each movie, and the calibration."""
    title = "Atoms and defects over time"
    if run.structure is None:
        return Section("defects", title, [Absent("Counts of atoms and defects are", "structure")])
    blocks: list[Block] = []
    over_time = _movies_over_time(run.structure.movies)
    for movie in over_time[:_SHOWN_MOVIES]:
        caption = f"{movie.name}: atoms by species and defects by name in each frame."
        if len(defect_totals(movie)) > _SHOWN_DEFECTS:
            caption += f" The {_SHOWN_DEFECTS} most frequent of {len(defect_totals(movie))} kinds of defect."
        blocks.append(Picture(_counts_figure(run, movie, _atom_and_defect_rows(movie)), caption))
    blocks.append(_movie_table(run.structure.movies, len(over_time)))
    return Section("defects", title, blocks)


def rings_section(run: Run) -> Section:
    """Rings of one sample frame, and their counts over the frames."""
    if run.structure is None:
        return Section("rings", "Rings", [Absent("Rings are", "structure")])
    blocks: list[Block] = []
    picture = _ring_picture(run)
    blocks.append(picture if picture else Absent("Bonds and rings of a sample frame are", "structure"))
    for movie in _movies_over_time(run.structure.movies)[:_SHOWN_MOVIES]:
        sizes = sorted({size for frame in movie.frames for size in frame.rings}, key=lambda size: (len(size), size))
        if not sizes:
            continue
        rows = {f"{size}-rings": _column([frame.rings.get(size, 0) for frame in movie.frames]) for size in sizes}
        blocks.append(Picture(_counts_figure(run, movie, rows), f"{movie.name}: rings by size in each frame."))
    return Section("rings", "Rings", blocks)


def _movies_over_time(movies: list[MovieStructure]) -> list[MovieStructure]:
    """Movies with something to draw over time; of a single frame the table says it all."""
    return [movie for movie in movies if len(movie.frames) > 1]


def defect_totals(movie: MovieStructure) -> dict[str, int]:
    """Count of each kind of defect over all frames of one movie, most frequent first."""
    totals: dict[str, int] = {}
    for frame in movie.frames:
        for name, number in frame.defects.items():
            totals[name] = totals.get(name, 0) + (number or 0)
    return dict(sorted(totals.items(), key=lambda item: (-item[1], item[0])))


def _column(values: Sequence[float | None]) -> np.ndarray:
    return np.array([np.nan if value is None else value for value in values], dtype=float)


def _atom_and_defect_rows(movie: MovieStructure) -> dict[str, np.ndarray]:
    symbols = sorted({symbol for frame in movie.frames for symbol in frame.species})
    rows = {symbol: _column([frame.species.get(symbol) for frame in movie.frames]) for symbol in symbols}
    for name in list(defect_totals(movie))[:_SHOWN_DEFECTS]:
        rows[name] = _column([frame.defects.get(name, 0) for frame in movie.frames])
    return rows


def _counts_figure(run: Run, movie: MovieStructure, rows: dict[str, np.ndarray]) -> Figure:
    frame = np.array([record.frame for record in movie.frames])
    colors = {name: species_color(name) for name in movie.frames[0].species}
    colors |= {name: ring_color(int(name.removesuffix("-rings"))) for name in rows if name.endswith("-rings")}
    colors |= {"6-rings": MUTED}
    record = run.movie(movie.name)
    doses = (record.accumulated_dose_e_per_A2 if record else None) or []
    dose = _column([doses[i] for i in frame]) if frame.max() < len(doses) else None
    return counts_over_frames(frame, rows, colors, record.frame_time_s if record else None, dose)


def _movie_table(movies: list[MovieStructure], n_over_time: int) -> Table:
    rows = [
        (
            movie.name,
            ", ".join(f"{name} {number:,}" for name, number in defect_totals(movie).items()) or "none",
            plus_minus(movie.calibration.pixel_size_A, movie.calibration.standard_error_A, 5)
            if movie.calibration
            else UNKNOWN,
            quantity(movie.calibration.first_peak_A, 3) if movie.calibration else UNKNOWN,
            count(movie.n_tracks),
            quantity(_largest_drift_A(movie), 2),
        )
        for movie in movies
    ]
    header = (
        "Movie", "Defects, all frames", "Calibrated pixel size ± standard error [Å]", "First C–C peak [Å]",
        "Tracks", "Largest drift [Å]",
    )  # fmt: skip
    shown, note = shortened(rows, _LISTED_MOVIES, "movies")
    figures = f"Figures above show the first {_SHOWN_MOVIES} movies." if n_over_time > _SHOWN_MOVIES else ""
    return Table(
        header, shown, f"Length calibration, links and defects by movie. {figures} {note}".strip(), text_columns=2
    )


def _largest_drift_A(movie: MovieStructure) -> float | None:
    if not movie.drift_A:
        return None
    return float(np.linalg.norm(np.array(movie.drift_A), axis=1).max())


def _ring_picture(run: Run) -> Picture | None:
    """Ring map of the region's frame if it was sampled, else of the first sample frame."""
    region = run.structure.region if run.structure else None
    names = [name for name in run.sampled_movies if region and name == region.movie] + run.sampled_movies
    for movie in names:
        bonds, atoms = run.bonds(movie), run.atoms(movie)
        if bonds is None or atoms is None or not bonds.edges:
            continue
        of_region = region and region.movie == movie and region.frame in bonds.edges
        frame = region.frame if region and of_region and region.frame is not None else next(iter(bonds.edges))
        here = atoms.in_frame(frame)
        edges, rings = bonds.edges[frame], bonds.rings[frame]
        largest = max([int(part.max(initial=-1)) for part in (edges, *rings)], default=-1)
        if largest >= len(here):
            raise HpcstemError(
                f"bonds of {movie}, frame {frame}",
                f"atom {largest}",
                f"an atom below {len(here)}, as many as there are",
            )
        caption = (
            f"{movie}, frame {frame}: atoms, bonds and rings, each ring in the colour of its number of atoms "
            "(how many of each in brackets). Seen as the image is."
        )
        return Picture(ring_map(here.positions_A, here.species, edges, rings), caption)
    return None
