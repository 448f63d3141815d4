"""Trajectories on disk, by the ending of the file's name."""

from __future__ import annotations

from pathlib import Path

from hpcstem.errors import StructureError
from hpcstem.potentials.array_trajectory import Hdf5Trajectory, NpzTrajectory
from hpcstem.potentials.parquet_trajectory import ParquetTrajectory
from hpcstem.potentials.streaming import TrajectorySource
from hpcstem.potentials.xyz import XyzTrajectory


def open_trajectory(
    path: Path, symbols: tuple[str, ...], window_A: tuple[float, float, float, float] | None, cutoff_A: float
) -> TrajectorySource:
    """Trajectory of a file, by the ending of its name.

    Parameters
    ----------
    path
        A folder of Parquet files or one `.parquet` with linked atoms of one movie; `.npz` or `.h5` with
        `positions_A` (n_frames, n_atoms, 2), `species` (n_atoms,) and, where periodic, `box_A` (2,); or extended
        XYZ (`.xyz`) with a 'track' column or the same atoms in every frame.
    symbols
        Species that take part.
    window_A
        Field of view of Parquet files, (x0, y0, x1, y1) [Å]; None for the range of the atoms.
    cutoff_A
        Range of the forces, for the weights of atoms near the edges [Å].

    Raises
    ------
    StructureError
        An unknown ending, or a file without what the fit needs.
    AtomTableError
        A damaged Parquet file.
    """
    path = Path(path)
    if not path.exists():
        raise StructureError(f"{path} does not exist", wanted="a trajectory")
    if path.is_dir() or path.suffix == ".parquet":
        return ParquetTrajectory(path, symbols, window_A, cutoff_A)
    if path.suffix == ".npz":
        return NpzTrajectory(path, symbols)
    if path.suffix in (".h5", ".hdf5"):
        return Hdf5Trajectory(path, symbols)
    if path.suffix in (".xyz", ".extxyz"):
        return XyzTrajectory(path, symbols)
    raise StructureError(f"{path}", f"the ending {path.suffix!r}", "a folder, .parquet, .npz, .h5 or .xyz")
