"""The fit of a frame by its atoms, begun: what both positions and a frame's survey are told from."""

from __future__ import annotations

import numpy as np
from ase.data import atomic_numbers

from hpcstem.imaging.probe import relative_contrast
from hpcstem.imaging.resample import to_pixels
from hpcstem.segmentation.background import smooth_part
from hpcstem.segmentation.normalise import quantiles
from hpcstem.segmentation.smoothing import smoothed
from hpcstem.segmentation.spot_fit import KNOTS_A, SpotFit
from hpcstem.segmentation.spots import without_spikes

_COARSEST_A = 0.16  # positions from such pixels are 1 % less precise than from finer ones
_SPIKE = 8.0
_FIRST_SWEEPS, _SECOND_SWEEPS = 1, 2
_SMOOTHING_A = 0.16
_TOO_BRIGHT, _NOISE = 3.0, 6.0
_BRIGHTEST = 12.0  # times carbon; three times what silicon is


def begin_fit(frame: np.ndarray, pixel_size_A: float, positions_px: np.ndarray, species: np.ndarray) -> SpotFit | None:
    """Fit all atoms of a frame twice over, the second time with its pixels weighed.

    Fine pixels are put together, as many to a side as make at most 0.16 Å.

    Parameters
    ----------
    frame
        With shape (rows, columns), finite.
    pixel_size_A
        Pixel size of the frame [Å].
    positions_px
        Atoms (x, y) in the frame [px], with shape (n, 2).
    species
        Chemical symbols, with shape (n,).

    Returns
    -------
    SpotFit or None
        On its own pixels, see `hpcstem.imaging.resample.to_pixels`; None if the frame is flat or there are no atoms.
    """
    low, high = quantiles(np.sort(frame[::3, ::3], axis=None), [0.05, 0.95])
    if len(positions_px) == 0 or not high > low:
        return None
    image = _without_spikes(((frame - low) / (high - low)).astype(np.float32))
    put_together = max(int(_COARSEST_A / pixel_size_A + 1e-9), 1)
    image, size_A = _coarser(image, put_together), put_together * pixel_size_A
    positions = to_pixels(positions_px, pixel_size_A, size_A)
    height, brightest = _heights(image, size_A, positions, species)
    # However bright an atom is, it must not decide alone what an atom looks like.
    fit = SpotFit(np.minimum(image, np.float32(brightest)), size_A, positions, height)
    fit.sweep(_FIRST_SWEEPS)
    fit.weigh_pixels()
    fit.expect_equal_heights(np.asarray(species))
    fit.sweep(_SECOND_SWEEPS)
    return fit


def _without_spikes(image: np.ndarray) -> np.ndarray:
    """Replace single pixels that stand far out of all four neighbours by the neighbours' mean."""
    (middle,) = quantiles(np.sort(np.abs(np.diff(image[::6], axis=1)), axis=None), [0.5])
    return without_spikes(image, float(_SPIKE * 1.4826 / np.sqrt(2) * middle))


def _coarser(image: np.ndarray, times: int) -> np.ndarray:
    """Mean of squares of pixels; what is left over at the end is dropped."""
    rows, columns = (n // times * times for n in image.shape)
    parts = [image[r:rows:times, c:columns:times] for r in range(times) for c in range(times)]
    return sum(parts[1:], parts[0]) / np.float32(len(parts)) if len(parts) > 1 else image


def _heights(
    image: np.ndarray, pixel_size_A: float, positions_px: np.ndarray, species: np.ndarray
) -> tuple[np.ndarray, float]:
    """Heights to start from, and the brightest intensity that any species explains.

    Heights are those of the species, except where the frame shows quite another one.
    """
    expected = relative_contrast(np.array([atomic_numbers[symbol] for symbol in species]))
    contrast = smoothed(image - smooth_part(image, pixel_size_A, KNOTS_A), _SMOOTHING_A / pixel_size_A)
    rows, columns = np.clip(np.rint(positions_px[:, ::-1]).astype(int), 0, np.array(image.shape) - 1).T
    seen = contrast[rows, columns]
    usual = max(float(np.median(seen / expected)), float(np.finfo(np.float32).tiny))
    noise = 1.4826 * float(np.median(np.abs(seen / expected - usual)))
    odd = seen > _TOO_BRIGHT * usual * expected + _NOISE * noise
    (bright,) = quantiles(np.sort(image[::2, ::2], axis=None), [0.99])
    return np.where(odd, np.minimum(seen / usual, _BRIGHTEST), expected), float(bright) + _BRIGHTEST * (usual + noise)
