"""Statistical normal modes: principal components of local distortions, in the symmetry of the lattice.

A site and its first shell go into themselves under the twelve operations of the hexagon's point group. No
orientation is told apart before an image is seen, so the covariance of the distortions is averaged over the twelve.
Modes that a symmetry joins then have one variance, and form a multiplet [1]_.

References
----------
.. [1] S. V. Kalinin, "AI and ML in microscopy: a material opportunity", Oak Ridge National Laboratory (2019), on
   phase transitions through statistical normal modes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hpcstem.errors import StructureError
from hpcstem.lattice.distortions import CLUSTER, N_COORDINATES, LocalDistortions
from hpcstem.lattice.triangular import lattice_vectors

DEGENERATE = 1e-6
"""Difference of variances, as a part of the largest, below which modes are one multiplet."""


@dataclass(frozen=True)
class DistortionSums:
    """Products of the distortions of one image.

    Parameters
    ----------
    n_sites
        Number of sites.
    products_A2
        Sum of the outer products of the distortions [Å²], with shape (14, 14), float64.
    """

    n_sites: int
    products_A2: np.ndarray


@dataclass(frozen=True)
class NormalModes:
    """Modes of local distortion, the strongest first.

    Parameters
    ----------
    vectors
        Unit vectors of the modes, with shape (14, 14), float64; row m is mode m, its coordinates those of
        `LocalDistortions.values_A`. The last two, of no variance, are the translations.
    variance_A2
        Mean square amplitude of each mode [Å²], with shape (14,), float64.
    multiplet
        Number of the multiplet of each mode, with shape (14,), int64.
    n_sites
        Sites that they come from.
    """

    vectors: np.ndarray
    variance_A2: np.ndarray
    multiplet: np.ndarray
    n_sites: int

    def amplitudes_A(self, distortions: LocalDistortions) -> np.ndarray:
        """Amplitude of each mode at each site [Å], with shape (n_sites, 14), float64."""
        return distortions.values_A @ self.vectors.T


@dataclass(frozen=True)
class ModeAnalysis:
    """Analysis: local distortions of images to their normal modes; a batch is one image."""

    def process(self, batch: LocalDistortions) -> tuple[DistortionSums, ...]:
        """Add up the products of one image."""
        # An array that came through a network may be unaligned, and its product then rounded by another routine.
        values_A = np.require(batch.values_A, requirements="A")
        return (DistortionSums(len(values_A), values_A.T @ values_A),)

    def merge(self, left: tuple[DistortionSums, ...], right: tuple[DistortionSums, ...]) -> tuple[DistortionSums, ...]:
        """Put images one after another: added up here, their order would decide the last digits."""
        return left + right

    def finish(self, partial: tuple[DistortionSums, ...]) -> NormalModes:
        """Average over the symmetry operations and find the principal axes.

        Raises
        ------
        StructureError
            Fewer sites than coordinates.
        """
        n_sites = sum(image.n_sites for image in partial)
        if n_sites < N_COORDINATES:
            raise StructureError("sites with all first neighbours", n_sites, f"at least {N_COORDINATES}")
        covariance_A2 = np.sum([image.products_A2 for image in partial], axis=0) / n_sites
        operations = hexagon_operations()
        symmetric_A2 = np.mean([g @ covariance_A2 @ g.T for g in operations], axis=0)
        variance_A2, vectors = np.linalg.eigh(symmetric_A2)
        variance_A2, vectors = variance_A2[::-1].clip(min=0.0), np.ascontiguousarray(vectors[:, ::-1].T)
        multiplet = np.concatenate([[0], np.cumsum(-np.diff(variance_A2) > DEGENERATE * variance_A2[0])])
        for number in range(multiplet[-1] + 1):
            vectors[multiplet == number] = _oriented(vectors[multiplet == number])
        return NormalModes(vectors, variance_A2, multiplet, n_sites)


def hexagon_operations() -> np.ndarray:
    """Six turns and six mirrors of a site and its shell, as they act on distortions, with shape (12, 14, 14)."""
    places = CLUSTER @ lattice_vectors(1.0, 0.0)
    turns = [_rotation(np.pi / 3 * k) for k in range(6)]
    mirror = np.diag([1.0, -1.0])
    operations = []
    for move in [*turns, *(turn @ mirror for turn in turns)]:
        moved = places @ move.T
        goes_to = np.linalg.norm(moved[:, None] - places, axis=2).argmin(axis=1)
        permutation = np.zeros((len(places), len(places)))
        permutation[goes_to, np.arange(len(places))] = 1.0
        operations.append(np.kron(permutation, move))
    return np.array(operations)


def _rotation(angle_rad: float) -> np.ndarray:
    return np.array([[np.cos(angle_rad), -np.sin(angle_rad)], [np.sin(angle_rad), np.cos(angle_rad)]])


def _oriented(vectors: np.ndarray) -> np.ndarray:
    """The same space in a basis that does not hang on rounding: along its first coordinates that are not zero.

    y goes before x, so that a doublet is (η₁, η₂) of the Landau polynomial: a mirror across y turns η₁ only.
    """
    y_before_x = np.arange(N_COORDINATES).reshape(-1, 2)[:, ::-1].ravel()
    projector = (vectors.T @ vectors)[y_before_x]
    basis: list[np.ndarray] = []
    for axis in projector:
        rest = axis - sum(((axis @ b) * b for b in basis), np.zeros_like(axis))
        if len(basis) < len(vectors) and np.linalg.norm(rest) > 1e-3:
            basis.append(rest / np.linalg.norm(rest))
    return np.array(basis)
