"""One fit for any number of ranks: `mpiexec -n N python fit_job.py RESULT.npz CHECKPOINT|none [PAUSE_S] [FAULT]`."""

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hpcstem.potentials.bases import SplineBasis
from hpcstem.potentials.equations import ForceEquations
from hpcstem.potentials.fitted import solve
from hpcstem.potentials.streaming import Streamed, segments
from hpcstem.potentials.trajectory import Trajectory

BASIS = SplineBasis(0.8, 3.0, 10)


@dataclass(frozen=True)
class Generated:
    """Snapshots made on the fly, each from its own number; with a pause or a fault in the middle."""

    n_frames: int = 90
    pause_s: float = 0.0
    fault: str = ""

    def __repr__(self):
        return f"Generated({self.n_frames})"

    def read(self, first, stop):
        time.sleep(self.pause_s * (stop - first))
        home_A = np.stack(np.meshgrid(np.arange(12.0), np.arange(10.0)), -1).reshape(-1, 2) * 1.4
        frames_A = [
            home_A + 0.1 * np.random.default_rng([1, t]).standard_normal(home_A.shape) for t in range(first, stop)
        ]
        species = np.arange(len(home_A)) % 3 // 2
        good = Trajectory.from_arrays(np.stack(frames_A), species, ("C", "Si"), None, first)
        if not self.fault or not first <= 70 < stop:
            return good
        names = ("frame", "start", "positions_A", "species", "track", "weight")
        columns = {name: getattr(good, name).copy() for name in names}
        if self.fault == "order":
            columns["frame"][-1] = columns["frame"][0]
        elif self.fault == "nan":
            columns["positions_A"][3, 1] = np.nan
        elif self.fault == "duplicate":
            columns["positions_A"][3] = columns["positions_A"][4]
        else:
            columns["species"][3] = 2
        return Trajectory(**columns, symbols=good.symbols)


def job(checkpoint, source=None):
    """Analysis and segments."""
    equations = ForceEquations(BASIS, ("C", "Si"), 1.0, "trapezoid", 1)
    return Streamed(equations, 4, checkpoint, 1e-9), segments(source or Generated(), 9)


def main(result, checkpoint, pause_s="0", fault=""):
    from hpcstem.errors import HpcstemError
    from hpcstem.execution import MPIExecutor

    with MPIExecutor() as executor:
        rank = executor._communicator.Get_rank()
        Path(result).with_name(f"rank-{rank}.pid").write_text(str(os.getpid()))
        folder = None if checkpoint == "none" else Path(checkpoint)
        analysis, parts = job(folder, Generated(pause_s=float(pause_s), fault=fault))
        try:
            blocks = executor.run(analysis, parts)
        except HpcstemError as error:
            print(f"rank {rank}: {type(error).__name__} {error}", file=sys.stderr, flush=True)
            sys.exit(3)
        if executor.is_root:
            total = blocks.total
            coefficients = solve(blocks, analysis.analysis).coefficients
            np.savez(result, gram=total.gram, design=total.design, moment=total.moment, coefficients=coefficients)


if __name__ == "__main__":
    main(*sys.argv[1:])
