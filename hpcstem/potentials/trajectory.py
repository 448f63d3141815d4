"""Snapshots of linked atoms in the order of time: what the force fit reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from hpcstem.atoms import NO_TRACK
from hpcstem.errors import StructureError

_SHORTEST_A = 1e-3


@dataclass(frozen=True)
class Trajectory:
    """Consecutive snapshots; atoms of one snapshot are adjacent rows.

    Parameters
    ----------
    frame
        Number of each snapshot, rising, with shape (n_frames,), int64. Where a number is left out, no motion
        across the gap is used.
    start
        First row of each snapshot, and the number of rows, with shape (n_frames + 1,), int64.
    positions_A
        (x, y) of each atom [Å], with shape (n_rows, 2), float64.
    species
        Index into `symbols`, with shape (n_rows,), int64.
    track
        Identity of the atom over snapshots, `NO_TRACK` for one that is only a neighbour of others, with shape
        (n_rows,), int64.
    weight
        How much each atom's motion counts, 0 or more, with shape (n_rows,), float64.
    symbols
        Names of the species.
    box_A
        Sides of a periodic rectangle with a corner at the origin [Å]; None for open boundaries.

    Raises
    ------
    StructureError
        Columns of unequal length, frames out of order, values that are not finite, an unknown species, a track
        twice in one frame, or two atoms in one place.
    """

    frame: np.ndarray
    start: np.ndarray
    positions_A: np.ndarray
    species: np.ndarray
    track: np.ndarray
    weight: np.ndarray
    symbols: tuple[str, ...]
    box_A: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        for name, dtype in (
            ("frame", np.int64),
            ("start", np.int64),
            ("positions_A", np.float64),
            ("species", np.int64),
            ("track", np.int64),
            ("weight", np.float64),
        ):
            object.__setattr__(self, name, np.ascontiguousarray(getattr(self, name), dtype=dtype))
        n_rows = len(self.positions_A)
        shapes = self.positions_A.shape, self.species.shape, self.track.shape, self.weight.shape, self.start.shape
        if shapes != ((n_rows, 2), (n_rows,), (n_rows,), (n_rows,), (len(self.frame) + 1,)):
            raise StructureError("columns of the trajectory", shapes, f"{n_rows} rows in {len(self.frame)} frames")
        self._check_frames()
        self._check_values()

    def __len__(self) -> int:
        return len(self.frame)

    def rows(self, index: int) -> slice:
        """Rows of one snapshot."""
        return slice(int(self.start[index]), int(self.start[index + 1]))

    def __getitem__(self, frames: slice) -> Trajectory:
        """Snapshots of a slice with step 1."""
        first, stop, _ = frames.indices(len(self))
        rows = slice(int(self.start[first]), int(self.start[max(first, stop)]))
        columns = {name: getattr(self, name)[rows] for name in ("positions_A", "species", "track", "weight")}
        start = self.start[first : max(first, stop) + 1] - self.start[first]
        return replace(self, frame=self.frame[first:stop], start=start, **columns)

    @classmethod
    def from_arrays(
        cls,
        positions_A: np.ndarray,
        species: np.ndarray,
        symbols: Sequence[str],
        box_A: tuple[float, float] | None = None,
        first_frame: int = 0,
    ) -> Trajectory:
        """Trajectory of the same atoms in every snapshot.

        Parameters
        ----------
        positions_A
            (x, y) [Å], with shape (n_frames, n_atoms, 2), float64.
        species
            Index into `symbols`, with shape (n_atoms,), integer.
        symbols
            Names of the species.
        box_A
            Sides of a periodic rectangle with a corner at the origin [Å]; None for open boundaries.
        first_frame
            Number of the first snapshot.

        Raises
        ------
        StructureError
            See the class.
        """
        positions_A = np.asarray(positions_A, np.float64)
        if positions_A.ndim != 3 or positions_A.shape[2] != 2:
            raise StructureError("positions of the trajectory", f"shape {positions_A.shape}", "(n_frames, n_atoms, 2)")
        n_frames, n_atoms = positions_A.shape[:2]
        return cls(
            frame=first_frame + np.arange(n_frames),
            start=np.arange(n_frames + 1) * n_atoms,
            positions_A=positions_A.reshape(-1, 2),
            species=np.tile(np.asarray(species), n_frames),
            track=np.tile(np.arange(n_atoms), n_frames),
            weight=np.ones(n_frames * n_atoms),
            symbols=tuple(symbols),
            box_A=box_A,
        )

    def _check_frames(self) -> None:
        steps = np.diff(self.frame)
        if len(steps) and not (steps > 0).all():
            at = int(np.flatnonzero(steps <= 0)[0])
            raise StructureError(
                "frames of the trajectory",
                f"frame {self.frame[at + 1]} after frame {self.frame[at]}",
                "frames in the order of time, each once",
            )
        if self.start[0] != 0 or self.start[-1] != len(self.positions_A) or (np.diff(self.start) < 0).any():
            raise StructureError("first rows of the frames", f"{self.start[0]} … {self.start[-1]}", "rising from 0")

    def _check_values(self) -> None:
        for index in range(len(self)):
            rows = self.rows(index)
            where = f"frame {self.frame[index]}"
            if not np.isfinite(self.positions_A[rows]).all():
                raise StructureError(f"positions in {where}", "a value that is not finite", "finite numbers in Å")
            species, weight, track = self.species[rows], self.weight[rows], self.track[rows]
            if len(species) and not (species.min() >= 0 and species.max() < len(self.symbols)):
                raise StructureError(f"species in {where}", f"index {species.max()}", f"one of {self.symbols}")
            if not (np.isfinite(weight) & (weight >= 0)).all():
                raise StructureError(f"weights in {where}", "a value below 0 or not finite", "numbers of 0 or more")
            linked = np.sort(track[track != NO_TRACK])
            if (linked[1:] == linked[:-1]).any():
                twice = linked[1:][linked[1:] == linked[:-1]][0]
                raise StructureError(f"tracks in {where}", f"track {twice} twice", "each atom once per frame")
            x_A = self.positions_A[rows]
            ordered = x_A[np.lexsort((x_A[:, 1], x_A[:, 0]))]
            if (np.abs(np.diff(ordered, axis=0)).max(axis=1, initial=0) < _SHORTEST_A)[: len(ordered) - 1].any():
                raise StructureError(f"positions in {where}", "two atoms in one place", "each atom once per frame")
