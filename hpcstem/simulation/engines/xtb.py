"""The embedded engine: GFN1-xTB by tblite.

References
----------
.. [1] S. Grimme, C. Bannwarth, P. Shushkov, J. Chem. Theory Comput. 13, 1989 (2017),
   https://doi.org/10.1021/acs.jctc.7b00118
"""

from __future__ import annotations

from functools import partial
from importlib.metadata import version

from ase import Atoms

from hpcstem.simulation.engine_settings import XtbSettings
from hpcstem.simulation.engines.forces import CalculatorForces
from hpcstem.simulation.engines.in_process import InProcessEngine

ACCURACY = 0.1
"""tblite's convergence threshold relative to its default, whose force errors of 3e-4 eV/Å are too large to relax to."""


def xtb_engine(settings: XtbSettings) -> InProcessEngine:
    """Return GFN1-xTB [1]_ with dispersion, in this process, on one thread if `OMP_NUM_THREADS` is 1."""
    return InProcessEngine(f"GFN1-xTB (tblite {version('tblite')})", partial(XtbForces, settings=settings))


class XtbForces(CalculatorForces):
    """GFN1-xTB energy and forces; each call starts from the wave function of the last.

    Parameters
    ----------
    atoms
        Elements, cell and boundaries.
    settings
        Charge and electronic temperature.
    """

    def __init__(self, atoms: Atoms, settings: XtbSettings) -> None:
        from tblite.ase import TBLite

        make = partial(
            TBLite,
            method="GFN1-xTB",
            accuracy=ACCURACY,
            charge=settings.charge,
            electronic_temperature=settings.electronic_temperature_K,
            verbosity=0,
        )
        super().__init__(atoms, make, "GFN1-xTB", "a sound structure, or a higher electronic_temperature_K")
