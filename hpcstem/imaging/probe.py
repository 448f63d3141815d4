"""The electron probe: intensity at the specimen from voltage, aperture, aberrations and source size.

References
----------
.. [1] E. J. Kirkland, Advanced Computing in Electron Microscopy, 2nd ed., Springer (2010), chapters 2, 3 and 5.
   doi:10.1007/978-1-4419-6533-2
.. [2] P. D. Nellist and S. J. Pennycook, Ultramicroscopy 78 (1999) 111. doi:10.1016/S0304-3991(99)00017-0
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import constants

_CARBON_Z = 6
_BOHR_A = constants.physical_constants["Bohr radius"][0] * 1e10
CONTRAST_EXPONENT = 1.7
"""Exponent of the atomic number in annular dark-field contrast, between Rutherford's 2 and screening [2]_."""


@dataclass(frozen=True)
class Probe:
    """A focused probe.

    Parameters
    ----------
    voltage_kV
        Acceleration voltage [kV].
    convergence_mrad
        Convergence semi-angle of the aperture [mrad].
    source_sigma_A
        Standard deviation of the effective source and of atomic vibration, per axis [Å].
    defocus_A, astigmatism_A
        First-order aberrations C10 and C12 [Å].
    astigmatism_rad
        Azimuth of the astigmatism [rad].
    coma_A
        Axial coma C21 along x [Å].
    """

    voltage_kV: float = 60.0
    convergence_mrad: float = 31.0
    source_sigma_A: float = 0.3
    defocus_A: float = 0.0
    astigmatism_A: float = 0.0
    astigmatism_rad: float = 0.0
    coma_A: float = 0.0

    def __post_init__(self) -> None:
        for name in ("voltage_kV", "convergence_mrad"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}: got {getattr(self, name)}; wanted a positive number")

    @property
    def wavelength_A(self) -> float:
        """Relativistic electron wavelength [Å]."""
        energy_J = self.voltage_kV * 1e3 * constants.e
        rest_J = constants.m_e * constants.c**2
        momentum = math.sqrt(energy_J * (energy_J + 2 * rest_J)) / constants.c
        return constants.h / momentum * 1e10

    def transfer(self, shape: tuple[int, int], step_A: float) -> np.ndarray:
        """Optical transfer function of the probe intensity on an FFT grid.

        Parameters
        ----------
        shape
            Rows and columns of the grid.
        step_A
            Grid step [Å].

        Returns
        -------
        numpy.ndarray
            With shape (rows, columns // 2 + 1), complex128; 1 at zero frequency, for use with `numpy.fft.rfft2`. The
            probe's centre of intensity is at the origin: a shift common to all atoms cannot be seen in an image.
        """
        frequency_y = np.fft.fftfreq(shape[0], step_A)[:, None]
        frequency_x = np.fft.fftfreq(shape[1], step_A)[None, :]
        angle_y, angle_x = frequency_y * self.wavelength_A, frequency_x * self.wavelength_A
        radius_squared = angle_y**2 + angle_x**2
        azimuth = np.arctan2(angle_y, angle_x)
        phase = (2 * np.pi / self.wavelength_A) * (
            0.5 * radius_squared * (self.defocus_A + self.astigmatism_A * np.cos(2 * (azimuth - self.astigmatism_rad)))
            + radius_squared * self.coma_A * angle_x / 3
        )
        aperture = radius_squared <= (self.convergence_mrad * 1e-3) ** 2
        wave = np.fft.ifft2(np.where(aperture, np.exp(-1j * phase), 0))
        intensity = np.abs(wave) ** 2
        spectrum = np.fft.rfft2(intensity / intensity.sum())
        frequency_x = np.fft.rfftfreq(shape[1], step_A)[None, :]
        # The phase of the lowest frequency along an axis is that of the mean position along it.
        centre_y, centre_x = -np.angle(spectrum[1, 0]) * shape[0], -np.angle(spectrum[0, 1]) * shape[1]
        shift = np.exp(1j * step_A * (frequency_y * centre_y + frequency_x * centre_x))
        source = np.exp(-2 * np.pi**2 * self.source_sigma_A**2 * (frequency_y**2 + frequency_x**2))
        return spectrum * shift * source


def annular_cross_section_A2(voltage_kV: float, inner_mrad: float = 80.0, outer_mrad: float = 200.0) -> float:
    """Cross-section of one carbon atom for scattering onto an annular detector [Å²].

    Rutherford scattering with relativistic mass, sin(theta) = theta [1]_; good to some tens of per cent, and used
    only to turn a dose into a number of detected electrons.

    Parameters
    ----------
    voltage_kV
        Acceleration voltage [kV].
    inner_mrad, outer_mrad
        Detector angles [mrad].
    """
    gamma = 1 + voltage_kV * 1e3 * constants.e / (constants.m_e * constants.c**2)
    wave_number = 2 * np.pi / Probe(voltage_kV).wavelength_A
    angular = (inner_mrad * 1e-3) ** -2 - (outer_mrad * 1e-3) ** -2
    return 4 * np.pi * (_CARBON_Z * gamma / _BOHR_A) ** 2 / wave_number**4 * angular


def relative_contrast(atomic_numbers: np.ndarray) -> np.ndarray:
    """Annular dark-field signal of atoms relative to carbon, (Z / 6)^1.7, float64, same shape."""
    return (np.asarray(atomic_numbers, float) / _CARBON_Z) ** CONTRAST_EXPONENT
