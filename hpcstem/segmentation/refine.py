"""Refinement of atom positions by maximum likelihood on the frame itself.

Networks know where atoms mostly are, and put them there: an atom out of place is drawn back to its site. A fit of the
frame by its atoms has no such knowledge, and its error is that of the counts.

References
----------
.. [1] A. J. den Dekker et al., Ultramicroscopy 104 (2005) 83. doi:10.1016/j.ultramic.2005.03.001
.. [2] A. De Backer et al., Ultramicroscopy 171 (2016) 104. doi:10.1016/j.ultramic.2016.08.018
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase.data import atomic_numbers

from hpcstem.imaging.probe import relative_contrast
from hpcstem.segmentation.position_noise import position_variance
from hpcstem.segmentation.scan_rows import correct_rows
from hpcstem.segmentation.spot_fit import FARTHEST_A, SpotFit
from hpcstem.segmentation.spots import without_spikes
from hpcstem.segmentation.sublattice_bias import sublattice_bias

_FIRST_SWEEPS, _SECOND_SWEEPS, _LAST_SWEEPS = 1, 2, 2
_EDGE_A = 1.0  # nearer to it, atoms that nobody sees beyond the edge pull
_SPIKE = 8.0


@dataclass(frozen=True)
class Refined:
    """Positions after refinement.

    Parameters
    ----------
    positions_px
        (x, y) [px], with shape (n, 2), float64.
    sigma_px
        Standard uncertainty per axis [px], with shape (n,), float64.
    moved
        Whether the position is that of the fit, with shape (n,), bool; others are as they came.
    """

    positions_px: np.ndarray
    sigma_px: np.ndarray
    moved: np.ndarray


def refine(
    frame: np.ndarray, pixel_size_A: float, positions_px: np.ndarray, species: np.ndarray, sigma_px: np.ndarray
) -> Refined:
    """Fit all atoms of a frame at once, starting from where they were found.

    Every atom has its own height and position; all share one radial profile, fitted to the frame; the background is
    smooth. Pixels count by their variance, a straight line in the signal that the frame itself shows, so that neither
    gain nor offset of the detector need be known. Shifts of rows against each other are estimated along with the
    atoms. An atom that strays by more than `FARTHEST_A`, or whose fit says nothing, keeps its position and
    uncertainty.

    Parameters
    ----------
    frame
        With shape (rows, columns), finite.
    pixel_size_A
        Pixel size of the frame [Å].
    positions_px
        (x, y) [px], with shape (n, 2).
    species
        Chemical symbols, with shape (n,).
    sigma_px
        Standard uncertainty per axis of `positions_px` [px], with shape (n,).
    """
    found = np.array(positions_px, float).reshape(-1, 2)
    unmoved = Refined(found, np.array(sigma_px, float), np.zeros(len(found), bool))
    low, high = np.percentile(frame[::3, ::3], [5, 95])
    if len(found) == 0 or not high > low:
        return unmoved
    image = _without_spikes(((frame - low) / (high - low)).astype(np.float32))
    fit = SpotFit(image, pixel_size_A, found, relative_contrast(np.array([atomic_numbers[s] for s in species])))
    if not fit.profile.is_a_peak:
        return unmoved
    fit.sweep(_FIRST_SWEEPS)
    fit.weigh_pixels()
    fit.expect_equal_heights(np.asarray(species))
    fit.sweep(_SECOND_SWEEPS)
    from_rows = correct_rows(fit)
    fit.sweep(_LAST_SWEEPS)
    variance = position_variance(fit) * fit.noise_correlation()
    sigma = np.sqrt(np.maximum(variance.mean(axis=1) + from_rows / 2, 0))
    positions = np.column_stack([fit.x, fit.y])
    from_edge = np.minimum(found + 0.5, np.array(image.shape[::-1]) - 0.5 - found).min(axis=1)
    moved = fit.free & (variance > 0).all(axis=1) & (sigma < FARTHEST_A / pixel_size_A)
    moved &= from_edge >= _EDGE_A / pixel_size_A
    sigma = np.sqrt(sigma**2 + sublattice_bias(positions[moved]))
    return Refined(
        np.where(moved[:, None], positions, found),
        np.where(moved, sigma, unmoved.sigma_px),
        moved,
    )


def _without_spikes(image: np.ndarray) -> np.ndarray:
    """Replace single pixels that stand far out of all four neighbours by the neighbours' mean."""
    noise = 1.4826 * np.median(np.abs(np.diff(image[::3], axis=1))) / np.sqrt(2)
    return without_spikes(image, float(_SPIKE * noise))
