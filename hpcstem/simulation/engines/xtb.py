"""The embedded engine: GFN1-xTB by tblite, with or without spin polarisation.

References
----------
.. [1] S. Grimme, C. Bannwarth, P. Shushkov, J. Chem. Theory Comput. 13, 1989 (2017),
   https://doi.org/10.1021/acs.jctc.7b00118
.. [2] H. Neugebauer, B. Bädorf, S. Ehlert, A. Hansen, S. Grimme, J. Comput. Chem. 44, 2120 (2023),
   https://doi.org/10.1002/jcc.27185
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from typing import Any

from ase import Atoms

from hpcstem.errors import AbsentError, SimulationError
from hpcstem.simulation.engine_settings import SpinXtbSettings, XtbSettings
from hpcstem.simulation.engines.forces import CalculatorForces
from hpcstem.simulation.engines.in_process import InProcessEngine

ACCURACY = 0.1
"""tblite's convergence threshold relative to its default, whose force errors of 3e-4 eV/Å are too large to relax to."""


_SAME_EV = 1e-4
_MOST_UNPAIRED = 6
"""As many as chromium has alone."""


def xtb_engine(settings: XtbSettings | SpinXtbSettings) -> InProcessEngine:
    """Return GFN1-xTB [1]_, or that with spin [2]_, in this process, on one thread if `OMP_NUM_THREADS` is 1."""
    method = "GFN1-xTB" if isinstance(settings, XtbSettings) else "spGFN1-xTB"
    return InProcessEngine(f"{method} (tblite {version('tblite')})", partial(XtbForces, settings=settings))


class XtbForces(CalculatorForces):
    """GFN1-xTB energy and forces; each call starts from the wave function of the last.

    With spin polarisation the number of unpaired electrons is that of `atoms` throughout, so that a job that is
    resumed has the same.

    Parameters
    ----------
    atoms
        Elements, cell and boundaries; the positions decide how many electrons are unpaired.
    settings
        Charge, electronic temperature and spin.

    Raises
    ------
    SimulationError
        No number of unpaired electrons gives an energy, or tblite knows no spin.
    """

    def __init__(self, atoms: Atoms, settings: XtbSettings | SpinXtbSettings) -> None:
        from tblite.ase import TBLite

        make = partial(
            TBLite,
            method="GFN1-xTB",
            accuracy=ACCURACY,
            charge=settings.charge,
            electronic_temperature=settings.electronic_temperature_K,
            verbosity=0,
        )
        wanted = "a sound structure, or a higher electronic_temperature_K"
        if isinstance(settings, XtbSettings):
            super().__init__(atoms, make, "GFN1-xTB", wanted)
            return
        if "spin_polarization" not in TBLite.default_parameters:
            # An older one would pass over it without a word.
            raise AbsentError("spgfn1-xtb", f"tblite {version('tblite')}", "one whose calculator knows spin")
        make = partial(make, spin_polarization=1.0)
        unpaired = settings.unpaired_electrons
        if unpaired is None:
            unpaired = _lowest_spin(atoms, settings.charge, make)
        super().__init__(atoms, partial(make, multiplicity=unpaired + 1), "spGFN1-xTB", wanted)
        self.inputs = {"unpaired_electrons": unpaired}


def _lowest_spin(atoms: Atoms, charge: int, make: Callable[..., Any]) -> int:
    """Return how many unpaired electrons give the lowest energy, the fewest of several."""
    energies_eV = {}
    for unpaired in range((int(atoms.numbers.sum()) - charge) % 2, _MOST_UNPAIRED + 1, 2):
        try:
            source = CalculatorForces(atoms, partial(make, multiplicity=unpaired + 1), "spGFN1-xTB")
            energies_eV[unpaired] = source(atoms.positions)[0]
        except SimulationError as error:
            # More than there are, or a state that no self-consistent field is found for.
            failure = error
    if not energies_eV:
        raise failure
    lowest_eV = min(energies_eV.values())
    return min(unpaired for unpaired, energy_eV in energies_eV.items() if energy_eV < lowest_eV + _SAME_EV)
