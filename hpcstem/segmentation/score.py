"""Found atoms against known ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree


@dataclass(frozen=True)
class Score:
    """Counts that add up over frames.

    Parameters
    ----------
    n_found, n_true, n_matched
        Atoms of one species found, there, and found within tolerance of one that is there.
    squared_error_A2
        Sum of squared distances of the matched pairs [Å²].
    """

    n_found: int = 0
    n_true: int = 0
    n_matched: int = 0
    squared_error_A2: float = 0.0

    def __add__(self, other: Score) -> Score:
        return Score(
            self.n_found + other.n_found,
            self.n_true + other.n_true,
            self.n_matched + other.n_matched,
            self.squared_error_A2 + other.squared_error_A2,
        )

    @property
    def precision(self) -> float:
        """Matched over found; 1 where nothing was found."""
        return self.n_matched / self.n_found if self.n_found else 1.0

    @property
    def recall(self) -> float:
        """Matched over there; 1 where nothing is there."""
        return self.n_matched / self.n_true if self.n_true else 1.0

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        return 2 * self.n_matched / max(self.n_found + self.n_true, 1)

    @property
    def rmse_A(self) -> float:
        """Root mean square distance of the matched pairs [Å]; NaN without any."""
        return float(np.sqrt(self.squared_error_A2 / self.n_matched)) if self.n_matched else float("nan")


def match(found_A: np.ndarray, true_A: np.ndarray, tolerance_A: float = 0.5) -> np.ndarray:
    """Pairs of found and true atoms that are each other's nearest and within tolerance.

    Parameters
    ----------
    found_A, true_A
        (x, y) [Å], with shapes (n, 2) and (m, 2).
    tolerance_A
        Largest distance of a pair [Å].

    Returns
    -------
    numpy.ndarray
        Indices (found, true), with shape (n_pairs, 2), int.
    """
    if len(found_A) == 0 or len(true_A) == 0:
        return np.empty((0, 2), int)
    distance, to_true = cKDTree(true_A).query(found_A, distance_upper_bound=tolerance_A)
    _, to_found = cKDTree(found_A).query(true_A)
    rows = np.flatnonzero(np.isfinite(distance))
    rows = rows[to_found[to_true[rows]] == rows]
    return np.column_stack([rows, to_true[rows]])


def score(
    found_A: np.ndarray,
    found_species: np.ndarray,
    true_A: np.ndarray,
    true_species: np.ndarray,
    field_A: tuple[float, float],
    edge_A: float = 1.0,
    tolerance_A: float = 0.5,
) -> dict[str, Score]:
    """Score one frame, per species, away from the edge.

    An atom counts as found when a found atom of the same species lies within tolerance. Atoms nearer than `edge_A` to
    the edge do not count, on either side; they may still be the partner of one that does.

    Parameters
    ----------
    found_A, true_A
        (x, y) [Å], with shapes (n, 2) and (m, 2).
    found_species, true_species
        Symbols, with shapes (n,) and (m,).
    field_A
        Width and height of the frame [Å].
    edge_A
        Width of the edge that does not count [Å].
    tolerance_A
        Largest distance of a match [Å].
    """
    result = {}
    for symbol in sorted({*true_species, *found_species}):
        found, true = found_A[found_species == symbol], true_A[true_species == symbol]
        pairs = match(found, true, tolerance_A)
        found_in, true_in = (away_from_edge(points, field_A, edge_A) for points in (found, true))
        matched = pairs[true_in[pairs[:, 1]]]
        error = found[matched[:, 0]] - true[matched[:, 1]]
        partnered = np.zeros(len(found), bool)
        partnered[pairs[:, 0]] = True
        n_false = int((found_in & ~partnered).sum())
        result[str(symbol)] = Score(len(matched) + n_false, int(true_in.sum()), len(matched), float((error**2).sum()))
    return result


def away_from_edge(points_A: np.ndarray, field_A: tuple[float, float], edge_A: float = 1.0) -> np.ndarray:
    """Whether points (x, y) [Å], with shape (n, 2), lie at least `edge_A` inside a field; shape (n,), bool."""
    return np.all((points_A >= edge_A) & (points_A <= np.array(field_A) - edge_A), axis=1)
