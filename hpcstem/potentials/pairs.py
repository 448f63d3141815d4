"""Pairs of atoms closer than a cut-off in a plane: their histogram per species pair, or the list itself."""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np

from hpcstem.errors import StructureError
from hpcstem.potentials.cells import MARGIN, checked_positions, row_at, run_of, sorted_into_cells, with_images


@dataclass(frozen=True)
class HalfPairs:
    """Pairs of atoms closer than a cut-off, each once.

    Parameters
    ----------
    first, second
        Indices of the two atoms, with shape (n_pairs,), int64.
    vector_A
        (x, y) from `first` to the nearest image of `second` [Å], with shape (n_pairs, 2), float64.
    """

    first: np.ndarray
    second: np.ndarray
    vector_A: np.ndarray

    def __len__(self) -> int:
        return len(self.first)

    @property
    def distance_A(self) -> np.ndarray:
        """Length of `vector_A` [Å], with shape (n_pairs,), float64."""
        return np.sqrt(self.vector_A[:, 0] ** 2 + self.vector_A[:, 1] ** 2)


def species_pairs(n_species: int) -> list[tuple[int, int]]:
    """Unordered pairs of species indices in the order of the rows of `pair_histogram`: 00, 01, …, 11, …."""
    return [(a, b) for a in range(n_species) for b in range(a, n_species)]


def pair_histogram(
    positions_A: np.ndarray,
    species: np.ndarray,
    n_species: int,
    cutoff_A: float,
    n_bins: int,
    box_A: tuple[float, float] | None = None,
) -> np.ndarray:
    """Count pair distances per species pair in one pass over the atoms.

    Parameters
    ----------
    positions_A
        (x, y) [Å], with shape (n_atoms, 2), float64.
    species
        Index of each atom's species, 0 to `n_species` - 1, with shape (n_atoms,), integer.
    n_species
        Number of species.
    cutoff_A
        Upper end of the last bin [Å]; a distance r falls in bin floor(r * n_bins / cutoff_A).
    n_bins
        Number of equal bins from 0 to the cut-off.
    box_A
        Width and height of a periodic rectangle with a corner at the origin [Å]; None for open boundaries.

    Returns
    -------
    numpy.ndarray
        Number of pairs, each pair of atoms once, with shape (n_species * (n_species + 1) / 2, n_bins), int64;
        rows in the order of `species_pairs`.

    Raises
    ------
    StructureError
        Positions or species of the wrong shape or range, or a cut-off beyond half the box.
    """
    positions_A = checked_positions(positions_A, cutoff_A, box_A)
    species = np.asarray(species)
    if species.shape != (len(positions_A),):
        raise StructureError("species", f"shape {species.shape}", f"one index per atom, shape ({len(positions_A)},)")
    if len(species) and not (species.min() >= 0 and species.max() < n_species):
        raise StructureError("species", f"{species.min()} to {species.max()}", f"indices 0 to {n_species - 1}")
    if n_bins < 1:
        raise StructureError("n_bins", n_bins, "at least 1")
    atoms, source = with_images(positions_A, float(cutoff_A), box_A)
    if len(atoms) == 0:
        return np.zeros((len(species_pairs(n_species)), n_bins), np.int64)
    kinds = species.astype(np.int64)[source]
    # Images are species of their own, so that pairs of two images can be left out afterwards.
    kinds[len(positions_A) :] += n_species
    n_kinds = n_species if box_A is None else 2 * n_species
    by_kind = _histogram_kernel(atoms, kinds, n_kinds, float(cutoff_A), n_bins)[:, :, :n_bins]
    ordered = by_kind[:n_species, :n_species]
    if box_A is not None:
        ordered = ordered + by_kind[n_species:, :n_species] + by_kind[:n_species, n_species:]
    return np.stack([ordered[a, b] + (ordered[b, a] if a != b else 0) for a, b in species_pairs(n_species)], axis=0)


