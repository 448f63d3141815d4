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

from hpcstem.imaging.resample import to_pixels
from hpcstem.segmentation.frame_fit import begin_fit
from hpcstem.segmentation.position_noise import position_variance
from hpcstem.segmentation.scan_rows import correct_rows
from hpcstem.segmentation.spot_fit import FARTHEST_A, SpotFit
from hpcstem.segmentation.sublattice_bias import sublattice_bias

_SWEEPS = 2
_EDGE_A = 1.0  # nearer to it, atoms that nobody sees beyond the edge pull


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
    return finish_fit(begin_fit(frame, pixel_size_A, found, species), pixel_size_A, found, species, sigma_px)


def finish_fit(
    fit: SpotFit | None, pixel_size_A: float, positions_px: np.ndarray, species: np.ndarray, sigma_px: np.ndarray
) -> Refined:
    """Refine what `hpcstem.segmentation.frame_fit.begin_fit` began, in place; parameters as in `refine`."""
    found = np.array(positions_px, float)
    unmoved = Refined(found, np.array(sigma_px, float), np.zeros(len(found), bool))
    if fit is None or not fit.profile.is_a_peak:
        return unmoved
    from_rows = correct_rows(fit)
    fit.sweep(_SWEEPS)
    variance = position_variance(fit) * fit.noise_correlation()
    sigma = np.sqrt(np.maximum(variance.mean(axis=1) + from_rows / 2, 0))
    positions, start = np.column_stack([fit.x, fit.y]), to_pixels(found, pixel_size_A, fit.pixel_size_A)
    from_edge = np.minimum(start + 0.5, np.array(fit.residual.shape[::-1]) - 0.5 - start).min(axis=1)
    moved = fit.free & (variance > 0).all(axis=1) & (sigma < FARTHEST_A / fit.pixel_size_A)
    moved &= from_edge >= _EDGE_A / fit.pixel_size_A
    sigma = np.sqrt(sigma**2 + sublattice_bias(positions[moved]))
    return Refined(
        np.where(moved[:, None], to_pixels(positions, fit.pixel_size_A, pixel_size_A), found),
        np.where(moved, sigma * fit.pixel_size_A / pixel_size_A, unmoved.sigma_px),
        moved,
    )
