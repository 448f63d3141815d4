r"""What the displacements alone say: localisation noise, diffusion, and whether momentum is lost between frames.

With localisation noise of standard deviation σ per axis, successive displacements of an atom that forgets its
velocity have the covariance :math:`⟨Δx_n Δx_{n+1}⟩ = -σ^2`. Forces add about :math:`-Δ^2 ⟨F^2⟩` [1]_.

References
----------
.. [1] C. L. Vestergaard, P. C. Blainey and H. Flyvbjerg, Phys. Rev. E 89, 022726 (2014),
   https://doi.org/10.1103/PhysRevE.89.022726
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hpcstem.errors import StructureError
from hpcstem.potentials.alignment import Alignment
from hpcstem.potentials.trajectory import Trajectory


@dataclass(frozen=True)
class MotionSums:
    """Partial result: products of displacements of the same atom.

    Parameters
    ----------
    products
        Sum of Δx_n Δx_{n+k} over atoms, axes and frames by species and k [Å²], with shape (n_species, n_lags + 1).
    counts
        Number of these products, with the same shape, int64.
    """

    products: np.ndarray
    counts: np.ndarray

    def __add__(self, other: MotionSums) -> MotionSums:
        return MotionSums(self.products + other.products, self.counts + other.counts)


@dataclass(frozen=True)
class Motion:
    """What the displacements say.

    Parameters
    ----------
    autocorrelation
        Velocity autocorrelation at 0, 1, … intervals, by species, with shape (n_species, n_lags + 1), float64.
    mean_square_A2
        Mean squared displacement per axis over one interval [Å²], with shape (n_species,), float64.
    noise_A2
        -⟨Δx_n Δx_{n+1}⟩: an upper estimate of the localisation noise σ² [Å²], with shape (n_species,), float64.
    counts
        Number of displacements, atoms times axes, with shape (n_species,), int64.
    """

    autocorrelation: np.ndarray
    mean_square_A2: np.ndarray
    noise_A2: np.ndarray
    counts: np.ndarray

    @property
    def diffusion_A(self) -> float:
        """Root mean square step per axis, less the noise but at least a tenth [Å]; 1 Å where none is seen."""
        if not self.counts.any():
            return 1.0
        # A species that is never seen in three frames in a row says nothing of the noise.
        total_A2, noise_A2 = (
            np.average(np.nan_to_num(moment), weights=self.counts) for moment in (self.mean_square_A2, self.noise_A2)
        )
        return float(np.sqrt(max(total_A2 - 2 * noise_A2, 0.01 * total_A2)))

    @property
    def remembered(self) -> float:
        """Largest positive autocorrelation beyond zero: momentum, or drift, that lasts from frame to frame."""
        return float(max(0.0, np.nanmax(self.autocorrelation[:, 1:], initial=0.0)))


@dataclass(frozen=True)
class MotionStatistics:
    """Analysis: trajectories to the covariances of displacements.

    Parameters
    ----------
    symbols
        Names of the species.
    n_lags
        Intervals up to which covariances are taken, at least 1.
    """

    symbols: tuple[str, ...]
    n_lags: int = 4
    partial_type: ClassVar[type] = MotionSums

    def __post_init__(self) -> None:
        if self.n_lags < 1:
            raise StructureError("lags of the velocity autocorrelation", self.n_lags, "at least 1")

    @property
    def reach(self) -> tuple[int, int]:
        """Snapshots needed before and after the one at which the first displacement begins."""
        return 0, self.n_lags + 1

    def process(self, batch: Trajectory) -> MotionSums:
        """Sum over one trajectory."""
        atoms = Alignment(batch)
        shape = len(self.symbols), self.n_lags + 1
        products, counts = np.zeros(shape), np.zeros(shape, np.int64)
        moved = atoms.weight > 0
        for start in range(len(batch) - self.n_lags - 1):
            if not atoms.consecutive(start, start + self.n_lags + 1):
                continue
            first_A = np.where(moved[start, :, None], atoms.step_A(start, start + 1), np.nan)
            for lag in range(self.n_lags + 1):
                product = (first_A * atoms.step_A(start + lag, start + lag + 1)).sum(axis=1)
                for species, block in enumerate(atoms.blocks):
                    products[species, lag] += np.nansum(product[block])
                    counts[species, lag] += 2 * np.isfinite(product[block]).sum()
        return MotionSums(products, counts)

    def merge(self, left: MotionSums, right: MotionSums) -> MotionSums:
        """Add."""
        return left + right

    def finish(self, partial: MotionSums) -> Motion:
        """Divide; NaN for a species that is not seen to move."""
        with np.errstate(invalid="ignore", divide="ignore"):
            covariance = partial.products / partial.counts
            autocorrelation = covariance / covariance[:, :1]
        return Motion(autocorrelation, covariance[:, 0], -covariance[:, 1], partial.counts[:, 0])
