"""Force on every atom per unit of each coefficient of the pair potentials: one matrix per snapshot.

Atom i feels U'(r_ij) along the vector to j, and j the opposite. Only the columns of pairs that hold its own
species differ from zero, so an atom has n_species × n_columns of them, ordered by the partner's species.

The matrix, and the products of one snapshot with another, are in single precision, which takes half the time; their
rounding is far below the noise of the motion. Sums over snapshots are in double precision.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numba
import numpy as np

from hpcstem.potentials.bases import GaussianBasis, PairBasis, SplineBasis
from hpcstem.potentials.cells import (
    MARGIN,
    Cells,
    checked_positions,
    row_at,
    run_of,
    sorted_into_cells,
    with_images,
)

N_DISTANCE_BINS = 512
"""Bins of the histogram of distances, from 0 to the cut-off."""
_PADDING = 4
"""A spline near the cut-off writes zeros beyond its block."""
_REACH = 7.5
"""Gaussians farther than this many standard deviations are below 1e-12 of their height."""


@dataclass(frozen=True)
class DesignRows:
    """Room for the matrices of the snapshots of one batch, filled in turn.

    Parameters
    ----------
    basis
        Functions of the distance.
    n_species
        Number of species.
    n_slots
        Number of rows kept, one per atom; one more collects the atoms that have none.
    n_extra
        Columns after those of the pairs, left to the caller.
    """

    basis: PairBasis
    n_species: int
    n_slots: int
    n_extra: int = 0

    @property
    def width(self) -> int:
        """Columns per atom and axis."""
        return self.n_species * self.basis.n_columns + self.n_extra

    def empty(self) -> np.ndarray:
        """Memory for one snapshot, flat, float32."""
        return np.zeros((self.n_slots + 1) * 2 * self.width + _PADDING, np.float32)

    def rows(self, memory: np.ndarray) -> np.ndarray:
        """View of that memory with shape (n_slots, 2, width): atom, axis x or y, column."""
        return memory[: self.n_slots * 2 * self.width].reshape(self.n_slots, 2, self.width)

    def fill(
        self,
        memory: np.ndarray,
        positions_A: np.ndarray,
        species: np.ndarray,
        slot: np.ndarray,
        box_A: tuple[float, float] | None,
    ) -> np.ndarray:
        """Overwrite the memory with the matrix of one snapshot; return its histogram of distances.

        Parameters
        ----------
        memory
            As made by `empty`.
        positions_A
            All atoms of the snapshot, (x, y) [Å], with shape (n_atoms, 2), float64.
        species
            Index of each atom's species, with shape (n_atoms,), int64.
        slot
            Row of each atom, `n_slots` for one that has none, with shape (n_atoms,), int64.
        box_A
            Sides of a periodic rectangle with a corner at the origin [Å]; None for open boundaries.

        Returns
        -------
        numpy.ndarray
            Pairs by species of either atom and distance, with shape (n_species, n_species, N_DISTANCE_BINS),
            int64; a pair of unlike species is in one of its two places.

        Raises
        ------
        StructureError
            Positions that are not finite, or a cut-off beyond half the box.
        """
        basis = self.basis
        positions_A = checked_positions(positions_A, basis.cutoff_A, box_A)
        memory[:] = 0.0
        histogram = np.zeros((self.n_species, self.n_species, N_DISTANCE_BINS), np.int64)
        if len(positions_A) == 0:
            return histogram
        atoms, source = with_images(positions_A, basis.cutoff_A, box_A)
        base = slot[source] * (2 * self.width)
        kind = species[source]
        radius_A = -1.0 if basis.repulsion_radius_A is None else basis.repulsion_radius_A
        shape = (len(positions_A), basis.cutoff_A, basis.low_A, basis.n_functions, basis.n_columns, radius_A)
        if isinstance(basis, SplineBasis):
            _spline_kernel(atoms, base, kind, *shape, basis.step_A, self.width, memory, histogram)
        elif isinstance(basis, GaussianBasis):
            _gaussian_kernel(atoms, base, kind, *shape, basis.step_A, basis.sigma_A, self.width, memory, histogram)
        else:
            raise TypeError(f"no kernel for {type(basis).__name__}")
        return histogram


@numba.njit(cache=True, error_model="numpy")
def _partners_of(
    i: int,
    cells: Cells,
    n_real: int,
    cutoff: float,
    partner: np.ndarray,
    vector_x: np.ndarray,
    vector_y: np.ndarray,
    distance: np.ndarray,
) -> int:
    """Fill the buffers with the pairs that sorted atom `i` meets; return how many."""
    order, x, y = cells.order, cells.x, cells.y
    n = 0
    own_row = row_at(y[i], cells)
    for row in range(own_row, row_at(y[i] + cutoff * (1 + MARGIN), cells) + 1):
        first, last = run_of(i, row, own_row, cells, cutoff)
        for j in range(first, last):
            dx, dy = x[j] - x[i], y[j] - y[i]
            r = np.sqrt(dx * dx + dy * dy)
            # Written in any case and kept by moving on: no branch to mispredict.
            partner[n], vector_x[n], vector_y[n], distance[n] = j, dx, dy, r
            n += (r < cutoff) & (min(order[i], order[j]) < n_real)
    return n


@numba.njit(cache=True, error_model="numpy")
def _spline_kernel(
    atoms: np.ndarray,
    base: np.ndarray,
    kind: np.ndarray,
    n_real: int,
    cutoff: float,
    low: float,
    n_functions: int,
    n_columns: int,
    radius: float,
    step: float,
    width: int,
    out: np.ndarray,
    histogram: np.ndarray,
) -> None:
    cells = sorted_into_cells(atoms, cutoff)
    order, x, y = cells.order, cells.x, cells.y
    n_atoms = len(atoms)
    vector_x, vector_y, distance = np.empty(n_atoms), np.empty(n_atoms), np.empty(n_atoms)
    near, bins = np.empty(n_atoms + 1, np.int64), np.empty(n_atoms, np.uint32)
    intervals, weights = np.empty(n_atoms, np.int32), np.empty((4, n_atoms), np.float32)
    sorted_base, sorted_kind = base[order], kind[order]
    offset = (sorted_kind * N_DISTANCE_BINS).astype(np.int32)
    by_kind = histogram.reshape(len(histogram), -1)
    bins_per_A, per_A = N_DISTANCE_BINS / cutoff, 1.0 / step
    # Numbers of double precision would make all of the arithmetic so.
    none, one, two, three, four = np.float32(0), np.float32(1), np.float32(2), np.float32(3), np.float32(4)
    half_per_A, end = np.float32(per_A / 2), np.int32(n_functions - 1)
    for i in range(n_atoms):
        base_i, kind_i, real_i = sorted_base[i], sorted_kind[i], order[i] < n_real
        counts, own_row = by_kind[kind_i], row_at(y[i], cells)
        for row in range(own_row, row_at(y[i] + cutoff * (1 + MARGIN), cells) + 1):
            first, last = run_of(i, row, own_row, cells, cutoff)
            start, count = np.uint64(first), np.uint64(last - first)
            # Loops without a branch or a scatter are vectorised, also over what is too far.
            for p in range(count):
                dx, dy = x[start + p] - x[i], y[start + p] - y[i]
                vector_x[p], vector_y[p], distance[p] = dx, dy, np.sqrt(dx * dx + dy * dy)
            n = 0
            for p in range(count):
                near[n] = p
                n += (distance[p] < cutoff) & (real_i | (order[start + p] < n_real))
            for p in range(count):
                place = max((distance[p] - low) * per_A, 0.0)
                interval = min(np.int32(place), end)
                u = np.float32(place - interval)
                scale = half_per_A / np.float32(max(distance[p], 1e-12))
                intervals[p] = interval
                bins[p] = np.uint32(np.int32(distance[p] * bins_per_A) + offset[start + p])
                # Splines that do not vanish at the cut-off are not functions of the basis.
                weights[0, p] = (u - one) * (one - u) * scale
                weights[1, p] = (three * u - four) * u * scale if interval < n_functions - 1 else none
                weights[2, p] = ((two - three * u) * u + one) * scale if interval < n_functions - 2 else none
                weights[3, p] = u * u * scale if interval < n_functions - 3 else none
            for q in range(n):
                p = near[q]
                j = first + p
                counts[bins[p]] += 1
                at_i = np.uint64(base_i + sorted_kind[j] * n_columns + intervals[p])
                at_j = np.uint64(sorted_base[j] + kind_i * n_columns + intervals[p])
                w0, w1, w2, w3 = weights[0, p], weights[1, p], weights[2, p], weights[3, p]
                dx, dy = np.float32(vector_x[p]), np.float32(vector_y[p])
                _add(out, at_i, np.uint64(width), w0, w1, w2, w3, dx, dy)
                _add(out, at_j, np.uint64(width), w0, w1, w2, w3, -dx, -dy)
                if distance[p] < radius:
                    _add_repulsion(
                        out, at_i - np.uint64(intervals[p]), at_j - np.uint64(intervals[p]), n_functions, width, radius,
                        distance[p], vector_x[p], vector_y[p],
                    )  # fmt: skip


@numba.njit(cache=True, inline="always")
def _add(
    out: np.ndarray, at: np.uint64, width: np.uint64, w0: float, w1: float, w2: float, w3: float, dx: Any, dy: Any
) -> None:
    one, two, three = np.uint64(1), np.uint64(2), np.uint64(3)
    out[at] += w0 * dx
    out[at + one] += w1 * dx
    out[at + two] += w2 * dx
    out[at + three] += w3 * dx
    at_y = at + width
    out[at_y] += w0 * dy
    out[at_y + one] += w1 * dy
    out[at_y + two] += w2 * dy
    out[at_y + three] += w3 * dy


@numba.njit(cache=True)
def _add_repulsion(
    out: np.ndarray, at_i: Any, at_j: Any, column: int, width: int, radius: float, r: float, dx: float, dy: float
) -> None:
    slope = 2 * (r - radius) / max(r, 1e-12)
    for at, sign in ((int(at_i) + column, 1.0), (int(at_j) + column, -1.0)):
        out[at] += sign * slope * dx
        out[at + width] += sign * slope * dy


@numba.njit(cache=True)
def _gaussian_kernel(
    atoms: np.ndarray,
    base: np.ndarray,
    kind: np.ndarray,
    n_real: int,
    cutoff: float,
    low: float,
    n_functions: int,
    n_columns: int,
    radius: float,
    step: float,
    sigma: float,
    width: int,
    out: np.ndarray,
    histogram: np.ndarray,
) -> None:
    cells = sorted_into_cells(atoms, cutoff)
    n_atoms = len(atoms)
    partner, distance = np.empty(n_atoms + 1, np.int64), np.empty(n_atoms + 1)
    vector_x, vector_y = np.empty(n_atoms + 1), np.empty(n_atoms + 1)
    slope = np.empty(n_functions)
    bins_per_A = N_DISTANCE_BINS / cutoff
    reach = _REACH * sigma
    # exp(-(z - s)²/2) = exp(-z²/2) exp(z s) exp(-s²/2): two exponentials serve all centres.
    narrowing = np.exp(-((step / sigma) ** 2))
    for i in range(n_atoms):
        n = _partners_of(i, cells, n_real, cutoff, partner, vector_x, vector_y, distance)
        base_i, kind_i = base[cells.order[i]], kind[cells.order[i]]
        for p in range(n):
            j = cells.order[partner[p]]
            r = distance[p]
            histogram[kind_i, kind[j], int(r * bins_per_A)] += 1
            first = min(max(int(np.ceil((r - reach - low) / step)), 0), n_functions)
            last = max(min(int((r + reach - low) / step) + 1, n_functions), first)
            at_i = base_i + kind[j] * n_columns
            at_j = base[j] + kind_i * n_columns
            if last > first:
                z = (r - low - first * step) / sigma
                gaussian = np.exp(-0.5 * z * z)
                ratio = np.exp(z * step / sigma - 0.5 * (step / sigma) ** 2)
                scale = -1.0 / (sigma * max(r, 1e-12))
                for k in range(first, last):
                    slope[k] = scale * z * gaussian
                    z -= step / sigma
                    gaussian *= ratio
                    ratio *= narrowing
            for sign, at in ((1.0, at_i), (-1.0, at_j)):
                dx, dy = sign * vector_x[p], sign * vector_y[p]
                row_x, row_y = out[at : at + n_functions], out[at + width : at + width + n_functions]
                for k in range(first, last):
                    row_x[k] += slope[k] * dx
                    row_y[k] += slope[k] * dy
            if r < radius:
                _add_repulsion(out, at_i, at_j, n_functions, width, radius, r, vector_x[p], vector_y[p])
