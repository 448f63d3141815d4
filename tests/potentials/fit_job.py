"""Fits on MPI ranks: `mpiexec -n N python fit_job.py sizes|faults|kill FOLDER [HOLD_AT …]`."""

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
FAULTS = ("order", "nan", "duplicate", "species")


@dataclass(frozen=True)
class Generated:
    """Snapshots made on the fly, each from its own number; with a fault in the middle, or that never come."""

    n_frames: int = 90
    fault: str = ""
    hold_at: tuple[int, ...] = ()
    folder: str = ""

    def __repr__(self):
        return f"Generated({self.n_frames})"

    def read(self, first, stop):
        for frame in self.hold_at:
            if first <= frame < stop:
                Path(self.folder, f"held-{frame}-{os.getpid()}").touch()
                while True:
                    time.sleep(60)
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


def job(checkpoint=None, source=None):
    """Analysis and segments; a checkpoint after every piece."""
    equations = ForceEquations(BASIS, ("C", "Si"), 1.0, "trapezoid", 1)
    return Streamed(equations, 4, checkpoint, 0.0), segments(source or Generated(), 9)


def write(path, blocks, analysis):
    total = blocks.total
    coefficients = solve(blocks, analysis.analysis).coefficients
    np.savez(path, gram=total.gram, design=total.design, moment=total.moment, coefficients=coefficients)


def sizes(world, folder):
    """The same fit on one rank, on two, … on all."""
    from hpcstem.execution import MPIExecutor

    for size in range(1, world.Get_size() + 1):
        part = world.Split(int(world.Get_rank() < size))
        if world.Get_rank() < size:
            with MPIExecutor(part) as executor:
                analysis, parts = job()
                blocks = executor.run(analysis, parts)
                if executor.is_root:
                    write(folder / f"{size}.npz", blocks, analysis)
        part.Free()


def faults(world, folder):
    """One fault after the other; each rank writes down the errors that it saw."""
    from hpcstem.errors import HpcstemError
    from hpcstem.execution import MPIExecutor

    said = []
    with MPIExecutor(world) as executor:
        for fault in FAULTS:
            try:
                executor.run(*job(source=Generated(fault=fault)))
            except HpcstemError as error:
                said.append(f"{type(error).__name__} {error}")
    (folder / f"rank-{world.Get_rank()}.txt").write_text("\n".join(said))


def kill(world, folder, *hold_at):
    """One fit with checkpoints, held for ever at some snapshots."""
    from hpcstem.execution import MPIExecutor

    (folder / f"rank-{world.Get_rank()}.pid").write_text(str(os.getpid()))
    source = Generated(hold_at=tuple(map(int, hold_at)), folder=str(folder))
    with MPIExecutor(world) as executor:
        analysis, parts = job(folder / "checkpoint", source)
        blocks = executor.run(analysis, parts)
        if executor.is_root:
            write(folder / "fit.npz", blocks, analysis)


def main(what, folder, *rest):
    from mpi4py import MPI

    {"sizes": sizes, "faults": faults, "kill": kill}[what](MPI.COMM_WORLD, Path(folder), *rest)


if __name__ == "__main__":
    main(*sys.argv[1:])
