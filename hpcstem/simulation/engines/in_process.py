"""Engines whose forces are computed in this process: the motion is our own, so that it goes on exactly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from ase import Atoms

from hpcstem.simulation.deadline import NO_DEADLINE, Deadline
from hpcstem.simulation.engines.engine import ForceSource, NVTOutcome, RelaxOutcome
from hpcstem.simulation.motion.dynamics import run_nvt
from hpcstem.simulation.motion.relaxation import run_relaxation
from hpcstem.simulation.settings import NVTSettings, RelaxSettings


@dataclass(frozen=True)
class InProcessEngine:
    """A source of forces, moved by `hpcstem.simulation.motion`.

    Parameters
    ----------
    method
        Method, program and version.
    source
        Makes the source of forces of a structure.
    is_cheap
        Whether `check` may compute a few atoms.
    """

    method: str
    source: Callable[[Atoms], ForceSource]
    is_cheap: bool = True

    def check(self, atoms: Atoms) -> None:
        """Compute an atom of each element alone, which needs its parameters; where that is not cheap, only prepare it.

        Raises
        ------
        SimulationError
            An element is not known.
        """
        for symbol in dict.fromkeys(atoms.get_chemical_symbols()):
            # One at a time: two open shells far apart have no self-consistent field to converge to.
            lone = Atoms(symbol, [[0.0, 0.0, 0.0]])
            source = self.source(lone)
            if self.is_cheap:
                source(lone.positions)

    def relax(
        self,
        atoms: Atoms,
        settings: RelaxSettings,
        seed: np.random.SeedSequence,
        folder: Path,
        deadline: Deadline = NO_DEADLINE,
    ) -> RelaxOutcome:
        """Relax a structure by L-BFGS; see `hpcstem.simulation.motion.relaxation`."""
        source = self.source(atoms)
        return replace(run_relaxation(atoms, settings, source, seed, folder, deadline), inputs=source.inputs)

    def nvt(
        self,
        atoms: Atoms,
        settings: NVTSettings,
        seed: np.random.SeedSequence,
        folder: Path,
        deadline: Deadline = NO_DEADLINE,
    ) -> NVTOutcome:
        """Run molecular dynamics with a Nosé-Hoover chain; see `hpcstem.simulation.motion.dynamics`."""
        source = self.source(atoms)
        return replace(run_nvt(atoms, settings, source, seed, folder, deadline), inputs=source.inputs)
