"""Errors of the beam's position from row to row, told from what all atoms of a row have in common.

A row scanned beside its place shifts what it shows of every atom by the same amount. Part of that, the atoms' own
positions take up, and cannot be told apart; the rest is seen against the rows above and below. With the atoms free, as
numerous as they are, and the shifts drawn from a Gaussian of unknown variance, both parts follow from the normal
equations.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from hpcstem.segmentation.spot_fit import SpotFit
from hpcstem.segmentation.spots import row_couplings

_BAND_A = 0.2


def correct_rows(fit: SpotFit) -> float:
    """Take the rows' errors out of a fit's residual as far as they can be told.

    Parameters
    ----------
    fit
        The atoms, after `weigh_pixels` and at least one sweep; sweep again afterwards.

    Returns
    -------
    float
        Variance along x that the errors still leave in the position of an atom [px²], mean over the atoms.
    """
    gradient = np.gradient(fit.model, axis=1)
    n_rows = len(gradient)
    rows_per_band = math.ceil(_BAND_A / fit.pixel_size_A)
    first = np.arange(0, n_rows, rows_per_band)
    couplings, first_band = row_couplings(
        gradient, fit.weight, fit.x, fit.y, fit.height, *fit.profile.arrays, rows_per_band
    )
    couplings = np.maximum(couplings, 0)
    total = couplings.sum(axis=1)
    couplings, first_band, total = (array[total > 0] for array in (couplings, first_band, total))
    force = np.add.reduceat((fit.weight * gradient * fit.residual).sum(axis=1, dtype=float), first)
    # Information on the bands with the atoms eliminated; a shift of all bands together has none.
    information = -_products(couplings / np.sqrt(total)[:, None], first_band, len(first))
    information += np.diag(-information.sum(axis=1))  # what an atom shares with all bands is all of its own
    variance = _variance(force, information)
    if variance == 0:
        return 0.0
    covariance = np.linalg.inv(information + np.eye(len(first)) / variance)
    shift = np.repeat(covariance @ force, rows_per_band)[:n_rows].astype(np.float32)
    fit.shift_rows(gradient, shift)
    return float((_products(couplings / total[:, None], first_band, len(first)) * covariance).sum() / len(total))


@numba.njit(cache=True)
def _products(couplings: np.ndarray, first_band: np.ndarray, n_bands: int) -> np.ndarray:
    """Sum over atoms of the products of their couplings with two bands, with shape (n_bands, n_bands)."""
    total = np.zeros((n_bands, n_bands))
    for a in range(len(couplings)):
        n_touched = min(couplings.shape[1], n_bands - first_band[a])
        for i in range(n_touched):
            for j in range(n_touched):
                total[first_band[a] + i, first_band[a] + j] += couplings[a, i] * couplings[a, j]
    return total


def _variance(force: np.ndarray, information: np.ndarray) -> float:
    """Variance of the bands' shifts by the method of moments [px²], 0 where noise alone explains the forces.

    From sums over three neighbouring bands, since slow errors are those that move atoms.
    """
    if len(force) < 3:
        return 0.0
    seen, per_unit = _of_three(force), _of_three(information)
    noise = np.trace(_of_three(per_unit.T))
    return max(float((seen @ seen - noise) / (per_unit**2).sum()), 0.0)


def _of_three(array: np.ndarray) -> np.ndarray:
    """Sums over three neighbours along the first axis."""
    return array[:-2] + array[1:-1] + array[2:]
