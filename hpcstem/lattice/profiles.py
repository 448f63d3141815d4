r"""Profiles of an order parameter across an antiphase boundary and away from an interface [1]_.

Across a boundary at x₀, and with the distance z from an interface,

.. math:: η(x, z) = η_{SD}(z) \tanh\frac{x - x_0}{L_C(z)}, \qquad
   η_{SD}(z) = η_b \left(1 - \frac{1}{1 + \sqrt2 λ / L_C(0)} e^{-\sqrt2 z / L_C(0)}\right).

References
----------
.. [1] S. V. Kalinin, "AI and ML in microscopy: a material opportunity", Oak Ridge National Laboratory (2019), on
   topological defects and interfaces of lanthanum-strontium cobaltite.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hpcstem.errors import StructureError
from hpcstem.lattice.curves import FittedCurve, fit_curve


def wall(x_A: np.ndarray, eta_bulk: float, centre_A: float, width_A: float) -> np.ndarray:
    """Order parameter across an antiphase boundary, with the shape of `x_A`, float64."""
    return eta_bulk * np.tanh((x_A - centre_A) / width_A)


def decay(z_A: np.ndarray, eta_bulk: float, loss: float, length_A: float) -> np.ndarray:
    """Order parameter η_b (1 - loss exp(-z / length)) at the distance z from an interface, float64."""
    return eta_bulk * (1 - loss * np.exp(-z_A / length_A))


def fit_wall(x_A: np.ndarray, eta: np.ndarray, sigma: np.ndarray | float | None = None) -> FittedCurve:
    """Fit the profile of an antiphase boundary.

    Parameters
    ----------
    x_A
        Places across the boundary [Å], with shape (n_points,), float.
    eta
        Order parameter there, with shape (n_points,), float.
    sigma
        Its standard error, one or one each; None to take it from the residuals.

    Raises
    ------
    StructureError
        Points that cannot be used, or that do not hold a boundary.
    """
    x_A, eta = np.asarray(x_A, np.float64), np.asarray(eta, np.float64)
    span_A = _span(x_A)
    left, right = (eta[side].mean() for side in (x_A <= np.median(x_A), x_A > np.median(x_A)))
    height = np.abs(eta).max() * (1.0 if right >= left else -1.0)
    starts = [
        (height, float(centre), span_A * part)
        for centre in np.quantile(x_A, (0.25, 0.5, 0.75))
        for part in (0.03, 0.1, 0.3)
    ]
    bounds = ([-np.inf, x_A.min() - span_A, 1e-6 * span_A], [np.inf, x_A.max() + span_A, 10 * span_A])
    return fit_curve(wall, ("eta_bulk", "centre_A", "width_A"), starts, bounds, x_A, eta, sigma)


@dataclass(frozen=True)
class InterfaceDecay:
    """Recovery of an order parameter away from an interface.

    Parameters
    ----------
    curve
        η_b, the part lost at the interface, and the decay length [Å].
    correlation_length_A, correlation_sigma_A
        L_C(0) = √2 times the decay length, and its standard error [Å].
    extrapolation_A, extrapolation_sigma_A
        λ, the extrapolation length, and its standard error [Å]: how far beyond the interface the order would vanish.
    """

    curve: FittedCurve
    correlation_length_A: float
    correlation_sigma_A: float
    extrapolation_A: float
    extrapolation_sigma_A: float


def fit_interface(z_A: np.ndarray, eta: np.ndarray, sigma: np.ndarray | float | None = None) -> InterfaceDecay:
    """Fit the recovery of an order parameter from an interface at z = 0.

    Parameters
    ----------
    z_A
        Distances from the interface [Å], with shape (n_points,), float.
    eta
        Order parameter there, with shape (n_points,), float.
    sigma
        Its standard error, one or one each; None to take it from the residuals.

    Raises
    ------
    StructureError
        Points that cannot be used, or that do not determine the decay.
    """
    z_A, eta = np.asarray(z_A, np.float64), np.asarray(eta, np.float64)
    span_A = _span(z_A)
    bulk = float(eta[z_A >= np.quantile(z_A, 0.7)].mean())
    starts = [(bulk, loss, span_A * part) for loss in (0.3, 0.8, -0.3) for part in (0.05, 0.2, 0.5)]
    bounds = ([-np.inf, -np.inf, 1e-6 * span_A], [np.inf, np.inf, 10 * span_A])
    curve = fit_curve(decay, ("eta_bulk", "loss", "length_A"), starts, bounds, z_A, eta, sigma)
    _, loss, length_A = curve.values
    # loss = 1 / (1 + λ / length)
    extrapolation_A = (1 / loss - 1) * length_A
    slope = np.array([0.0, -length_A / loss**2, 1 / loss - 1])
    return InterfaceDecay(
        curve,
        float(np.sqrt(2) * length_A),
        float(np.sqrt(2) * curve.sigma[2]),
        float(extrapolation_A),
        float(np.sqrt(slope @ curve.covariance @ slope)),
    )


@dataclass(frozen=True)
class BoundaryMap:
    """An antiphase boundary that meets an interface.

    Parameters
    ----------
    walls
        Profile of each row of the map, from the interface on.
    interface
        Recovery of the rows' η_SD.
    """

    walls: tuple[FittedCurve, ...]
    interface: InterfaceDecay


def fit_boundary_map(
    x_A: np.ndarray, z_A: np.ndarray, eta: np.ndarray, sigma: np.ndarray | float | None = None
) -> BoundaryMap:
    """Fit η(x, z): the boundary's profile row by row, then the recovery of its height from the interface.

    Parameters
    ----------
    x_A
        Places across the boundary [Å], with shape (n_x,), float.
    z_A
        Distances of the rows from the interface [Å], with shape (n_z,), float.
    eta
        Order parameter, with shape (n_z, n_x), float.
    sigma
        Standard error of every value; None to take it from the residuals of each row.

    Raises
    ------
    StructureError
        Unlike shapes, or a row that holds no boundary.
    """
    eta = np.asarray(eta, np.float64)
    if eta.shape != (len(z_A), len(x_A)):
        raise StructureError("map of the order parameter", f"shape {eta.shape}", f"({len(z_A)}, {len(x_A)})")
    walls = tuple(fit_wall(x_A, row, sigma) for row in eta)
    heights = np.array([abs(row.values[0]) for row in walls])
    errors = np.array([row.sigma[0] for row in walls])
    return BoundaryMap(walls, fit_interface(z_A, heights, errors))


def _span(x: np.ndarray) -> float:
    if x.ndim != 1 or len(x) < 2 or not np.isfinite(x).all() or not np.ptp(x) > 0:
        raise StructureError("places of a profile", f"shape {x.shape}", "two or more different finite numbers")
    return float(np.ptp(x))
