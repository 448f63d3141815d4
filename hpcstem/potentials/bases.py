"""Functions of the distance that a pair potential is a linear combination of: cubic B-splines, or Gaussians.

References
----------
.. [1] C. de Boor, A Practical Guide to Splines (1978), chapter IX.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import numpy as np

from hpcstem.errors import StructureError


class PairBasis(Protocol):
    """What the fit needs to know of a basis."""

    @property
    def name(self) -> str:
        """What the kind of basis is called in files and on the command line."""
        ...

    @property
    def low_A(self) -> float:
        """Where the functions begin [Å]."""
        ...

    @property
    def cutoff_A(self) -> float:
        """Where the potential ends [Å]."""
        ...

    @property
    def n_functions(self) -> int:
        """Number of functions, the repulsion left out."""
        ...

    @property
    def repulsion_radius_A(self) -> float | None:
        """Where the repulsion begins [Å]."""
        ...

    @property
    def n_columns(self) -> int:
        """Number of functions, the repulsion included."""
        ...

    def values(self, r_A: np.ndarray) -> np.ndarray:
        """Each function at `r_A`, zero at the cut-off, with shape (n_r, n_columns), float64."""
        ...

    def slopes(self, r_A: np.ndarray) -> np.ndarray:
        """First derivatives [1/Å], with shape (n_r, n_columns), float64."""
        ...

    def curvatures(self, r_A: np.ndarray) -> np.ndarray:
        """Second derivatives [1/Å²], with shape (n_r, n_columns), float64."""
        ...


@dataclass(frozen=True)
class SplineBasis:
    """Cubic B-splines on equal intervals [1]_; the potential, its slope and curvature vanish at the cut-off.

    Below `low_A` the potential goes on as a straight line.

    Parameters
    ----------
    low_A
        Where the intervals begin [Å], at or below the shortest distance that matters.
    cutoff_A
        Where they end [Å].
    n_functions
        Number of functions, which is that of the intervals.
    repulsion_radius_A
        Where an additional function, (r - r0)² below r0, begins [Å]; None for no such function.

    Raises
    ------
    StructureError
        Lengths out of order, or fewer than four functions.
    """

    low_A: float
    cutoff_A: float
    n_functions: int = 32
    repulsion_radius_A: float | None = None
    name: str = field(default="splines", init=False)

    def __post_init__(self) -> None:
        _check(self)

    @property
    def n_columns(self) -> int:
        """See `PairBasis`."""
        return self.n_functions + (self.repulsion_radius_A is not None)

    @property
    def step_A(self) -> float:
        """Length of an interval [Å]."""
        return (self.cutoff_A - self.low_A) / self.n_functions

    def values(self, r_A: np.ndarray) -> np.ndarray:
        """See `PairBasis`."""
        below_A = np.minimum(np.asarray(r_A, np.float64) - self.low_A, 0.0)
        core = self._pieces(r_A, _spline_values)
        core += below_A[:, None] * self._pieces(np.full(1, self.low_A), _spline_slopes) / self.step_A
        return _with_repulsion(self, r_A, core, 0)

    def slopes(self, r_A: np.ndarray) -> np.ndarray:
        """See `PairBasis`."""
        return _with_repulsion(self, r_A, self._pieces(r_A, _spline_slopes) / self.step_A, 1)

    def curvatures(self, r_A: np.ndarray) -> np.ndarray:
        """See `PairBasis`."""
        core = self._pieces(r_A, _spline_curvatures) / self.step_A**2
        core[np.asarray(r_A) < self.low_A] = 0.0
        return _with_repulsion(self, r_A, core, 2)

    def _pieces(self, r_A: np.ndarray, piece: _Piece) -> np.ndarray:
        r_A = np.asarray(r_A, np.float64)
        x = np.clip((r_A - self.low_A) / self.step_A, 0.0, self.n_functions)
        interval = np.minimum(x.astype(np.int64), self.n_functions - 1)
        # Three columns more than there are functions, for the splines that do not vanish at the cut-off.
        columns = np.zeros((len(r_A), self.n_functions + 3))
        for q, weight in enumerate(piece(x - interval)):
            columns[np.arange(len(r_A)), interval + q] = weight
        columns[r_A >= self.cutoff_A] = 0.0
        return columns[:, : self.n_functions]


@dataclass(frozen=True)
class GaussianBasis:
    """Gaussians with equally spaced centres from `low_A` to the cut-off, less their value at the cut-off.

    Parameters
    ----------
    low_A
        Centre of the first Gaussian [Å].
    cutoff_A
        Centre of the last, beyond which there is no force [Å].
    n_functions
        Number of Gaussians.
    width_A
        Their standard deviation [Å]; None for the distance of the centres.
    repulsion_radius_A
        Where an additional function, (r - r0)² below r0, begins [Å]; None for no such function.

    Raises
    ------
    StructureError
        Lengths out of order, or fewer than four functions.
    """

    low_A: float
    cutoff_A: float
    n_functions: int = 32
    width_A: float | None = None
    repulsion_radius_A: float | None = None
    name: str = field(default="gaussians", init=False)

    def __post_init__(self) -> None:
        _check(self)
        if self.width_A is not None and not self.width_A > 0:
            raise StructureError("width of the Gaussians", f"{self.width_A} Å", "a length above 0 Å")

    @property
    def n_columns(self) -> int:
        """See `PairBasis`."""
        return self.n_functions + (self.repulsion_radius_A is not None)

    @property
    def step_A(self) -> float:
        """Distance of the centres [Å]."""
        return (self.cutoff_A - self.low_A) / (self.n_functions - 1)

    @property
    def sigma_A(self) -> float:
        """Standard deviation [Å]."""
        return self.step_A if self.width_A is None else self.width_A

    @cached_property
    def _centres_A(self) -> np.ndarray:
        return np.linspace(self.low_A, self.cutoff_A, self.n_functions)

    def values(self, r_A: np.ndarray) -> np.ndarray:
        """See `PairBasis`."""
        gaussian = self._reduced(r_A)[1]
        at_cutoff = np.exp(-0.5 * ((self.cutoff_A - self._centres_A) / self.sigma_A) ** 2)
        core = np.where(np.asarray(r_A)[:, None] < self.cutoff_A, gaussian - at_cutoff, 0.0)
        return _with_repulsion(self, r_A, core, 0)

    def slopes(self, r_A: np.ndarray) -> np.ndarray:
        """See `PairBasis`."""
        z, gaussian = self._reduced(r_A)
        return _with_repulsion(self, r_A, -z * gaussian / self.sigma_A, 1)

    def curvatures(self, r_A: np.ndarray) -> np.ndarray:
        """See `PairBasis`."""
        z, gaussian = self._reduced(r_A)
        return _with_repulsion(self, r_A, (z**2 - 1) * gaussian / self.sigma_A**2, 2)

    def _reduced(self, r_A: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        r_A = np.asarray(r_A, np.float64)[:, None]
        z = (r_A - self._centres_A) / self.sigma_A
        return z, np.where(r_A < self.cutoff_A, np.exp(-0.5 * z**2), 0.0)


class _Piece(Protocol):
    def __call__(self, u: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]: ...


def _spline_values(u: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    return (1 - u) ** 3 / 6, (3 * u**3 - 6 * u**2 + 4) / 6, (-3 * u**3 + 3 * u**2 + 3 * u + 1) / 6, u**3 / 6


def _spline_slopes(u: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    return -((1 - u) ** 2) / 2, (3 * u**2 - 4 * u) / 2, (-3 * u**2 + 2 * u + 1) / 2, u**2 / 2


def _spline_curvatures(u: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    return 1 - u, 3 * u - 2, 1 - 3 * u, u


def _with_repulsion(basis: PairBasis, r_A: np.ndarray, core: np.ndarray, derivative: int) -> np.ndarray:
    if basis.repulsion_radius_A is None:
        return core
    depth_A = np.minimum(np.asarray(r_A) - basis.repulsion_radius_A, 0.0)
    column = (depth_A**2, 2 * depth_A, 2.0 * (depth_A < 0))[derivative]
    return np.column_stack([core, column])


def _check(basis: PairBasis) -> None:
    if not 0 < basis.low_A < basis.cutoff_A < np.inf:
        raise StructureError(
            "range of the pair potential", f"{basis.low_A} to {basis.cutoff_A} Å", "0 < low_A < cutoff_A, in Å"
        )
    if basis.n_functions < 4:
        raise StructureError("functions of the pair potential", basis.n_functions, "at least 4 per pair of species")
    radius_A = basis.repulsion_radius_A
    if radius_A is not None and not 0 < radius_A <= basis.cutoff_A:
        raise StructureError("radius of the repulsion", f"{radius_A} Å", f"above 0 and up to {basis.cutoff_A} Å")
