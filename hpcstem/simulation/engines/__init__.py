"""Engines: what computes energies, relaxations and molecular dynamics."""

from __future__ import annotations

from hpcstem.errors import SimulationError
from hpcstem.simulation.engines.engine import Engine
from hpcstem.simulation.engines.xtb import XtbEngine

ENGINES = {"gfn1-xtb": XtbEngine}


def get_engine(name: str) -> Engine:
    """Return the engine of this name.

    Raises
    ------
    SimulationError
        There is no such engine.
    """
    if name not in ENGINES:
        raise SimulationError("engine", repr(name), f"one of {', '.join(sorted(ENGINES))}")
    return ENGINES[name]()
