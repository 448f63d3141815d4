"""Stage `structure`: calibrated, linked atoms; bonds, rings, defects; a region and its simulation cell."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hpcstem.campaign.run import Outputs
from hpcstem.campaign.schema import Campaign, StructureSection
from hpcstem.campaign.stage import Job, Stage
from hpcstem.campaign.stages.decode_samples import sample_frames
from hpcstem.campaign.stages.frames import open_movies
from hpcstem.errors import StructureError
from hpcstem.files import whole_file, write_json

if TYPE_CHECKING:
    from hpcstem.atoms import AtomTable
    from hpcstem.frames import Movie
    from hpcstem.structure.regions import Region


def settings(campaign: Campaign) -> Any:
    """The `structure` section, and whether lengths are calibrated."""
    return {"structure": campaign.structure.model_dump(mode="json"), "calibrate": campaign.frames.calibrate}


def work(job: Job) -> Outputs:
    """Write linked atoms, `structure/structure.json`, bonds of sample frames, and the region's cell."""
    from hpcstem.campaign.lattice_hint import lattice_hint

    data: list[Path] = []
    notes: list[Path] = []
    described: list[dict[str, Any]] = []
    tables: list[AtomTable] = []
    movies = open_movies(job)
    with lattice_hint(movies):
        for movie in movies:
            table, entry = _movie_structure(job, movie)
            described.append(entry)
            atoms_path = job.run.path(f"structure/atoms/{movie.name}.parquet")
            table.write(atoms_path)
            data.append(atoms_path)
            notes.append(_write_bonds(job, movie.name, table))
            tables.append(table)
        if not any(map(len, tables)):
            raise StructureError("atoms of the movies", "none in any frame", "frames in which atoms can be seen")
    region, reason = None, None
    job.run.remove_others("structure/region.*", [])
    best = _best_region(tables, job.campaign.structure)
    if isinstance(best, str):
        reason = best
    else:
        region, files = _write_region(job, *best)
        data += files
    path = job.run.path("structure/structure.json")
    write_json(path, {"movies": described, "region": region, "no_region_because": reason})
    return Outputs((*data, path), tuple(notes))


def _movie_structure(job: Job, movie: Movie) -> tuple[AtomTable, dict[str, Any]]:
    """Calibrated and linked atoms of one movie, and what each frame holds."""
    from hpcstem.atoms import AtomTable
    from hpcstem.potentials.calibration import calibrate_length
    from hpcstem.structure.bonds import bond_graph
    from hpcstem.structure.defects import find_defects
    from hpcstem.structure.linking import link
    from hpcstem.structure.rings import find_rings

    table = AtomTable.read(job.run.path(f"decode/atoms/{movie.name}"))
    pixel_size_A = movie.require_pixel_size()
    calibration = None
    if job.campaign.frames.calibrate and len(table):
        found = calibrate_length(table, pixel_size_A)
        calibration = {
            "pixel_size_A": found.pixel_size_A,
            "standard_error_A": found.standard_error_A,
            "first_peak_A": found.first_peak_A,
            "n_distances": found.n_distances,
        }
        pixel_size_A = found.pixel_size_A
        table = table.with_columns(
            x_A=table.x_px * pixel_size_A,
            y_A=table.y_px * pixel_size_A,
            sigma_A=table.sigma_A * (pixel_size_A / movie.require_pixel_size()),
        )
    table = link(table, job.campaign.structure.link_gate_A)
    field_A = (movie.shape[1] * pixel_size_A, movie.shape[0] * pixel_size_A)
    frames = []
    for frame in np.unique(table.frame):
        atoms = table.in_frame(frame)
        graph = bond_graph(atoms.positions_A, atoms.species)
        rings = find_rings(graph)
        defects = find_defects(graph, rings, atoms.probability, field_A)
        frames.append(
            {
                "frame": int(frame),
                "n_C": int((atoms.species == "C").sum()),
                "n_Si": int((atoms.species == "Si").sum()),
                "rings": {str(size): count for size, count in rings.counts().items()},
                "defects": dict(Counter(defect.kind.value for defect in defects)),
            }
        )
    entry = {
        "name": movie.name,
        "calibration": calibration,
        "pixel_size_A": pixel_size_A,
        "frames": frames,
        "n_tracks": int(table.track.max() + 1) if len(table) else 0,
        "drift_A": _drift_A(table),
    }
    return table, entry


def _drift_A(table: AtomTable) -> list[list[float]]:
    """Median displacement (x, y) of linked atoms since the first frame [Å], for each frame with atoms."""
    frames = np.unique(table.frame)
    drift_A = [np.zeros(2)]
    for before, after in pairwise(frames):
        first, second = table.in_frame(before), table.in_frame(after)
        _, i, j = np.intersect1d(first.track, second.track, return_indices=True)
        step_A = np.median(second.positions_A[j] - first.positions_A[i], axis=0) if len(i) else np.zeros(2)
        drift_A.append(drift_A[-1] + step_A)
    return [[float(x), float(y)] for x, y in drift_A[: len(frames)]]


def _best_region(tables: list[AtomTable], section: StructureSection) -> tuple[Region, AtomTable] | str:
    """Most certain region of all frames and the atoms of its frame, or why there is none.

    Where a defect is asked for and none fits into a region, any region will do.
    """
    from hpcstem.structure.regions import Choice, select_region

    reason = "no atoms"
    choices = [Choice.DEFECT, Choice.CERTAINTY] if section.region_by == "defect" else [Choice.CERTAINTY]
    for by in choices:
        found = []
        for atoms in (table.in_frame(frame) for table in tables for frame in np.unique(table.frame)):
            try:
                found.append((select_region(atoms, by, section.region_size_A), atoms))
            except StructureError as error:
                reason = str(error)
        if found:
            return max(found, key=lambda candidate: candidate[0].score)
    return reason


def _write_region(job: Job, region: Region, atoms: AtomTable) -> tuple[dict[str, Any], list[Path]]:
    """Make the cell of a region of a frame, and write both."""
    from hpcstem.structure.region_cell import write_region_cell

    stem = job.run.path("structure/region")
    provenance = {"campaign": job.campaign.name}
    described = write_region_cell(stem, atoms, region, job.campaign.structure.vacuum_A, provenance)
    return described, [stem.with_suffix(".xyz"), stem.with_suffix(".vasp")]


def _write_bonds(job: Job, name: str, table: AtomTable) -> Path:
    """Bonds and rings of the sample frames, for the report."""
    from hpcstem.structure.bonds import bond_graph
    from hpcstem.structure.rings import find_rings

    frames = sample_frames(table.frame)
    arrays: dict[str, np.ndarray] = {"frame": frames}
    for i, frame in enumerate(frames):
        atoms = table.in_frame(frame)
        graph = bond_graph(atoms.positions_A, atoms.species)
        rings = find_rings(graph)
        arrays[f"edges_{i}"] = graph.edges
        arrays[f"ring_members_{i}"] = rings.atoms
        arrays[f"ring_sizes_{i}"] = rings.sizes
    path = job.run.path(f"structure/bonds/{name}.npz")
    with whole_file(path) as temporary, open(temporary, "wb") as handle:
        np.savez_compressed(handle, **arrays)  # type: ignore[arg-type]
    return path


STAGE = Stage(
    "structure",
    "calibrate, link, find rings and defects, cut a region",
    ("frames", "decode"),
    settings,
    work,
    version=3,
)
