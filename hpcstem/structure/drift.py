"""Rigid shift of a sheet between two frames, from its decoded atoms."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter, maximum_filter
from scipy.spatial import cKDTree

_SEARCH_A = 6.0
"""Longest shift looked for [Å]."""
_BIN_A = 0.1
_MATCHED_ENOUGH = 0.8
_CLEARLY_BETTER = 0.1
"""A longer shift is taken only if it matches this much more of the atoms."""
_MIN_SILICON = 3
"""One or two silicon atoms that hop alike look like a shift of the lattice; three that all agree hardly do."""


def frame_shift_A(
    before_A: np.ndarray,
    species_before: np.ndarray,
    after_A: np.ndarray,
    species_after: np.ndarray,
    gate_A: float,
) -> np.ndarray:
    """Most plausible rigid shift from one frame to the next.

    A lattice looks the same after a shift by a lattice vector. Among the shifts of up to 6 Å that bring
    nearly equally many atoms onto atoms the shortest is taken, unless three or more silicon atoms in each frame
    all agree on another one while most of them disagree with the shortest.

    Parameters
    ----------
    before_A, after_A
        x and y in the two frames [Å], with shapes (n, 2) and (m, 2), float64.
    species_before, species_after
        Their chemical symbols, with shapes (n,) and (m,), str.
    gate_A
        Distance up to which two atoms count as one [Å].

    Returns
    -------
    numpy.ndarray
        Shift in x and y [Å], with shape (2,), float64; zero where fewer than three atoms match.
    """
    if len(before_A) < 3 or len(after_A) < 3:
        return np.zeros(2)
    tree = cKDTree(before_A)
    silicon = before_A[species_before == "Si"], after_A[species_after == "Si"]
    shortest_A, score = _refined(tree, after_A, np.zeros(2), gate_A)
    misled = min(map(len, silicon)) >= _MIN_SILICON and _agreeing(*silicon, shortest_A, gate_A) < 0.5
    if score >= _MATCHED_ENOUGH and not misled:
        return shortest_A
    best = (score, shortest_A)
    for candidate in _voted(tree, after_A):
        shift_A, score = _refined(tree, after_A, candidate, gate_A)
        if misled and score >= _MATCHED_ENOUGH and _agreeing(*silicon, shift_A, gate_A) == 1.0:
            return shift_A
        if score > best[0] + _CLEARLY_BETTER:
            best = (score, shift_A)
    return best[1]


def _agreeing(before_A: np.ndarray, after_A: np.ndarray, shift_A: np.ndarray, gate_A: float) -> float:
    """Share of the atoms after a shift that were there before it."""
    return float(np.isfinite(cKDTree(before_A).query(after_A - shift_A, distance_upper_bound=gate_A)[0]).mean())


def _voted(tree: cKDTree, after_A: np.ndarray) -> np.ndarray:
    """Peaks of the histogram of all displacements up to `_SEARCH_A`, shortest first, with shape (n_peaks, 2)."""
    pairs = tree.sparse_distance_matrix(cKDTree(after_A), _SEARCH_A, output_type="ndarray")
    displacements_A = after_A[pairs["j"]] - tree.data[pairs["i"]]
    edges_A = np.arange(-_SEARCH_A, _SEARCH_A + _BIN_A / 2, _BIN_A)
    counts = np.histogram2d(displacements_A[:, 0], displacements_A[:, 1], bins=[edges_A, edges_A])[0]
    votes = gaussian_filter(counts, 2.0)
    peaks = (votes == maximum_filter(votes, 7)) & (votes > 0.5 * votes.max())
    peaks_A = edges_A[np.argwhere(peaks)] + _BIN_A / 2
    return peaks_A[np.argsort(np.linalg.norm(peaks_A, axis=1), kind="stable")]


def _refined(tree: cKDTree, after_A: np.ndarray, shift_A: np.ndarray, gate_A: float) -> tuple[np.ndarray, float]:
    """Shift improved by the median residual of matched atoms, and the share of atoms that it matches."""
    shift_A = shift_A.copy()
    matched = np.zeros(len(after_A), bool)
    for _ in range(3):
        distances_A, nearest = tree.query(after_A - shift_A, distance_upper_bound=gate_A)
        matched = np.isfinite(distances_A)
        if matched.sum() < 3:
            return np.zeros(2), 0.0
        residual_A = np.median(after_A[matched] - shift_A - tree.data[nearest[matched]], axis=0)
        shift_A += residual_A
        if np.abs(residual_A).max() < 0.01:
            break
    # Atoms that a shift moves in from outside the field before cannot match: count only where there was sheet.
    low, high = tree.data.min(axis=0), tree.data.max(axis=0)
    seen = ((after_A - shift_A >= low) & (after_A - shift_A <= high)).all(axis=1)
    return shift_A, float(matched[seen].mean()) if seen.any() else 0.0
