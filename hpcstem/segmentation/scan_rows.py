"""Errors of the beam's position from row to row, told from what all atoms of a row have in common.

A row scanned beside its place shifts what it shows of every atom by the same amount. Part of that, the atoms' own
positions take up, and cannot be told apart; the rest is seen against the rows above and below. With the atoms free, as
numerous as they are, and the shifts drawn from a Gaussian of unknown variance, both parts follow from the normal
equations.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import sparse

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
    couplings = _of_atoms(np.maximum(couplings, 0), first_band, len(first))
    total = np.asarray(couplings.sum(axis=1))
    couplings, total = couplings[total > 0], total[total > 0]
    force = np.add.reduceat((fit.weight * gradient * fit.residual).sum(axis=1, dtype=float), first)
    # Information on the bands with the atoms eliminated; a shift of all bands together has none.
    scaled = couplings.multiply(1 / np.sqrt(total)[:, None]).tocsr()
    information = np.diag(np.asarray(couplings.sum(axis=0))) - (scaled.T @ scaled).toarray()
    variance = _variance(force, information)
    if variance == 0:
        return 0.0
    covariance = np.linalg.inv(information + np.eye(len(first)) / variance)
    shift = np.repeat(covariance @ force, rows_per_band)[:n_rows].astype(np.float32)
    fit.shift_rows(gradient, shift)
    shares = couplings.multiply(1 / total[:, None]).tocsr()
    return float((shares.T @ shares).multiply(covariance).sum() / len(total))


def _of_atoms(couplings: np.ndarray, first_band: np.ndarray, n_bands: int) -> sparse.csr_array:
    """Couplings of each atom with successive bands as a matrix with shape (n_atoms, n_bands)."""
    n_atoms, n_touched = couplings.shape
    band = np.minimum(first_band[:, None] + np.arange(n_touched), n_bands - 1)
    pointers = np.arange(0, band.size + 1, n_touched)
    return sparse.csr_array((couplings.ravel(), band.ravel(), pointers), shape=(n_atoms, n_bands))


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
