"""The statistical distance of two histograms, and a model's histogram at weights near those it was sampled at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hpcstem.errors import StructureError
from hpcstem.lattice.sampling import Snapshots


def statistical_distance(p: np.ndarray, q: np.ndarray) -> float:
    """Arc cosine of Σ √(p q): 0 for equal distributions and π/2 for those that share no class.

    Parameters
    ----------
    p, q
        Counts or frequencies of the same classes, with shape (n_classes,); each is normalised.

    Raises
    ------
    StructureError
        Unlike shapes, a negative count, or no counts at all.
    """
    p, q = np.asarray(p, np.float64), np.asarray(q, np.float64)
    if p.shape != q.shape or p.ndim != 1:
        raise StructureError("histograms to compare", f"shapes {p.shape} and {q.shape}", "the same classes in both")
    if (p < 0).any() or (q < 0).any() or not p.sum() > 0 or not q.sum() > 0:
        raise StructureError("histograms to compare", "negative or no counts", "counts of 0 or more, not all 0")
    # 2 arcsin of half the chord, for the arc cosine loses half of the digits near 1.
    chord = np.linalg.norm(np.sqrt(p / p.sum()) - np.sqrt(q / q.sum()))
    return float(2 * np.arcsin(min(float(chord) / 2, 1.0)))


@dataclass(frozen=True)
class Reweighted:
    """A model's histogram at other weights than it was sampled at, and how it answers to them.

    Parameters
    ----------
    q
        Frequencies of the classes, with shape (n_classes,), float64.
    slope
        Derivative of q by the weights, with shape (n_classes, n_terms), float64.
    q_covariance
        Covariance of the frequencies of one snapshot, with shape (n_classes, n_classes), float64.
    energy_covariance
        Covariance of the energy terms of one snapshot, with shape (n_terms, n_terms), float64.
    effective
        Effective number of snapshots, (Σ u)² / Σ u².
    """

    q: np.ndarray
    slope: np.ndarray
    q_covariance: np.ndarray
    energy_covariance: np.ndarray
    effective: float


def importance(snapshots: Snapshots, step: np.ndarray) -> np.ndarray:
    """Normalised weights u ∝ exp(-E · step) of the snapshots, with shape (n_snapshots,), float64."""
    exponents = -(snapshots.energies - snapshots.energies.mean(axis=0)) @ step
    u = np.exp(exponents - exponents.max())
    return u / u.sum()


def reweighted(snapshots: Snapshots, step: np.ndarray) -> Reweighted:
    """Averages of a model whose weights differ by `step` from those it was sampled at."""
    u = importance(snapshots, step)
    frequencies = snapshots.histograms / snapshots.histograms.sum(axis=1, keepdims=True)
    q = u @ frequencies
    deviation = frequencies - q
    energies = snapshots.energies - u @ snapshots.energies
    return Reweighted(
        q,
        -(deviation * u[:, None]).T @ energies,
        (deviation * u[:, None]).T @ deviation,
        (energies * u[:, None]).T @ energies,
        float(1 / (u**2).sum()),
    )
