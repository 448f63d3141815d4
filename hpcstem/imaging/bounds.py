"""The best that any unbiased estimator of an atom's position can do in a frame: the Cramér–Rao bound.

References
----------
.. [1] A. J. den Dekker et al., Ultramicroscopy 104 (2005) 83. doi:10.1016/j.ultramic.2005.03.001
"""

from __future__ import annotations

import numpy as np

from hpcstem.imaging.acquisition import SHEET_DENSITY_PER_A2
from hpcstem.imaging.linear import ideal_image
from hpcstem.imaging.probe import Probe, annular_cross_section_A2

_STEP_A = 0.01


def position_bound_A(
    positions_A: np.ndarray,
    species: np.ndarray,
    atom: int,
    pixel_size_A: float,
    probe: Probe,
    dose_e_per_A2: float,
    background: float,
    field_A: float = 8.0,
) -> float:
    """Smallest standard deviation of one atom's position, per axis, under Poisson noise.

    The atom's height and its background are unknown too; the neighbours are known, which makes this a lower bound of
    the bound for a lattice whose atoms are all unknown.

    Parameters
    ----------
    positions_A, species
        The structure: (x, y) [Å] with shape (n, 2), and symbols (n,).
    atom
        Index of the atom.
    pixel_size_A, probe, dose_e_per_A2, background
        As in `hpcstem.imaging.acquisition.acquire`.
    field_A
        Side of the square around the atom that is looked at [Å].
    """
    n = round(field_A / pixel_size_A)
    offset = np.asarray(positions_A) - np.asarray(positions_A)[atom] + n // 2 * pixel_size_A
    per_atom = dose_e_per_A2 * pixel_size_A**2 * annular_cross_section_A2(probe.voltage_kV)

    def one(shift: tuple[float, float]) -> np.ndarray:
        return ideal_image(offset[[atom]] + shift, np.asarray(species)[[atom]], (n, n), pixel_size_A, probe)

    whole = ideal_image(offset, species, (n, n), pixel_size_A, probe)
    expected = per_atom * (whole + background * SHEET_DENSITY_PER_A2)
    derivatives = [
        (one((_STEP_A, 0)) - one((-_STEP_A, 0))) / (2 * _STEP_A),
        (one((0, _STEP_A)) - one((0, -_STEP_A))) / (2 * _STEP_A),
        one((0, 0)),
        np.ones((n, n)),
    ]
    jacobian = per_atom * np.stack([d.ravel() for d in derivatives])
    information = (jacobian / np.clip(expected.ravel(), 1e-12, None)) @ jacobian.T
    covariance = np.linalg.inv(information)
    return float(np.sqrt((covariance[0, 0] + covariance[1, 1]) / 2))