def half_pairs(positions_A: np.ndarray, cutoff_A: float, box_A: tuple[float, float] | None = None) -> HalfPairs:
    """Pairs of atoms with a distance below the cut-off, each once, in no particular but a reproducible order.

    Parameters
    ----------
    positions_A
        (x, y) [Å], with shape (n_atoms, 2), float64.
    cutoff_A
        Distances below this are listed [Å].
    box_A
        Width and height of a periodic rectangle with a corner at the origin [Å]; None for open boundaries.

    Raises
    ------
    StructureError
        Positions of the wrong shape or not finite, or a cut-off beyond half the box.
    """
    positions_A = checked_positions(positions_A, cutoff_A, box_A)
    atoms, source = with_images(positions_A, float(cutoff_A), box_A)
    if len(atoms) == 0:
        return HalfPairs(source, source, np.empty((0, 2)))
    return HalfPairs(*_pairs_kernel(atoms, source, len(positions_A), float(cutoff_A)))


@numba.njit(cache=True)
def _histogram_kernel(atoms: np.ndarray, species: np.ndarray, n_species: int, cutoff: float, n_bins: int) -> np.ndarray:
    """Histogram by ordered species pair; the bin after the last takes all that is too far."""
    cells = sorted_into_cells(atoms, cutoff)
    order, x, y = cells.order, cells.x, cells.y
    stride = n_bins + 1
    offset = (species[order] * stride).astype(np.int32)
    histogram = np.zeros((n_species, n_species * stride), np.int64)
    bins = np.empty(len(atoms), np.uint32)
    scale, limit = n_bins / cutoff, np.float64(n_bins)
    for i in range(len(atoms)):
        own = histogram[species[order[i]]]
        own_row = row_at(y[i], cells)
        for row in range(own_row, row_at(y[i] + cutoff * (1 + MARGIN), cells) + 1):
            first, last = run_of(i, row, own_row, cells, cutoff)
            # Unsigned indices and two loops: the first has no branch and no scatter, so it is vectorised.
            start, count = np.uint64(first), np.uint64(last - first)
            for k in range(count):
                dx, dy = x[start + k] - x[i], y[start + k] - y[i]
                bin_index = np.int32(min(np.sqrt(dx * dx + dy * dy) * scale, limit))
                bins[k] = np.uint32(bin_index + offset[start + k])
            for k in range(count):
                own[bins[k]] += 1
    return histogram.reshape(n_species, n_species, stride)


@numba.njit(cache=True)
def _pairs_kernel(
    atoms: np.ndarray, source: np.ndarray, n_real: int, cutoff: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Both members and the vectors between them; the first walk sizes the arrays, the second fills them."""
    cells = sorted_into_cells(atoms, cutoff)
    order, x, y = cells.order, cells.x, cells.y
    first_atom = second_atom = np.empty(0, np.int64)
    vector = np.empty((0, 2))
    n_pairs = 0
    for fill in (False, True):
        if fill:
            first_atom, second_atom = np.empty(n_pairs, np.int64), np.empty(n_pairs, np.int64)
            vector = np.empty((n_pairs, 2))
            n_pairs = 0
        for i in range(len(atoms)):
            own_row = row_at(y[i], cells)
            for row in range(own_row, row_at(y[i] + cutoff * (1 + MARGIN), cells) + 1):
                first, last = run_of(i, row, own_row, cells, cutoff)
                if not fill:
                    n_pairs += last - first
                    continue
                for j in range(first, last):
                    dx, dy = x[j] - x[i], y[j] - y[i]
                    # Written in any case and kept by moving on: no branch to mispredict.
                    first_atom[n_pairs], second_atom[n_pairs] = source[order[i]], source[order[j]]
                    vector[n_pairs, 0], vector[n_pairs, 1] = dx, dy
                    n_pairs += (np.sqrt(dx * dx + dy * dy) < cutoff) & (min(order[i], order[j]) < n_real)
    return first_atom[:n_pairs], second_atom[:n_pairs], vector[:n_pairs]
