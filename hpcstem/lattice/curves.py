"""Least-squares fits of a curve, with intervals."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import OptimizeWarning, curve_fit
from scipy.stats import norm, t

from hpcstem.errors import StructureError


@dataclass(frozen=True)
class FittedCurve:
    """Parameters of a curve.

    Parameters
    ----------
    names
        Of the parameters, with their units.
    values
        With shape (n_parameters,), float64.
    covariance
        With shape (n_parameters, n_parameters), float64.
    chi_square
        Sum of the squared residuals in units of their standard error; where that was not given, n_free.
    n_free
        Number of points less number of parameters.
    sigma_known
        Whether the standard error of the points was given; else it was taken from the residuals.
    """

    names: tuple[str, ...]
    values: np.ndarray
    covariance: np.ndarray
    chi_square: float
    n_free: int
    sigma_known: bool

    @property
    def sigma(self) -> np.ndarray:
        """Standard errors, with shape (n_parameters,), float64."""
        return np.sqrt(np.diag(self.covariance))

    def interval(self, level: float = 0.95) -> np.ndarray:
        """Lower and upper end of each parameter's interval, with shape (n_parameters, 2), float64."""
        quantile = norm.ppf((1 + level) / 2) if self.sigma_known else t.ppf((1 + level) / 2, self.n_free)
        half = quantile * self.sigma
        return np.column_stack([self.values - half, self.values + half])


def fit_curve(
    curve: Callable[..., np.ndarray],
    names: tuple[str, ...],
    starts: Sequence[tuple[float, ...]],
    bounds: tuple[list[float], list[float]],
    x: np.ndarray,
    y: np.ndarray,
    sigma: np.ndarray | float | None,
) -> FittedCurve:
    """Fit a curve from the nearest three of several starts and keep the best.

    Parameters
    ----------
    curve
        Takes x and the parameters, gives y.
    names
        Names of the parameters.
    starts
        Where to start.
    bounds
        Lower and upper bounds of the parameters.
    x, y
        Points, with shape (n_points,), float.
    sigma
        Standard error of y, one or one each; None to take it from the residuals.

    Raises
    ------
    StructureError
        Unlike shapes, values that are not finite or do not change, a standard error not above 0, too few points, or
        points that do not determine the parameters.
    """
    x, y, errors = _checked_points(x, y, sigma, len(names))

    def misfit(parameters: Sequence[float] | np.ndarray) -> float:
        return float((((y - curve(x, *parameters)) / errors) ** 2).sum())

    best: tuple[float, np.ndarray, np.ndarray] | None = None
    for start in sorted(starts, key=misfit)[:3]:
        try:
            values, covariance = _fit(curve, start, bounds, x, y, errors, sigma is not None)
        except (RuntimeError, OptimizeWarning):
            continue
        chi_square = misfit(values)
        if best is None or chi_square < best[0]:
            best = (chi_square, values, covariance)
    if best is None or not np.isfinite(best[2]).all():
        raise StructureError(
            f"fit of {', '.join(names)}", "points that do not determine them", "points on both sides of the change"
        )
    n_free = len(x) - len(names)
    chi_square = best[0] if sigma is not None else float(n_free)
    return FittedCurve(names, best[1], best[2], chi_square, n_free, sigma is not None)


def _fit(
    curve: Callable[..., np.ndarray],
    start: tuple[float, ...],
    bounds: tuple[list[float], list[float]],
    x: np.ndarray,
    y: np.ndarray,
    errors: np.ndarray,
    sigma_known: bool,
) -> tuple[np.ndarray, np.ndarray]:
    with warnings.catch_warnings():
        warnings.simplefilter("error", OptimizeWarning)
        values, covariance = curve_fit(
            curve, x, y, p0=start, sigma=errors, absolute_sigma=sigma_known, bounds=bounds, max_nfev=2000
        )
    return values, covariance


def _checked_points(
    x: np.ndarray, y: np.ndarray, sigma: np.ndarray | float | None, n_parameters: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if x.ndim != 1 or x.shape != y.shape or not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise StructureError("points of a curve", f"shapes {x.shape} and {y.shape}", "finite x and y, one each")
    if len(x) <= n_parameters:
        raise StructureError("points of a curve", len(x), f"more than its {n_parameters} parameters")
    if not np.ptp(y) > 0:
        raise StructureError("points of a curve", f"{y[0]:g} everywhere", "values that change")
    errors = np.asarray(1.0 if sigma is None else sigma, np.float64)
    if errors.shape not in ((), x.shape) or not ((errors > 0) & np.isfinite(errors)).all():
        raise StructureError("standard errors of a curve", sigma, "one, or one for each point, above 0")
    return x, y, np.broadcast_to(errors, x.shape)
