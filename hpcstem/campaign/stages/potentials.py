"""Stage `potentials`: the radial distribution function, on the executor."""

from __future__ import annotations

from typing import Any

import numpy as np

from hpcstem.campaign.progress import progress_bar
from hpcstem.campaign.run import Outputs
from hpcstem.campaign.schema import Campaign
from hpcstem.campaign.stage import Job, Stage
from hpcstem.campaign.stages.frames import open_movies
from hpcstem.files import read_json, whole_file, write_json

_FRAMES_PER_BATCH = 16


def settings(campaign: Campaign) -> Any:
    """The `potentials` section."""
    return campaign.potentials.model_dump(mode="json")


def work(job: Job) -> Outputs:
    """Write `potentials/rdf.npz` and `potentials/rdf.json`."""
    from hpcstem.atoms import AtomTable
    from hpcstem.potentials.rdf import RadialDistribution

    section = job.campaign.potentials
    structure = {m["name"]: m for m in read_json(job.run.path("structure/structure.json"))["movies"]}
    movies = open_movies(job)
    # One window that every movie fills.
    sides_A = [structure[m.name]["pixel_size_A"] * np.array(m.shape[::-1]) for m in movies]
    width_A, height_A = np.min(sides_A, axis=0)
    analysis = RadialDistribution(
        (0.0, 0.0, float(width_A), float(height_A)), cutoff_A=section.cutoff_A, bin_width_A=section.bin_A
    )
    batches = []
    for movie in movies:
        table = AtomTable.read(job.run.path(f"structure/atoms/{movie.name}.parquet"))
        frames = np.unique(table.frame)
        for i in range(0, len(frames), _FRAMES_PER_BATCH):
            chosen = frames[i : i + _FRAMES_PER_BATCH]
            batches.append(table[(table.frame >= chosen[0]) & (table.frame <= chosen[-1])])
    with job.make_executor() as executor, progress_bar("rdf", len(batches), "batch") as update:
        rdf = executor.run(analysis, batches, on_batch=update)
    names = ["-".join(pair) for pair in rdf.species_pairs]
    arrays = {"r_A": rdf.r_A}
    for row, name in enumerate(names):
        arrays[f"g_{name}"], arrays[f"kde_{name}"] = rdf.g[row], rdf.g_kde[row]
    path = job.run.path("potentials/rdf.npz")
    with whole_file(path) as temporary, open(temporary, "wb") as handle:
        np.savez_compressed(handle, **arrays)  # type: ignore[arg-type]
    carbon = np.where((rdf.r_A > 1.0) & (rdf.r_A < 1.9), rdf.g[names.index("C-C")], 0)
    summary = job.run.path("potentials/rdf.json")
    write_json(
        summary,
        {
            "first_peak_A": float(rdf.r_A[np.argmax(carbon)]) if carbon.any() else None,
            "n_frames": rdf.n_frames,
            "n_pairs": {name: int(rdf.counts[row].sum()) for row, name in enumerate(names)},
            "bin_A": section.bin_A,
            "bandwidth_A": rdf.bandwidth_A,
            "window_A": [float(width_A), float(height_A)],
        },
    )
    return Outputs((path, summary))


STAGE = Stage("potentials", "radial distribution function", ("frames", "structure"), settings, work)
