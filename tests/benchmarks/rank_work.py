"""Work for the benchmark of ranks: `SEGMENTS` under mpiexec, or `memory GB FOLDER [SECONDS]` alone."""

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from hpcstem.potentials.bases import SplineBasis
from hpcstem.potentials.equations import ForceEquations
from hpcstem.potentials.streaming import Streamed, segments
from hpcstem.potentials.trajectory import Trajectory

BYTES_PER_ATOM = 4 + 4 * 8 + 3 * 4 + 8 + 2 * 8
"""Of a row of the table of atoms: frame, four coordinates, three probabilities, track, two names."""
SYMBOLS = ("C", "Si")


@dataclass(frozen=True)
class Generated:
    """About 2,000 atoms that shake, made from the number of the frame."""

    n_frames: int

    def read(self, first, stop):
        width_A, height_A = np.sqrt(3) * 1.42, 3 * 1.42
        base_A = np.array([[0, 0], [width_A / 2, 0.71], [width_A / 2, 2.13], [0, 2.84]])
        cells = np.stack(np.meshgrid(np.arange(29), np.arange(17), indexing="ij"), -1).reshape(-1, 1, 2)
        sites_A = (base_A + cells * [width_A, height_A]).reshape(-1, 2)
        frames_A = np.empty((stop - first, *sites_A.shape))
        for k in range(stop - first):
            frames_A[k] = sites_A + 0.05 * np.random.default_rng([3, first + k]).standard_normal(sites_A.shape)
        return Trajectory.from_arrays(frames_A, np.arange(len(sites_A)) % 50 // 49, SYMBOLS, None, first)


@dataclass(frozen=True)
class Timed:
    """An analysis that notes how long its own work takes this process."""

    analysis: Streamed
    spent_s: ClassVar[float] = 0.0

    def process(self, batch):
        start = time.process_time()
        sums = self.analysis.process(batch)
        Timed.spent_s += time.process_time() - start
        return sums

    def merge(self, left, right):
        return self.analysis.merge(left, right)

    def finish(self, partial):
        return self.analysis.finish(partial)


def ranks(n_segments):
    from hpcstem.execution import MPIExecutor

    analysis = Timed(Streamed(ForceEquations(SplineBasis(1.0, 8.0, 32), SYMBOLS, 1.0, "trapezoid"), 32))
    with MPIExecutor() as executor:
        executor.run(analysis, segments(Generated(2 * executor.workers + 2), 2))
        Timed.spent_s = 0.0
        start, start_cpu = time.perf_counter(), time.process_time()
        executor.run(analysis, segments(Generated(16 * n_segments + 1), n_segments))
        wall_s, cpu_s = time.perf_counter() - start, time.process_time() - start_cpu
        print("seconds", wall_s, Timed.spent_s, cpu_s - Timed.spent_s, flush=True)


def memory(equivalent_GB, folder, most_s=np.inf):
    """Peak memory after each block; ends after `most_s` seconds, and goes on from its checkpoints when run again."""
    import json
    import resource

    from hpcstem.execution import SerialExecutor

    atoms_per_frame = 29 * 17 * 4
    n_frames = int(equivalent_GB * 1e9 / BYTES_PER_ATOM / atoms_per_frame)
    equations = ForceEquations(SplineBasis(1.0, 4.0, 16), SYMBOLS, 1.0, "euler")
    peaks = []
    start, start_cpu = time.monotonic(), time.process_time()

    def note(done):
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        if done == 128 or time.monotonic() - start > most_s:
            values = {
                "section": "memory", "equivalent_GB": equivalent_GB, "frames": n_frames, "blocks_done": done,
                "cpu_s": time.process_time() - start_cpu, "peak_MB_after_first_block": peaks[0],
                "peak_MB_at_the_end": peaks[-1],
            }  # fmt: skip
            print(json.dumps(values), flush=True)
            if done < 128:
                sys.exit(75)

    with SerialExecutor() as executor:
        executor.run(Streamed(equations, 64, Path(folder), 60.0), segments(Generated(n_frames), 128), note)


if __name__ == "__main__":
    if sys.argv[1] == "memory":
        memory(float(sys.argv[2]), sys.argv[3], *map(float, sys.argv[4:]))
    else:
        ranks(int(sys.argv[1]))
