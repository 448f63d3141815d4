"""What happens between specimen and file: dose, background, contamination, scan errors, detector."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from hpcstem.imaging.linear import ideal_image
from hpcstem.imaging.probe import Probe, annular_cross_section_A2

ImageModel = Callable[[np.ndarray, np.ndarray, tuple[int, int], float, Probe, np.ndarray | None], np.ndarray]
"""What takes the arguments of `hpcstem.imaging.linear.ideal_image` and gives such an image."""

SHEET_DENSITY_PER_A2 = 4 / (3 * np.sqrt(3)) / 1.42**2
"""Carbon atoms per Å² of graphene with bonds of 1.42 Å."""


@dataclass(frozen=True)
class Acquisition:
    """How one frame is taken.

    Parameters
    ----------
    dose_e_per_A2
        Electrons per Å² in the frame.
    background
        Signal without atoms, as a multiple of the mean signal of graphene.
    contamination
        Largest signal of contamination, as a multiple of the mean signal of graphene.
    contamination_cover
        Fraction of the field under contamination, 0 to 1.
    row_jitter_A
        Standard deviation of the beam position error of each row, along x [Å].
    readout
        Gaussian noise of the detector, as a multiple of the Poisson noise of the mean signal.
    """

    dose_e_per_A2: float = 2e5
    background: float = 0.6
    contamination: float = 0.0
    contamination_cover: float = 0.0
    row_jitter_A: float = 0.03
    readout: float = 0.1


def contamination_map(
    shape: tuple[int, int], pixel_size_A: float, cover: float, rng: np.random.Generator
) -> np.ndarray:
    """Thickness of a contamination layer, 0 to 1: smooth islands that cover a fraction `cover` of the field."""
    if cover <= 0:
        return np.zeros(shape)
    coarse = tuple(max(int(n * pixel_size_A / 1.0), 4) for n in shape)
    field = sum(
        weight * _unit(ndimage.gaussian_filter(rng.normal(size=coarse), sigma, mode="wrap"))
        for sigma, weight in ((6.0, 1.0), (2.0, 0.25))
    )
    field = ndimage.zoom(
        field, [n / c for n, c in zip(shape, coarse, strict=True)], order=1, grid_mode=True, mode="nearest"
    )
    threshold = np.quantile(field, 1 - min(cover, 1.0))
    return np.clip((field - threshold) / (field.max() - threshold + 1e-12), 0, 1)


def _unit(field: np.ndarray) -> np.ndarray:
    return (field - field.mean()) / (field.std() + 1e-12)


def acquire(
    positions_A: np.ndarray,
    species: np.ndarray,
    shape: tuple[int, int],
    pixel_size_A: float,
    probe: Probe,
    acquisition: Acquisition,
    rng: np.random.Generator,
    image_model: ImageModel = ideal_image,
) -> tuple[np.ndarray, np.ndarray]:
    """Take one frame of a flat structure.

    Parameters
    ----------
    positions_A, species, shape, pixel_size_A, probe
        As in `hpcstem.imaging.linear.ideal_image`.
    acquisition
        Dose, background and errors.
    rng
        Source of all randomness.
    image_model
        Gives the noise-free signal.

    Returns
    -------
    counts : numpy.ndarray
        Detected electrons per pixel, with readout noise, with shape `shape`, float32.
    contamination : numpy.ndarray
        Signal of the contamination as a multiple of that of graphene, with shape `shape`, float32.
    """
    # Beam position errors are correlated over a few rows: mains hum and table vibration are slower than one row.
    jitter = ndimage.gaussian_filter1d(rng.normal(size=(shape[0], 2)), 0.7, axis=0) * 1.58
    offset = jitter * acquisition.row_jitter_A * np.array([1.0, 0.3])
    signal = image_model(positions_A, species, shape, pixel_size_A, probe, offset) / SHEET_DENSITY_PER_A2
    layer = acquisition.contamination * contamination_map(shape, pixel_size_A, acquisition.contamination_cover, rng)
    per_pixel = (
        acquisition.dose_e_per_A2 * pixel_size_A**2 * annular_cross_section_A2(probe.voltage_kV) * SHEET_DENSITY_PER_A2
    )
    expected = per_pixel * np.clip(signal + layer + acquisition.background, 0, None)
    counts = rng.poisson(expected) + rng.normal(0, acquisition.readout * np.sqrt(expected.mean()) + 1e-9, shape)
    return counts.astype(np.float32), layer.astype(np.float32)
