"""What happens to a sheet over a trajectory: rings, Stone-Wales defects, holes, bonds broken and made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import ase
import numpy as np

from hpcstem.errors import StructureError
from hpcstem.structure.defects import DefectKind, find_defects
from hpcstem.structure.geometry import RingGeometry, ring_geometry
from hpcstem.structure.sheet import Sheet, sheet_of

RING_SIZES = (5, 6, 7, 8)


@dataclass(frozen=True, eq=False)
class SheetHistory:
    """A sheet, frame by frame.

    Parameters
    ----------
    ring_counts
        Rings of `RING_SIZES`, with shape (n_frames, 4), int64.
    n_stone_wales
        Stone-Wales defects 5-7-7-5, with shape (n_frames,), int64.
    largest_hole
        Atoms around the largest hole, 0 without one, with shape (n_frames,), int64.
    n_broken, n_made
        Bonds of the first frame that are not there, and bonds that the first frame did not have, with shape
        (n_frames,), int64.
    geometry
        Bond lengths and angles by ring size over the second half of the frames.
    """

    ring_counts: np.ndarray
    n_stone_wales: np.ndarray
    largest_hole: np.ndarray
    n_broken: np.ndarray
    n_made: np.ndarray
    geometry: tuple[RingGeometry, ...]

    @property
    def stone_wales_frames(self) -> np.ndarray:
        """Frames in which there are more Stone-Wales defects than in the frame before, int64."""
        return np.asarray(np.flatnonzero(np.diff(self.n_stone_wales) > 0) + 1)

    @property
    def first_broken_frame(self) -> int | None:
        """First of two frames in a row without some bond of the first frame: one alone may be a vibration."""
        both = np.flatnonzero((self.n_broken[:-1] > 0) & (self.n_broken[1:] > 0))
        return int(both[0]) if len(both) else None

    @property
    def healed(self) -> float | None:
        """Share of the largest hole that has closed, 1 where none is left; None where there was none."""
        if not len(self.largest_hole) or self.largest_hole[0] == 0:
            return None
        return float(1 - self.largest_hole[-1] / self.largest_hole[0])


def sheet_history(frames: Sequence[ase.Atoms]) -> SheetHistory:
    """Follow the sheet of a trajectory.

    Atoms that join the sheet, as the carbon of CH3 that heals a hole does, belong to it from then on.

    Parameters
    ----------
    frames
        Structures of the same atoms in order of time; the sheet lies in x and y.

    Raises
    ------
    StructureError
        There is no frame, or one without a sheet.
    """
    if not len(frames):
        raise StructureError("frames of a trajectory", 0, "at least one")
    sheets = [sheet_of(frame) for frame in frames]
    bonds = [_bonds(frame) for frame in frames]
    defects = [find_defects(sheet.drawn, sheet.rings) for sheet in sheets]
    return SheetHistory(
        ring_counts=np.array([[sheet.rings.counts(RING_SIZES)[size] for size in RING_SIZES] for sheet in sheets]),
        n_stone_wales=np.array([sum(one.kind is DefectKind.STONE_WALES for one in found) for found in defects]),
        largest_hole=np.array([max((len(hole) for hole in sheet.rings.holes), default=0) for sheet in sheets]),
        n_broken=np.array([len(bonds[0] - later) for later in bonds]),
        n_made=np.array([len(later - bonds[0]) for later in bonds]),
        geometry=tuple(_pooled(sheets[len(sheets) // 2 :])),
    )


def _bonds(frame: ase.Atoms) -> set[tuple[int, int]]:
    """Bonds between all atoms that are no hydrogen, whether they belong to the sheet or not."""
    heavy = np.flatnonzero(frame.numbers != 1)
    sheet = sheet_of(frame, heavy)
    ends = np.sort(sheet.atoms[sheet.graph.edges], axis=1)
    return {(int(i), int(j)) for i, j in ends}


def _pooled(sheets: Sequence[Sheet]) -> Iterator[RingGeometry]:
    """Mean and spread over the rings of all frames."""
    rows: dict[int, list[RingGeometry]] = {}
    for sheet in sheets:
        for row in ring_geometry(sheet.graph, sheet.rings):
            rows.setdefault(row.size, []).append(row)
    for size in sorted(rows):
        weights = np.array([row.n_rings for row in rows[size]], float)
        length_A, length_spread_A = _mean_spread(
            weights, [row.length_A for row in rows[size]], [row.length_spread_A for row in rows[size]]
        )
        angle_deg, angle_spread_deg = _mean_spread(
            weights, [row.angle_deg for row in rows[size]], [row.angle_spread_deg for row in rows[size]]
        )
        yield RingGeometry(size, int(weights.sum()), length_A, length_spread_A, angle_deg, angle_spread_deg)


def _mean_spread(weights: np.ndarray, means: Sequence[float], spreads: Sequence[float]) -> tuple[float, float]:
    mean = float(np.average(means, weights=weights))
    variance = float(np.average(np.square(spreads) + np.square(np.asarray(means) - mean), weights=weights))
    return mean, float(np.sqrt(variance))
