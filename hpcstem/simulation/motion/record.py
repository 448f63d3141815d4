"""The files in which every engine leaves its path: frames as extended XYZ, energies of dynamics as CSV."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms

from hpcstem.simulation.engines.engine import NVTOutcome
from hpcstem.simulation.settings import NVTSettings
from hpcstem.simulation.structures import to_xyz

RELAXATION, TRAJECTORY, ENERGIES = "relaxation.xyz", "trajectory.xyz", "energies.csv"
_COARSE_FS = 1.0
COLUMNS = "step,time_fs,potential_eV,kinetic_eV,temperature_K,conserved_eV\n"


@dataclass(frozen=True)
class Instant:
    """Energies at one step of molecular dynamics.

    Parameters
    ----------
    step
        Number of the step.
    time_fs
        Time since the start [fs].
    potential_eV, kinetic_eV
        Energies [eV].
    temperature_K
        Temperature [K].
    conserved_eV
        What the thermostat conserves [eV]; NaN where the program does not tell it.
    """

    step: int
    time_fs: float
    potential_eV: float
    kinetic_eV: float
    temperature_K: float
    conserved_eV: float

    def row(self) -> str:
        """Return the line of `energies.csv`."""
        values = self.time_fs, self.potential_eV, self.kinetic_eV, self.temperature_K, self.conserved_eV
        return ",".join([str(self.step), *map(repr, map(float, values))]) + "\n"

    def frame(self, atoms: Atoms, forces_eV_A: np.ndarray) -> str:
        """Return the frame of `trajectory.xyz`."""
        found = {"time_fs": self.time_fs, "temperature_K": self.temperature_K, "energy": self.potential_eV}
        return to_xyz(atoms, forces_eV_A, step=self.step, **found)


def nvt_outcome(final: Atoms, energy_eV: float, n_steps: int, energies: Path) -> NVTOutcome:
    """Return the outcome of molecular dynamics whose energies are written.

    Parameters
    ----------
    final
        The last structure.
    energy_eV
        Its potential energy [eV].
    n_steps
        Steps made.
    energies
        The file `energies.csv`.
    """
    _, time_fs, _, _, temperature, conserved = np.loadtxt(energies, delimiter=",", skiprows=1, ndmin=2).T
    second_half = temperature[len(temperature) // 2 :]
    drift_eV_atom_ps = None
    if len(time_fs) > 1 and np.isfinite(conserved).all():
        slope_eV_fs = np.polyfit(time_fs - time_fs.mean(), conserved - conserved.mean(), 1)[0]
        drift_eV_atom_ps = float(slope_eV_fs * 1000 / len(final))
    return NVTOutcome(
        atoms=final,
        energy_eV=energy_eV,
        n_steps=n_steps,
        temperature_K=float(second_half.mean()),
        temperature_std_K=float(second_half.std()),
        drift_eV_atom_ps=drift_eV_atom_ps,
    )


def timestep_remarks(atoms: Atoms, settings: NVTSettings) -> tuple[str, ...]:
    """Return a warning where the time step is coarse for the vibrations of hydrogen."""
    if settings.timestep_fs < _COARSE_FS or 1 not in atoms.numbers:
        return ()
    return (f"a time step of {settings.timestep_fs:g} fs is coarse for bonds to hydrogen; 0.5 fs resolves them",)
