"""Relaxation by L-BFGS that goes on from its last checkpoint as if it had never stopped."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from ase import Atoms

from hpcstem.errors import SimulationError
from hpcstem.simulation.constraints import Constraint, free_coordinates
from hpcstem.simulation.deadline import NO_DEADLINE, Deadline
from hpcstem.simulation.engines.engine import ForceSource, RelaxOutcome
from hpcstem.simulation.motion.checkpoint import read_checkpoint, write_checkpoint
from hpcstem.simulation.motion.coordinates import Coordinates, FixedCell, FreeCell
from hpcstem.simulation.motion.growing import GrowingFile
from hpcstem.simulation.motion.lbfgs import LBFGS
from hpcstem.simulation.motion.record import RELAXATION
from hpcstem.simulation.motion.runs import StepClock, identity, same_run
from hpcstem.simulation.segments import logged_segment
from hpcstem.simulation.settings import RelaxSettings
from hpcstem.simulation.structures import to_xyz

CHECKPOINT = "relaxation.npz"


@dataclass(frozen=True)
class _State:
    n_steps: int
    positions: np.ndarray
    energy: float
    forces: np.ndarray
    history: LBFGS


def run_relaxation(
    atoms: Atoms,
    settings: RelaxSettings,
    source: ForceSource,
    seed: np.random.SeedSequence,
    folder: Path,
    deadline: Deadline = NO_DEADLINE,
) -> RelaxOutcome:
    """Relax a structure in `folder`; every structure of the path goes to `relaxation.xyz`.

    Parameters
    ----------
    atoms
        The structure to start from.
    settings
        Force to reach, fixed atoms, checkpoints.
    source
        Energies and forces.
    seed
        Random stream of the first displacement.
    folder
        Folder of this run alone.
    deadline
        When to stop.

    Raises
    ------
    SegmentEnded
        The time was up; call it again.
    SimulationError
        The engine fails, a fixed atom is not there, or the folder holds another run.
    """
    folder.mkdir(parents=True, exist_ok=True)
    free = free_coordinates(atoms, settings.constraint, settings.fixed)
    kind = FreeCell if settings.constraint == Constraint.FREE_CELL else FixedCell
    coordinates: Coordinates = kind(atoms, source, free)
    run = identity(atoms, settings, seed)
    state, length = _load(folder / CHECKPOINT, run)
    n_done = 0 if state is None else state.n_steps
    clock = StepClock(deadline, settings.checkpoint_steps, n_done)
    with logged_segment(folder, n_done) as segment, GrowingFile(folder / RELAXATION, length) as trajectory:
        if state is None:
            rattle = np.random.default_rng(seed).normal(0, settings.rattle_A, (len(atoms), 3))
            start = coordinates.start(atoms.positions + rattle * free)
            state = _State(0, start, *_evaluated(coordinates, start), LBFGS.start(len(start)))
            trajectory.append(_frame(coordinates, state))
        while _max_force(state) >= settings.fmax_eV_A and state.n_steps < settings.max_steps:
            state = _step(state, coordinates)
            trajectory.append(_frame(coordinates, state))
            segment["last_step"] = state.n_steps
            safe = state.n_steps % settings.checkpoint_steps == 0
            if safe:
                _save(folder / CHECKPOINT, run, state, trajectory.mark())
                # A run that is resumed here has no wave function to start from: neither may this one.
                source.forget()
            clock.go_on(state.n_steps, safe)
        trajectory.mark()
    largest = _max_force(state)
    return RelaxOutcome(
        coordinates.atoms(state.positions), state.energy, largest, largest < settings.fmax_eV_A, state.n_steps
    )


def _step(state: _State, coordinates: Coordinates) -> _State:
    move = state.history.move(state.forces)
    positions = state.positions + move
    energy, forces = _evaluated(coordinates, positions)
    history = state.history.updated(move, state.forces, forces)
    return replace(state, n_steps=state.n_steps + 1, positions=positions, energy=energy, forces=forces, history=history)


def _evaluated(coordinates: Coordinates, positions: np.ndarray) -> tuple[float, np.ndarray]:
    energy, forces = coordinates.evaluate(positions)
    if not (np.isfinite(energy) and np.isfinite(forces).all()):
        raise SimulationError("energy or forces", "not finite", "a sound starting structure")
    return energy, forces


def _max_force(state: _State) -> float:
    return float(np.sqrt((state.forces**2).sum(axis=1)).max())


def _frame(coordinates: Coordinates, state: _State) -> str:
    forces = coordinates.atom_forces(state.positions, state.forces)
    return to_xyz(coordinates.atoms(state.positions), forces, step=state.n_steps, energy=state.energy)


def _save(path: Path, run: str, state: _State, length: int) -> None:
    arrays = {"positions": state.positions, "forces": state.forces, "moves": state.history.moves}
    scalars = {"run": run, "n_steps": state.n_steps, "energy": state.energy, "length": length}
    history = {"force_changes": state.history.force_changes}
    write_checkpoint(path, arrays | history | {name: np.array(value) for name, value in scalars.items()})


def _load(path: Path, run: str) -> tuple[_State | None, int]:
    saved = read_checkpoint(path)
    if saved is None:
        return None, 0
    same_run(path, saved, run)
    history = LBFGS(saved["moves"], saved["force_changes"])
    state = _State(int(saved["n_steps"]), saved["positions"], float(saved["energy"]), saved["forces"], history)
    return state, int(saved["length"])
