"""The linear image model: atoms as points of Z-contrast, convolved with the probe and sampled by the scan."""

from __future__ import annotations

import math

import numpy as np
from ase.data import atomic_numbers
from scipy import fft, ndimage

from hpcstem.imaging.probe import Probe, relative_contrast

_LARGEST_STEP_A = 0.08
_MARGIN_A = 4.0


def ideal_image(
    positions_A: np.ndarray,
    species: np.ndarray,
    shape: tuple[int, int],
    pixel_size_A: float,
    probe: Probe,
    scan_offset_A: np.ndarray | None = None,
) -> np.ndarray:
    """Noise-free annular dark-field signal, in carbon atoms per Å².

    Atoms outside the field add their tails. A flat sheet of graphene has a mean of 0.38 Å⁻².

    Parameters
    ----------
    positions_A
        (x, y) of the atoms [Å], with shape (n_atoms, 2); pixel (row, column) looks at (column, row) * pixel_size_A.
    species
        Chemical symbols, with shape (n_atoms,).
    shape
        Rows and columns of the image.
    pixel_size_A
        Scan step [Å].
    probe
        The probe.
    scan_offset_A
        Error (x, y) of the beam position in each row [Å], with shape (rows, 2); none by default.

    Returns
    -------
    numpy.ndarray
        With shape `shape`, float64.
    """
    oversampling = math.ceil(pixel_size_A / _LARGEST_STEP_A)
    step_A = pixel_size_A / oversampling
    margin = math.ceil(_MARGIN_A / step_A)
    grid_shape = tuple(fft.next_fast_len((n - 1) * oversampling + 1 + 2 * margin, real=True) for n in shape)
    symbols, inverse = np.unique(np.asarray(species), return_inverse=True)
    weights = relative_contrast(np.array([atomic_numbers[s] for s in symbols]))[inverse]
    points = _splat(np.asarray(positions_A, float) / step_A + margin, weights, grid_shape)
    blurred = fft.irfft2(fft.rfft2(points) * probe.transfer(grid_shape, step_A), s=grid_shape) / step_A**2
    if scan_offset_A is None:
        sampled = [slice(margin, margin + (n - 1) * oversampling + 1, oversampling) for n in shape]
        return blurred[sampled[0], sampled[1]]
    offset = np.asarray(scan_offset_A) / step_A
    rows = margin + oversampling * np.arange(shape[0])[:, None] + offset[:, 1:2] + np.zeros(shape)
    columns = margin + oversampling * np.arange(shape[1])[None, :] + offset[:, 0:1]
    return ndimage.map_coordinates(blurred, [rows, columns], order=1, mode="nearest")


def _splat(points_xy: np.ndarray, weights: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Spread weighted points onto the four grid nodes around each; points off the grid are left out."""
    floor = np.floor(points_xy).astype(int)
    inside = ((floor >= 0) & (floor < np.array([shape[1] - 1, shape[0] - 1]))).all(axis=1)
    floor, fraction, weights = floor[inside], (points_xy - floor)[inside], weights[inside]
    flat = np.zeros(shape[0] * shape[1])
    for along_x in (0, 1):
        for along_y in (0, 1):
            share = np.abs(1 - along_x - fraction[:, 0]) * np.abs(1 - along_y - fraction[:, 1])
            index = (floor[:, 1] + along_y) * shape[1] + floor[:, 0] + along_x
            flat += np.bincount(index, share * weights, minlength=flat.size)
    return flat.reshape(shape)
