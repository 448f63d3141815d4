"""Nosé–Hoover chain thermostat whose whole state is two short arrays.

The number of degrees of freedom is given by the caller: a free cluster without total momentum and angular
momentum has 3N - 6, and taking 3N instead would heat a small one well above the temperature asked for.

References
----------
.. [1] G. J. Martyna, M. L. Klein, M. Tuckerman, J. Chem. Phys. 97, 2635 (1992), https://doi.org/10.1063/1.463940
.. [2] G. J. Martyna, M. E. Tuckerman, D. J. Tobias, M. L. Klein, Mol. Phys. 87, 1117 (1996),
   https://doi.org/10.1080/00268979600100761
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import units

CHAIN_LENGTH = 3
# Yoshida's fourth-order weights, https://doi.org/10.1016/0375-9601(90)90092-3
_W = 1 / (2 - 2 ** (1 / 3))
_WEIGHTS = (_W, 1 - 2 * _W, _W)


@dataclass(frozen=True)
class NoseHooverChain:
    """What the thermostat is.

    Parameters
    ----------
    temperature_K
        Temperature [K].
    time_fs
        Time constant [fs].
    n_degrees
        Degrees of freedom of the momenta that are scaled.
    """

    temperature_K: float
    time_fs: float
    n_degrees: int

    @property
    def _kT(self) -> float:
        return units.kB * self.temperature_K

    @property
    def _masses(self) -> np.ndarray:
        masses = np.full(CHAIN_LENGTH, self._kT * (self.time_fs * units.fs) ** 2)
        masses[0] *= self.n_degrees
        return masses

    def energy(self, chain: np.ndarray) -> float:
        """Return the energy of the chain [eV], which makes the total a conserved quantity.

        Parameters
        ----------
        chain
            Positions and momenta of the chain, with shape (2, 3), float64.
        """
        eta, p_eta = chain
        potential = self._kT * (self.n_degrees * eta[0] + eta[1:].sum())
        return float(potential + (p_eta**2 / self._masses).sum() / 2)

    def scaled(self, chain: np.ndarray, twice_kinetic_eV: float, time_fs: float) -> tuple[np.ndarray, float]:
        """Return the chain after `time_fs`, and the factor for all momenta.

        Parameters
        ----------
        chain
            Positions and momenta of the chain, with shape (2, 3), float64; it is not changed.
        twice_kinetic_eV
            Twice the kinetic energy of the atoms [eV].
        time_fs
            Time to go on [fs].
        """
        eta, p_eta = chain.copy()
        masses, kT, last = self._masses, self._kT, CHAIN_LENGTH - 1
        factor = 1.0

        def push(j: int, delta: float) -> None:
            """Move the momentum of link j, damped by the next link, by half of `delta`."""
            driving = twice_kinetic_eV * factor**2 if j == 0 else p_eta[j - 1] ** 2 / masses[j - 1]
            damping = np.exp(-delta / 4 * p_eta[j + 1] / masses[j + 1]) if j < last else 1.0
            p_eta[j] *= damping
            p_eta[j] += delta / 2 * (driving - (self.n_degrees if j == 0 else 1) * kT)
            p_eta[j] *= damping

        for weight in _WEIGHTS:
            delta = weight * time_fs * units.fs
            for j in reversed(range(CHAIN_LENGTH)):
                push(j, delta)
            eta += delta * p_eta / masses
            factor *= float(np.exp(-delta * p_eta[0] / masses[0]))
            for j in range(CHAIN_LENGTH):
                push(j, delta)
        return np.stack([eta, p_eta]), factor
