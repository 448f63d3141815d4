"""What a relaxation and molecular dynamics ask of an engine, and what they give back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from ase import Atoms

from hpcstem.simulation.deadline import NO_DEADLINE, Deadline
from hpcstem.simulation.settings import NVTSettings, RelaxSettings


class ForceSource(Protocol):
    """Energy and forces of one structure at positions that change little from call to call."""

    inputs: Mapping[str, Any]
    """What the forces rest on beside the settings, for the result."""

    def __call__(self, positions_A: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the energy [eV] and the forces [eV/Å], with shape (n_atoms, 3), float64.

        Parameters
        ----------
        positions_A
            Positions [Å], with shape (n_atoms, 3), float64.

        Raises
        ------
        SimulationError
            The engine found no answer.
        """
        ...

    def with_stress(self, positions_A: np.ndarray, cell_A: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """Return the energy, the forces and the stress [eV/Å³], with shape (3, 3), float64, in another cell.

        Parameters
        ----------
        positions_A
            Positions [Å], with shape (n_atoms, 3), float64.
        cell_A
            Rows are the cell's vectors [Å], with shape (3, 3), float64.

        Raises
        ------
        SimulationError
            The engine found no answer, or has no stress.
        """
        ...

    def forget(self) -> None:
        """Forget what earlier calls left to start from, so that the next answer is that of a new process."""
        ...


@dataclass(frozen=True)
class RelaxOutcome:
    """End of a relaxation.

    Parameters
    ----------
    atoms
        The last structure.
    energy_eV
        Its energy [eV].
    max_force_eV_A
        Largest force on a free atom [eV/Å].
    converged
        Whether that is below what was asked for.
    n_steps
        Steps made.
    inputs
        What else the forces rest on: version of an external program, names and hashes of its parameter files.
    remarks
        What a scientist should know although the work went on.
    """

    atoms: Atoms
    energy_eV: float
    max_force_eV_A: float
    converged: bool
    n_steps: int
    inputs: Mapping[str, Any] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class NVTOutcome:
    """End of molecular dynamics.

    Parameters
    ----------
    atoms
        The last structure.
    energy_eV
        Its potential energy [eV].
    n_steps
        Steps made.
    temperature_K, temperature_std_K
        Mean and standard deviation of the temperature over the second half of the run [K].
    drift_eV_atom_ps
        Slope of the conserved quantity over the run, per atom [eV/ps]; None where the program does not tell it.
    inputs, remarks
        As in `RelaxOutcome`.
    """

    atoms: Atoms
    energy_eV: float
    n_steps: int
    temperature_K: float
    temperature_std_K: float
    drift_eV_atom_ps: float | None
    inputs: Mapping[str, Any] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()


class Engine(Protocol):
    """A method of computing structures in motion.

    Both calls work in a folder of their own and write there what they need to go on. Called again after a kill or a
    `SegmentEnded` they go on from the last whole step, and record each such segment in `segments.jsonl`.
    """

    @property
    def method(self) -> str:
        """Method, program and version."""
        ...

    def check(self, atoms: Atoms) -> None:
        """Check before anything is queued that what a structure's elements need is here.

        Raises
        ------
        SimulationError
            A program, or the parameters of an element, are missing.
        """
        ...

    def relax(
        self,
        atoms: Atoms,
        settings: RelaxSettings,
        seed: np.random.SeedSequence,
        folder: Path,
        deadline: Deadline = NO_DEADLINE,
    ) -> RelaxOutcome:
        """Relax a structure; the path is in `relaxation.xyz`.

        Raises
        ------
        SegmentEnded
            The time was up.
        SimulationError
            The engine fails, or the folder holds another run.
        """
        ...

    def nvt(
        self,
        atoms: Atoms,
        settings: NVTSettings,
        seed: np.random.SeedSequence,
        folder: Path,
        deadline: Deadline = NO_DEADLINE,
    ) -> NVTOutcome:
        """Run molecular dynamics; frames are in `trajectory.xyz`, energies in `energies.csv`.

        Raises
        ------
        SegmentEnded
            The time was up.
        SimulationError
            The engine fails, or the folder holds another run.
        """
        ...
