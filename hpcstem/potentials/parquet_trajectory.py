"""Linked atoms in Parquet files as a trajectory; only the row groups asked for are read."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hpcstem.atoms import NO_TRACK, AtomTable
from hpcstem.errors import AtomTableError, StructureError
from hpcstem.potentials.trajectory import Trajectory
from hpcstem.potentials.weights import atom_weights

_PIXEL_TOLERANCE = 1e-3


@dataclass(frozen=True)
class ParquetTrajectory:
    """Linked atoms of one movie in Parquet files, without the drift that all atoms share.

    Parameters
    ----------
    path
        One file, or a folder of them.
    symbols
        Species that take part; others are an error, for their forces would be missing.
    window_A
        (x0, y0, x1, y1) of the field of view [Å]; None for the range of the atoms.
    cutoff_A
        Range of the forces [Å].
    diffusion_A
        Root mean square step per axis, for the weights of atoms with uncertain positions [Å]; None for no such
        weights.
    """

    path: Path
    symbols: tuple[str, ...]
    window_A: tuple[float, float, float, float] | None
    cutoff_A: float
    diffusion_A: float | None = None

    @cached_property
    def _frames(self) -> np.ndarray:
        """Frame numbers present, rising."""
        seen = [np.unique(self._column(file, "frame")) for file in self._files]
        for before, after in pairwise(seen):
            if len(before) and len(after) and after[0] <= before[-1]:
                raise StructureError(
                    f"frames of {self.path}",
                    f"frame {after[0]} in a later file than frame {before[-1]}",
                    "files whose names sort in the order of time, one movie in the folder",
                )
        return np.concatenate(seen) if seen else np.empty(0, np.int32)

    @cached_property
    def _files(self) -> tuple[Path, ...]:
        return tuple(sorted(self.path.glob("*.parquet"))) if self.path.is_dir() else (self.path,)

    @cached_property
    def _window(self) -> tuple[float, float, float, float]:
        if self.window_A is not None:
            return self.window_A
        low, high = np.full(2, np.inf), np.full(2, -np.inf)
        for file in self._files:
            for axis, name in enumerate(("x_A", "y_A")):
                column = self._column(file, name)
                low[axis], high[axis] = min(low[axis], column.min()), max(high[axis], column.max())
        return float(low[0]), float(low[1]), float(high[0]), float(high[1])

    @property
    def n_frames(self) -> int:
        """Number of frames with atoms in them."""
        return len(self._frames)

    def read(self, first: int, stop: int) -> Trajectory:
        """Snapshots `first` to `stop` - 1."""
        wanted = self._frames[first:stop]
        table = AtomTable.concatenate(self._tables(int(wanted[0]), int(wanted[-1])))
        _check_table(table, self.symbols, self.path)
        table = table[np.lexsort((table.track, table.frame))]
        species = np.searchsorted(np.sort(self.symbols), table.species)
        start = np.searchsorted(table.frame, np.append(wanted, wanted[-1] + 1))
        return Trajectory(
            frame=wanted,
            start=start,
            positions_A=without_drift(table.positions_A, table.track, start),
            species=np.argsort(self.symbols)[species],
            track=table.track,
            weight=atom_weights(table, self._window, self.cutoff_A, self.diffusion_A),
            symbols=self.symbols,
        )

    def _tables(self, first: int, last: int) -> list[AtomTable]:
        tables = []
        for file in self._files:
            with _opened(file) as parquet:
                groups = [g for g in range(parquet.num_row_groups) if _overlaps(parquet, g, first, last)]
                if groups:
                    rows = parquet.read_row_groups(groups)
                    names = [name for name in AtomTable.__dataclass_fields__ if name != "metadata"]
                    table = AtomTable(**{name: rows.column(name).to_numpy() for name in names})
                    tables.append(table[(table.frame >= first) & (table.frame <= last)])
        return tables

    def _column(self, file: Path, name: str) -> np.ndarray:
        with _opened(file) as parquet:
            try:
                return np.asarray(parquet.read([name]).column(name).to_numpy())
            except (KeyError, pa.ArrowException) as error:
                raise AtomTableError(
                    f"cannot read atoms from {file}", error, "a Parquet file written by hpcstem"
                ) from error


def without_drift(positions_A: np.ndarray, track: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Take off the mean step of all linked atoms, added up from the first frame on.

    Parameters
    ----------
    positions_A
        (x, y) [Å], with shape (n_rows, 2), float64.
    track
        Identity of each atom, rising within a frame, with shape (n_rows,), int64.
    start
        First row of each frame, and the number of rows.

    Returns
    -------
    numpy.ndarray
        With the shape of `positions_A`.
    """
    still_A = positions_A.copy()
    drift_A = np.zeros(2)
    for first, middle, last in zip(start, start[1:], start[2:], strict=False):
        _, old, new = np.intersect1d(track[first:middle], track[middle:last], return_indices=True)
        linked = track[first:middle][old] != NO_TRACK
        if linked.any():
            step_A = positions_A[middle:last][new[linked]] - positions_A[first:middle][old[linked]]
            drift_A = drift_A + step_A.mean(axis=0)
        still_A[middle:last] -= drift_A
    return still_A


def _opened(file: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(file)
    except (OSError, pa.ArrowException) as error:
        raise AtomTableError(f"cannot read atoms from {file}", error, "a Parquet file written by hpcstem") from error


def _overlaps(parquet: pq.ParquetFile, group: int, first: int, last: int) -> bool:
    column = parquet.schema_arrow.names.index("frame")
    statistics = parquet.metadata.row_group(group).column(column).statistics
    return statistics is None or (statistics.min <= last and statistics.max >= first)


def _check_table(table: AtomTable, symbols: tuple[str, ...], path: Path) -> None:
    """Refuse several movies, species without a potential, unlinked atoms, and two pixel sizes in one table."""
    movies = np.unique(table.movie)
    if len(movies) > 1:
        raise StructureError(f"atoms in {path}", f"{len(movies)} movies: {', '.join(movies)}", "the atoms of one movie")
    unknown = np.setdiff1d(table.species, symbols)
    if len(unknown):
        wanted = f"only {', '.join(symbols)}; or name all of them with --species"
        raise StructureError(f"species in {path}", ", ".join(unknown), wanted)
    if len(table) and not (table.track >= 0).any():
        raise StructureError(f"atoms in {path}", "none that is linked", "`hpcstem potentials link` first")
    far = np.abs(table.x_px) > 1
    ratio = table.x_A[far] / table.x_px[far]
    if len(ratio) and np.ptp(ratio) > _PIXEL_TOLERANCE * abs(np.median(ratio)):
        raise StructureError(
            f"units of x_px and x_A in {path}", f"{ratio.min():.4g} to {ratio.max():.4g} Å per pixel", "one pixel size"
        )
