"""Engines: what computes energies, relaxations and molecular dynamics."""

from __future__ import annotations

from hpcstem.errors import SimulationError
from hpcstem.simulation.engine_settings import EngineSettings, XtbSettings
from hpcstem.simulation.engines.engine import Engine


def get_engine(settings: EngineSettings) -> Engine:
    """Return the engine that these settings describe.

    Raises
    ------
    SimulationError
        What it needs is not installed here.
    """
    if isinstance(settings, XtbSettings):
        from hpcstem.simulation.engines.xtb import xtb_engine

        return xtb_engine(settings)
    raise SimulationError("engine", repr(settings.name), "gfn1-xtb")
