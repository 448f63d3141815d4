"""Engines: what computes energies, relaxations and molecular dynamics."""

from __future__ import annotations

from hpcstem.simulation.engine_settings import (
    AseSettings,
    ClassicalSettings,
    EngineSettings,
    SpinXtbSettings,
    VaspSettings,
    XtbSettings,
)
from hpcstem.simulation.engines.engine import Engine
from hpcstem.simulation.programs import Programs


def get_engine(settings: EngineSettings) -> Engine:
    """Return the engine that these settings describe.

    Raises
    ------
    SimulationError
        What it needs is not installed here.
    """
    if isinstance(settings, XtbSettings | SpinXtbSettings):
        from hpcstem.simulation.engines.xtb import xtb_engine

        return xtb_engine(settings)
    if isinstance(settings, VaspSettings):
        from hpcstem.simulation.engines.vasp import VaspEngine

        return VaspEngine(settings, Programs.from_environment())
    if isinstance(settings, ClassicalSettings):
        from hpcstem.simulation.engines.calculators import classical_engine

        return classical_engine(settings)
    if isinstance(settings, AseSettings):
        from hpcstem.simulation.engines.calculators import ase_engine

        return ase_engine(settings)
    from hpcstem.simulation.engines.dftb import DftbEngine

    return DftbEngine(settings, Programs.from_environment())
