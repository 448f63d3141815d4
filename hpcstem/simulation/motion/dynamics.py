"""Molecular dynamics at constant temperature that goes on from its last checkpoint as if it had never stopped.

Velocity Verlet between two half steps of a Nosé–Hoover chain, see `hpcstem.simulation.motion.nose_hoover`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from ase import Atoms, units

from hpcstem.errors import SimulationError
from hpcstem.simulation.constraints import free_coordinates
from hpcstem.simulation.deadline import NO_DEADLINE, Deadline
from hpcstem.simulation.engines.engine import ForceSource, NVTOutcome
from hpcstem.simulation.motion.checkpoint import read_checkpoint, write_checkpoint
from hpcstem.simulation.motion.growing import GrowingFile
from hpcstem.simulation.motion.nose_hoover import CHAIN_LENGTH, NoseHooverChain
from hpcstem.simulation.motion.record import COLUMNS, ENERGIES, TRAJECTORY, Instant, nvt_outcome, timestep_remarks
from hpcstem.simulation.motion.runs import StepClock, identity, same_run
from hpcstem.simulation.motion.velocities import maxwell_boltzmann
from hpcstem.simulation.segments import logged_segment
from hpcstem.simulation.settings import NVTSettings

CHECKPOINT = "nvt.npz"


@dataclass(frozen=True)
class _State:
    n_steps: int
    positions: np.ndarray
    velocities: np.ndarray
    energy: float
    forces: np.ndarray
    chain: np.ndarray


@dataclass(frozen=True)
class _Motion:
    """What does not change during a run."""

    atoms: Atoms
    settings: NVTSettings
    source: ForceSource
    free: np.ndarray
    masses: np.ndarray
    thermostat: NoseHooverChain

    def step(self, state: _State) -> _State:
        half_fs = self.settings.timestep_fs / 2
        dt = self.settings.timestep_fs * units.fs
        chain, factor = self.thermostat.scaled(state.chain, self.twice_kinetic(state.velocities), half_fs)
        velocities = state.velocities * factor + dt / 2 * state.forces / self.masses
        positions = state.positions + dt * velocities
        energy, forces = self.forces(positions, state.n_steps + 1)
        velocities = velocities + dt / 2 * forces / self.masses
        chain, factor = self.thermostat.scaled(chain, self.twice_kinetic(velocities), half_fs)
        return _State(state.n_steps + 1, positions, velocities * factor, energy, forces, chain)

    def forces(self, positions: np.ndarray, step: int) -> tuple[float, np.ndarray]:
        if not np.isfinite(positions).all():
            raise SimulationError(f"positions at step {step}", "not finite", "a shorter timestep_fs")
        energy, forces = self.source(positions)
        return energy, forces * self.free

    def twice_kinetic(self, velocities: np.ndarray) -> float:
        return float((self.masses * velocities**2).sum())

    def temperature(self, velocities: np.ndarray) -> float:
        return self.twice_kinetic(velocities) / (self.thermostat.n_degrees * units.kB)

    def instant(self, state: _State) -> Instant:
        kinetic = self.twice_kinetic(state.velocities) / 2
        return Instant(
            step=state.n_steps,
            time_fs=state.n_steps * self.settings.timestep_fs,
            potential_eV=state.energy,
            kinetic_eV=kinetic,
            temperature_K=self.temperature(state.velocities),
            conserved_eV=state.energy + kinetic + self.thermostat.energy(state.chain),
        )

    def row(self, state: _State) -> str:
        return self.instant(state).row()

    def frame(self, state: _State) -> str:
        return self.instant(state).frame(self.at(state), state.forces)

    def at(self, state: _State) -> Atoms:
        atoms = self.atoms.copy()
        atoms.positions = state.positions
        return atoms


def run_nvt(
    atoms: Atoms,
    settings: NVTSettings,
    source: ForceSource,
    seed: np.random.SeedSequence,
    folder: Path,
    deadline: Deadline = NO_DEADLINE,
) -> NVTOutcome:
    """Run molecular dynamics in `folder`.

    `trajectory.xyz` gets a frame each `trajectory_steps` and `energies.csv` a row each step, from step 0 on.

    Parameters
    ----------
    atoms
        The structure to start from.
    settings
        Temperature, time step, number of steps, checkpoints.
    source
        Energies and forces.
    seed
        Random stream of the first velocities.
    folder
        Folder of this run alone.
    deadline
        When to stop.

    Raises
    ------
    SegmentEnded
        The time was up; call it again.
    SimulationError
        The engine fails, the motion diverges, or the folder holds another run.
    """
    folder.mkdir(parents=True, exist_ok=True)
    run = identity(atoms, settings, seed)
    motion, velocities = _prepared(atoms, settings, source, seed)
    state, lengths = _load(folder / CHECKPOINT, run)
    n_done = 0 if state is None else state.n_steps
    clock = StepClock(deadline, settings.checkpoint_steps, n_done)
    with (
        logged_segment(folder, n_done) as segment,
        GrowingFile(folder / TRAJECTORY, lengths[0]) as trajectory,
        GrowingFile(folder / ENERGIES, lengths[1]) as energies,
    ):
        if state is None:
            start = motion.forces(atoms.positions, 0)
            state = _State(0, atoms.positions.copy(), velocities, *start, np.zeros((2, CHAIN_LENGTH)))
            trajectory.append(motion.frame(state))
            energies.append(COLUMNS + motion.row(state))
        while state.n_steps < settings.n_steps:
            state = motion.step(state)
            energies.append(motion.row(state))
            if state.n_steps % settings.trajectory_steps == 0:
                trajectory.append(motion.frame(state))
            segment["last_step"] = state.n_steps
            safe = state.n_steps % settings.checkpoint_steps == 0
            if safe:
                _save(folder / CHECKPOINT, run, state, (trajectory.mark(), energies.mark()))
                # A run that is resumed here has no wave function to start from: neither may this one.
                source.forget()
            if state.n_steps < settings.n_steps:
                clock.go_on(state.n_steps, safe)
        trajectory.mark(), energies.mark()
    outcome = nvt_outcome(motion.at(state), state.energy, state.n_steps, folder / ENERGIES)
    return replace(outcome, remarks=timestep_remarks(atoms, settings))


def _prepared(
    atoms: Atoms, settings: NVTSettings, source: ForceSource, seed: np.random.SeedSequence
) -> tuple[_Motion, np.ndarray]:
    """Return the motion and its first velocities."""
    free = free_coordinates(atoms, settings.constraint, settings.fixed)
    velocities, n_degrees = maxwell_boltzmann(atoms, free, settings.temperature_K, seed)
    if n_degrees < 1:
        raise SimulationError("degrees of freedom", n_degrees, "at least one: more atoms, or fewer fixed ones")
    thermostat = NoseHooverChain(settings.temperature_K, settings.thermostat_time_fs, n_degrees)
    return _Motion(atoms, settings, source, free, atoms.get_masses()[:, None], thermostat), velocities


def _save(path: Path, run: str, state: _State, lengths: tuple[int, int]) -> None:
    arrays = {"positions": state.positions, "velocities": state.velocities, "forces": state.forces}
    scalars = {"run": run, "n_steps": state.n_steps, "energy": state.energy, "lengths": lengths}
    chain = {"chain": state.chain}
    write_checkpoint(path, arrays | chain | {name: np.array(value) for name, value in scalars.items()})


def _load(path: Path, run: str) -> tuple[_State | None, tuple[int, int]]:
    saved = read_checkpoint(path)
    if saved is None:
        return None, (0, 0)
    same_run(path, saved, run)
    state = _State(
        int(saved["n_steps"]),
        saved["positions"],
        saved["velocities"],
        float(saved["energy"]),
        saved["forces"],
        saved["chain"],
    )
    first, second = saved["lengths"]
    return state, (int(first), int(second))
