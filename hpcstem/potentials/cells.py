"""Atoms sorted into cells, so that the pairs closer than a cut-off are met once each and fast.

Atoms are sorted into rows as high as the cut-off and narrow columns. An atom pairs with atoms of its own row
and of the next, and in each the reachable part is one contiguous run of the sorted atoms, cut to the chord of
the cut-off circle. Long runs without a branch fill the vector registers, which is worth more than the few
distances that finer rows would save. Each pair is met once. In a periodic box, images of the atoms near two of
its edges are added first, so that one search serves both kinds of boundary.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

from hpcstem.errors import StructureError

_COLUMNS_PER_CUTOFF = 12
MARGIN = 1e-6
"""The search reaches further by this fraction of the cut-off, so that rounding never loses a pair."""


def checked_positions(positions_A: np.ndarray, cutoff_A: float, box_A: tuple[float, float] | None) -> np.ndarray:
    """Positions as contiguous float64, with shape (n_atoms, 2).

    Raises
    ------
    StructureError
        Positions of the wrong shape or not finite, or a cut-off that is not positive or beyond half the box.
    """
    positions_A = np.ascontiguousarray(positions_A, dtype=np.float64)
    if positions_A.ndim != 2 or positions_A.shape[1] != 2:
        raise StructureError("positions", f"shape {positions_A.shape}", "x and y of each atom, shape (n_atoms, 2)")
    if not np.isfinite(positions_A).all():
        raise StructureError("positions", "a value that is not finite", "finite numbers in Å")
    if not (np.isfinite(cutoff_A) and cutoff_A > 0):
        raise StructureError("cut-off", f"{cutoff_A} Å", "a length above 0 Å")
    if box_A is not None and not cutoff_A <= min(box_A) / 2:
        raise StructureError(
            f"cut-off in a periodic box of {box_A[0]} Å × {box_A[1]} Å",
            f"{cutoff_A} Å",
            f"at most half the shorter side, {min(box_A) / 2} Å",
        )
    return positions_A


def with_images(
    positions_A: np.ndarray, cutoff_A: float, box_A: tuple[float, float] | None
) -> tuple[np.ndarray, np.ndarray]:
    """Positions wrapped into the box, then their images that matter; and the atom that each belongs to.

    An atom and an image of another are the same pair as the other and the opposite image. So the images to the
    right and above are enough, those above and to the left or right included.
    """
    source = np.arange(len(positions_A))
    if box_A is None:
        return positions_A, source
    width, height = box_A
    atoms = np.mod(positions_A, np.asarray(box_A, dtype=np.float64))
    to_right, to_left = source[atoms[:, 0] < cutoff_A], source[atoms[:, 0] >= width - cutoff_A]
    right, left = atoms[to_right] + (width, 0), atoms[to_left] - (width, 0)
    lower, lower_source = np.concatenate([atoms, right, left]), np.concatenate([source, to_right, to_left])
    low = lower[:, 1] < cutoff_A
    images = np.concatenate([atoms, right, lower[low] + (0, height)])
    return images, np.concatenate([source, to_right, lower_source[low]])


class Cells(NamedTuple):
    """Atoms sorted by cell: indices and coordinates in that order, where each cell begins, and the grid."""

    order: np.ndarray
    begin: np.ndarray
    x: np.ndarray
    y: np.ndarray
    x_origin: float
    y_origin: float
    columns_per_A: float
    rows_per_A: float
    n_columns: int
    n_rows: int


@numba.njit(cache=True)
def sorted_into_cells(atoms: np.ndarray, cutoff: float) -> Cells:
    """Sort at least one atom, with shape (n_atoms, 2), into cells for a cut-off [Å]."""
    n_atoms = len(atoms)
    x_origin, y_origin = atoms[:, 0].min(), atoms[:, 1].min()
    width = atoms[:, 0].max() - x_origin + 1e-3 * cutoff
    height = atoms[:, 1].max() - y_origin + 1e-3 * cutoff
    # The number of cells stays in proportion to the atoms, however far apart they are.
    n_rows = max(1, int(min(height / cutoff, n_atoms)))
    n_columns = max(1, int(min(width / cutoff * _COLUMNS_PER_CUTOFF, 16 * n_atoms // n_rows)))
    columns_per_A, rows_per_A = n_columns / width, n_rows / height
    cell = np.empty(n_atoms, np.int64)
    begin = np.zeros(n_rows * n_columns + 1, np.int64)
    for i in range(n_atoms):
        column = min(int((atoms[i, 0] - x_origin) * columns_per_A), n_columns - 1)
        row = min(int((atoms[i, 1] - y_origin) * rows_per_A), n_rows - 1)
        cell[i] = row * n_columns + column
        begin[cell[i] + 1] += 1
    for c in range(n_rows * n_columns):
        begin[c + 1] += begin[c]
    order, x, y = np.empty(n_atoms, np.int64), np.empty(n_atoms), np.empty(n_atoms)
    following = begin[:-1].copy()
    for i in range(n_atoms):
        position = following[cell[i]]
        order[position], x[position], y[position] = i, atoms[i, 0], atoms[i, 1]
        following[cell[i]] += 1
    return Cells(order, begin, x, y, x_origin, y_origin, columns_per_A, rows_per_A, n_columns, n_rows)


@numba.njit(cache=True)
def row_at(y: float, cells: Cells) -> int:
    """Row of cells at the height `y` [Å]."""
    return min(int((y - cells.y_origin) * cells.rows_per_A), cells.n_rows - 1)


@numba.njit(cache=True)
def run_of(i: int, row: int, own_row: int, cells: Cells, cutoff: float) -> tuple[int, int]:
    """First and last + 1 of the sorted atoms of `row` that atom `i` can reach and that have not met it."""
    x, y = cells.x[i] - cells.x_origin, cells.y[i] - cells.y_origin
    gap = max(0.0, row / cells.rows_per_A - y)
    chord = np.sqrt(max(0.0, cutoff * cutoff - gap * gap)) + MARGIN * cutoff
    base = row * cells.n_columns
    last = cells.begin[base + min(int((x + chord) * cells.columns_per_A), cells.n_columns - 1) + 1]
    first = i + 1 if row == own_row else cells.begin[base + int(max(x - chord, 0.0) * cells.columns_per_A)]
    return first, max(first, last)
