"""The embedded engine: GFN1-xTB by tblite.

References
----------
.. [1] S. Grimme, C. Bannwarth, P. Shushkov, J. Chem. Theory Comput. 13, 1989 (2017),
   https://doi.org/10.1021/acs.jctc.7b00118
"""

from __future__ import annotations

from functools import partial
from importlib.metadata import version

import numpy as np
from ase import Atoms

from hpcstem.errors import SimulationError
from hpcstem.simulation.engine_settings import XtbSettings
from hpcstem.simulation.engines.in_process import InProcessEngine

ACCURACY = 0.1
"""tblite's convergence threshold relative to its default, whose force errors of 3e-4 eV/Å are too large to relax to."""


def xtb_engine(settings: XtbSettings) -> InProcessEngine:
    """Return GFN1-xTB [1]_ with dispersion, in this process, on one thread if `OMP_NUM_THREADS` is 1."""
    return InProcessEngine(f"GFN1-xTB (tblite {version('tblite')})", partial(XtbForces, settings=settings))


class XtbForces:
    """GFN1-xTB energy and forces; each call starts from the wave function of the last.

    Parameters
    ----------
    atoms
        Elements, cell and boundaries.
    settings
        Charge and electronic temperature.
    """

    def __init__(self, atoms: Atoms, settings: XtbSettings) -> None:
        self._atoms = Atoms(atoms.get_chemical_symbols(), atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
        self._settings = settings
        self.forget()

    def __call__(self, positions_A: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the energy [eV] and the forces [eV/Å], with shape (n_atoms, 3), float64.

        Parameters
        ----------
        positions_A
            Positions [Å], with shape (n_atoms, 3), float64.

        Raises
        ------
        SimulationError
            The self-consistent field does not converge, or two atoms coincide.
        """
        from ase.calculators.calculator import CalculatorError

        self._atoms.positions = positions_A
        try:
            return float(self._atoms.get_potential_energy()), np.array(self._atoms.get_forces())
        except CalculatorError as error:
            wanted = "a sound structure, or a higher electronic_temperature_K"
            raise SimulationError("GFN1-xTB found no energy", error, wanted) from error

    def forget(self) -> None:
        """Drop the wave function."""
        from tblite.ase import TBLite

        self._atoms.calc = TBLite(
            method="GFN1-xTB",
            accuracy=ACCURACY,
            charge=self._settings.charge,
            electronic_temperature=self._settings.electronic_temperature_K,
            verbosity=0,
        )
