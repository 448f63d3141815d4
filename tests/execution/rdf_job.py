"""One RDF for all executors; `mpiexec -n N python rdf_job.py RESULT.npz` runs it on ranks."""

import sys

import numpy as np

from hpcstem.atoms import NO_TRACK, AtomTable
from hpcstem.potentials import RadialDistribution

ANALYSIS = RadialDistribution((0.0, 0.0, 40.0, 30.0), ("C", "Si"))


def batches():
    """Seven chunks of a few frames with three species."""
    tables = []
    for chunk, seed in enumerate(np.random.SeedSequence(31).spawn(7)):
        rng = np.random.default_rng(seed)
        frame = np.sort(rng.integers(0, 3, 1200)) + 3 * chunk
        x_A, y_A = rng.uniform(0, 42, 1200), rng.uniform(0, 32, 1200)
        tables.append(
            AtomTable(
                movie=np.full(1200, "movie"),
                frame=frame,
                x_px=x_A / 0.1,
                y_px=y_A / 0.1,
                x_A=x_A,
                y_A=y_A,
                species=rng.choice(["C", "Si", "Cr"], 1200, p=[0.8, 0.15, 0.05]),
                probability=np.ones(1200),
                detection=np.ones(1200),
                sigma_A=np.full(1200, 0.05),
                track=np.full(1200, NO_TRACK),
            )
        )
    return tables


if __name__ == "__main__":
    from hpcstem.execution import MPIExecutor

    with MPIExecutor() as executor:
        rdf = executor.run(ANALYSIS, batches())
        if executor.is_root:
            np.savez(sys.argv[1], g=rdf.g, g_kde=rdf.g_kde, counts=rdf.counts, n_frames=rdf.n_frames)
