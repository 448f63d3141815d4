"""Stage `potentials`: radial distributions, potentials of mean force, and pair forces from the motion."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hpcstem.campaign.progress import progress_bar
from hpcstem.campaign.run import Outputs
from hpcstem.campaign.schema import Campaign
from hpcstem.campaign.stage import Job, Stage
from hpcstem.campaign.stages.forces import fit_movies
from hpcstem.campaign.stages.frames import open_movies
from hpcstem.files import read_json, whole_file, write_json

if TYPE_CHECKING:
    from hpcstem.atoms import AtomTable
    from hpcstem.execution import Executor
    from hpcstem.potentials.pmf import MeanForcePotential
    from hpcstem.potentials.rdf import RDF

_MOST_FRAMES_PER_BATCH = 16
_BATCHES_PER_MOVIE = 16


def settings(campaign: Campaign) -> Any:
    """What the results depend on: the section but for how often partial sums are kept, and the seed of the fits."""
    section = campaign.potentials.model_dump(mode="json", exclude={"fit": {"checkpoint_every_s"}})
    return {"potentials": section, "seed": campaign.seed}


def work(job: Job) -> Outputs:
    """Write `potentials/rdf.npz` and `potentials/rdf.json`, and what `fit_movies` does."""
    movies = open_movies(job)
    structure = {m["name"]: m for m in read_json(job.run.path("structure/structure.json"))["movies"]}
    sides_A = {m.name: structure[m.name]["pixel_size_A"] * np.array(m.shape[::-1]) for m in movies}
    with job.make_executor() as executor:
        files = _write_distributions(job, sides_A, executor)
        fits = fit_movies(job, movies, sides_A, executor)
    return Outputs((*files, *fits.data), fits.notes)


def _write_distributions(job: Job, sides_A: dict[str, np.ndarray], executor: Executor) -> tuple[Path, Path]:
    """g(r) and w(r) of all movies together; and for each movie why w may be no potential."""
    from hpcstem.potentials.pmf import equilibrium_warnings, mean_force_potential, past_correlation
    from hpcstem.potentials.rdf import RadialDistribution
    from hpcstem.potentials.table_blocks import BlockCounts

    section = job.campaign.potentials
    # One window that every movie fills.
    width_A, height_A = np.min(list(sides_A.values()), axis=0).tolist()
    analysis = RadialDistribution((0.0, 0.0, width_A, height_A), cutoff_A=section.cutoff_A, bin_width_A=section.bin_A)
    batches: list[AtomTable] = []
    ends, undone = [0], []
    for name in sides_A:
        table = _atoms(job, name)
        batches += _batches(table)
        ends.append(len(batches))
        undone.append(past_correlation(table))
    with progress_bar("rdf", len(batches), "batch") as update:
        blocks = executor.run(BlockCounts(analysis), batches, on_batch=update)
    rdf, mean_force = analysis.finish(blocks[0]), None
    if len(blocks) > 1:
        rdf, mean_force = mean_force_potential(analysis, blocks)
    warnings = {
        name: equilibrium_warnings(blocks[first:end], correlation) if end - first > 1 else []
        for name, first, end, correlation in zip(sides_A, ends, ends[1:], undone, strict=False)
    }
    path, summary = job.run.path("potentials/rdf.npz"), job.run.path("potentials/rdf.json")
    with whole_file(path) as temporary, open(temporary, "wb") as handle:
        np.savez_compressed(handle, **_arrays(rdf, mean_force))  # type: ignore[arg-type]
    names = _names(rdf)
    carbon = np.where((rdf.r_A > 1.0) & (rdf.r_A < 1.9), rdf.g[names.index("C-C")], 0)
    write_json(
        summary,
        {
            "first_peak_A": float(rdf.r_A[np.argmax(carbon)]) if carbon.any() else None,
            "n_frames": rdf.n_frames,
            "n_pairs": {name: int(rdf.counts[row].sum()) for row, name in enumerate(names)},
            "bin_A": section.bin_A,
            "bandwidth_A": rdf.bandwidth_A,
            "window_A": [width_A, height_A],
            "warnings": warnings,
        },
    )
    return path, summary


def _atoms(job: Job, name: str) -> AtomTable:
    from hpcstem.atoms import AtomTable

    return AtomTable.read(job.run.path(f"structure/atoms/{name}.parquet"))


def _batches(table: AtomTable) -> list[AtomTable]:
    """Runs of frames: several, for errors over them, and none that is large."""
    frames = np.unique(table.frame)
    size = int(np.clip(len(frames) // _BATCHES_PER_MOVIE, 1, _MOST_FRAMES_PER_BATCH))
    chosen = [frames[i : i + size] for i in range(0, len(frames), size)]
    return [table[(table.frame >= part[0]) & (table.frame <= part[-1])] for part in chosen]


def _arrays(rdf: RDF, mean_force: MeanForcePotential | None) -> dict[str, np.ndarray]:
    arrays = {"r_A": rdf.r_A}
    for row, name in enumerate(_names(rdf)):
        arrays[f"g_{name}"], arrays[f"kde_{name}"] = rdf.g[row], rdf.g_kde[row]
        if mean_force is not None:
            arrays[f"w_{name}"], arrays[f"error_{name}"] = mean_force.w_kT[row], mean_force.error_kT[row]
    return arrays


def _names(rdf: RDF) -> list[str]:
    return ["-".join(pair) for pair in rdf.species_pairs]


STAGE = Stage(
    "potentials", "radial distributions, mean force, forces from motion", ("frames", "structure"), settings, work
)
