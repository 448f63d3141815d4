"""Multislice images by abTEM, in place of the linear model, where the extra `multislice` is installed.

abTEM is under the GPL, version 3; nothing of it is in hpcstem.

References
----------
.. [1] J. Madsen and T. Susi, The abTEM code, Open Research Europe 1 (2021) 24. doi:10.12688/openreseurope.13015.2
"""

from __future__ import annotations

import importlib
from typing import Any

import ase
import numpy as np
from scipy import ndimage

from hpcstem.errors import ConfigError
from hpcstem.imaging.linear import ideal_image
from hpcstem.imaging.probe import Probe

_INNER_MRAD, _OUTER_MRAD = 80.0, 200.0
_MARGIN_A = 2.0
_THICKNESS_A = 4.0


def multislice_image(
    positions_A: np.ndarray,
    species: np.ndarray,
    shape: tuple[int, int],
    pixel_size_A: float,
    probe: Probe,
    scan_offset_A: np.ndarray | None = None,
) -> np.ndarray:
    """Noise-free annular dark-field signal of a flat structure, by multislice.

    Takes and gives the same as `hpcstem.imaging.linear.ideal_image`, thousands of times slower. The signal of
    multislice is a share of the beam; it is brought to the unit of the linear model by the one factor that fits the
    linear image of the same structure best, so that doses mean the same.

    Parameters
    ----------
    positions_A, species, shape, pixel_size_A, probe, scan_offset_A
        As there.

    Returns
    -------
    numpy.ndarray
        With shape `shape`, float64, in carbon atoms per Å².

    Raises
    ------
    ConfigError
        abTEM is not installed.
    """
    linear = ideal_image(positions_A, species, shape, pixel_size_A, probe, scan_offset_A)
    signal, step_A = _scanned(np.asarray(positions_A, float), np.asarray(species), shape, pixel_size_A, probe)
    signal = ndimage.gaussian_filter(signal, probe.source_sigma_A / step_A)
    offset_A = np.zeros((shape[0], 2)) if scan_offset_A is None else np.asarray(scan_offset_A)
    rows_A = pixel_size_A * np.arange(shape[0])[:, None] + offset_A[:, 1:2] + np.zeros(shape)
    columns_A = pixel_size_A * np.arange(shape[1])[None, :] + offset_A[:, 0:1]
    image = ndimage.map_coordinates(
        signal, [(rows_A + _MARGIN_A) / step_A[0], (columns_A + _MARGIN_A) / step_A[1]], order=3, mode="nearest"
    )
    total = float((image * image).sum())
    return image * (float((image * linear).sum()) / total) if total > 0 else image


def _scanned(
    positions_A: np.ndarray, species: np.ndarray, shape: tuple[int, int], pixel_size_A: float, probe: Probe
) -> tuple[np.ndarray, np.ndarray]:
    """Signal over the field and a margin, (rows, columns), as finely as the probe can resolve; its steps [Å]."""
    try:
        abtem: Any = importlib.import_module("abtem")
    except ImportError as error:
        raise ConfigError(
            "image_model: multislice", "abTEM is not installed", "pip install 'hpcstem[multislice]'"
        ) from error
    field_A = np.array([shape[1], shape[0]]) * pixel_size_A + 2 * _MARGIN_A
    inside = ((positions_A > -_MARGIN_A) & (positions_A < field_A - _MARGIN_A)).all(axis=1)
    atoms = ase.Atoms(
        species[inside],
        np.column_stack([positions_A[inside] + _MARGIN_A, np.full(inside.sum(), _THICKNESS_A / 2)]),
        cell=[*field_A, _THICKNESS_A],
        pbc=True,
    )
    # Two thirds of the largest angle on the grid are kept, and have to hold the detector.
    grid_A = probe.wavelength_A / 3 / (1.1e-3 * _OUTER_MRAD)
    potential = abtem.Potential(atoms, sampling=grid_A, slice_thickness=_THICKNESS_A / 2, projection="infinite")
    beam = abtem.Probe(
        energy=probe.voltage_kV * 1e3,
        semiangle_cutoff=probe.convergence_mrad,
        soft=False,
        aberrations={
            "C10": probe.defocus_A,
            "C12": probe.astigmatism_A,
            "phi12": probe.astigmatism_rad,
            "C21": probe.coma_A,
        },
    )
    # An image holds no frequency beyond twice the aperture's; half as much again for the interpolation.
    wanted_A = probe.wavelength_A / (4e-3 * probe.convergence_mrad) / 1.5
    n_points = np.ceil(field_A / wanted_A).astype(int)
    # Coma moves the whole image, which the linear model takes out.
    moved_A = np.array([probe.coma_A * (probe.convergence_mrad * 1e-3) ** 2 / 3, 0.0])
    scan = abtem.GridScan(start=-moved_A, end=field_A - moved_A, gpts=tuple(int(n) for n in n_points), endpoint=False)
    detector = abtem.AnnularDetector(inner=_INNER_MRAD, outer=_OUTER_MRAD)
    with abtem.config.set({"diagnostics.progress_bar": False}):
        measured = beam.scan(potential, scan=scan, detectors=detector).compute(progress_bar=False)
    return np.asarray(measured.array, float).T, (field_A / n_points)[::-1]
