"""Engines on calculators of ASE's interface: classical bond-order potentials, and any calculator on the allow-list."""

from __future__ import annotations

import contextlib
import importlib
import tempfile
from collections.abc import Callable
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
from ase import Atoms

from hpcstem.errors import AbsentError, SimulationError
from hpcstem.simulation.engine_settings import ASE_CALCULATORS, AseSettings, ClassicalSettings
from hpcstem.simulation.engines.forces import CalculatorForces
from hpcstem.simulation.engines.in_process import InProcessEngine

_POTENTIALS = {
    "tersoff": ("Tersoff", "Tersoff_PRB_39_5566_Si_C", "Tersoff 1989"),
    "erhart-albe": ("Brenner", "Erhart_PRB_71_035211_SiC", "Erhart and Albe 2005"),
    "rebo2": ("Rebo2", None, "REBO2, Brenner 2002"),
}
_BOX_MARGIN_A = 50.0
_ELEMENTS = {"tersoff": {"C", "Si"}, "erhart-albe": {"C", "Si"}, "rebo2": {"C", "H"}}


def classical_engine(settings: ClassicalSettings) -> InProcessEngine:
    """Return a classical bond-order potential, by atomistica.

    References
    ----------
    .. [1] J. Tersoff, Phys. Rev. B 39, 5566 (1989), https://doi.org/10.1103/PhysRevB.39.5566
    .. [2] P. Erhart, K. Albe, Phys. Rev. B 71, 035211 (2005), https://doi.org/10.1103/PhysRevB.71.035211
    .. [3] D. W. Brenner et al., J. Phys. Condens. Matter 14, 783 (2002), https://doi.org/10.1088/0953-8984/14/4/312

    Raises
    ------
    SimulationError
        atomistica is not installed.
    """
    try:
        # Where it is imported it leaves a log file.
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            import atomistica
    except ImportError as error:
        raise AbsentError("classical potentials", error, "pip install 'hpcstem[classical]'") from error
    kind, parameters, name = _POTENTIALS[settings.potential]
    arguments = {} if parameters is None else getattr(atomistica, parameters)
    make = partial(getattr(atomistica, kind), **arguments)
    method = f"classical potential {name} (atomistica {version('atomistica')})"
    return InProcessEngine(method, partial(_classical, make=make, settings=settings))


def _classical(atoms: Atoms, make: Callable[[], Any], settings: ClassicalSettings) -> CalculatorForces:
    known = _ELEMENTS[settings.potential]
    foreign = sorted(set(atoms.get_chemical_symbols()) - known)
    if foreign:
        raise SimulationError(
            f"potential {settings.potential}", f"{foreign[0]} atoms", f"only {', '.join(sorted(known))}"
        )
    if atoms.cell.rank == 3:
        return CalculatorForces(atoms, make)
    # atomistica looks for neighbours in cells; a box that nothing repeats in changes no energy.
    boxed = atoms.copy()
    boxed.set_cell(np.ptp(atoms.positions, axis=0) + _BOX_MARGIN_A)
    boxed.pbc = False
    return CalculatorForces(boxed, make)


def ase_engine(settings: AseSettings) -> InProcessEngine:
    """Return the calculator of this name.

    Raises
    ------
    SimulationError
        It is not installed.
    """
    module, _, name = ASE_CALCULATORS[settings.calculator].partition(":")
    try:
        made = getattr(importlib.import_module(module), name)
        program = f"{module.partition('.')[0]} {version(module.partition('.')[0])}"
    except (ImportError, PackageNotFoundError) as error:
        raise AbsentError(f"calculator {settings.calculator}", error, "its package installed here") from error
    words = ", ".join(f"{key}={value!r}" for key, value in sorted(settings.arguments.items()))
    make = partial(made, **settings.arguments)
    is_cheap = settings.calculator != "gpaw"
    return InProcessEngine(f"{name}({words}) ({program})", partial(CalculatorForces, make=make), is_cheap)
