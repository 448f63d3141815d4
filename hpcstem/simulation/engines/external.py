"""What engines that run external programs share: the start, and the record of what the program did."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms, units

from hpcstem.files import write_text
from hpcstem.simulation.engines.engine import NVTOutcome
from hpcstem.simulation.engines.segmented import Frame
from hpcstem.simulation.motion.record import (
    COLUMNS,
    ENERGIES,
    RELAXATION,
    TRAJECTORY,
    Instant,
    nvt_outcome,
    timestep_remarks,
)
from hpcstem.simulation.settings import NVTSettings
from hpcstem.simulation.structures import to_xyz


def rattled(atoms: Atoms, free: np.ndarray, rattle_A: float, seed: np.random.SeedSequence) -> Atoms:
    """Return the atoms with the random displacement that lifts a flat sheet out of its plane.

    Parameters
    ----------
    atoms
        The structure.
    free
        True for each coordinate that may change, with shape (n_atoms, 3), bool.
    rattle_A
        Standard deviation [Å].
    seed
        Random stream.
    """
    moved = atoms.copy()
    moved.positions += np.random.default_rng(seed).normal(0, rattle_A, (len(atoms), 3)) * free
    return moved


def record_relaxation(
    atoms: Atoms, free: np.ndarray, frames: Sequence[Frame], order: np.ndarray, folder: Path
) -> dict[str, Any]:
    """Write `relaxation.xyz`; return what a `RelaxOutcome` takes from it.

    Parameters
    ----------
    atoms
        The structure in its own order.
    free
        True for each coordinate that may change, with shape (n_atoms, 3), bool.
    frames
        Steps of the program.
    order
        Index in `atoms` of each atom of the program, with shape (n_atoms,), int64.
    folder
        Folder of the job.
    """
    text = []
    for step, frame in enumerate(_unwrapped(atoms.positions[order], frames)):
        found, forces = _in_own_order(atoms, frame, order)
        known = forces * free if np.isfinite(forces).all() else None
        text.append(to_xyz(found, known, step=step, energy=frame.energy_eV))
    write_text(folder / RELAXATION, "".join(text))
    largest = float(np.sqrt(((forces * free) ** 2).sum(axis=1)).max())
    return {"atoms": found, "energy_eV": frame.energy_eV, "max_force_eV_A": largest, "n_steps": len(frames)}


def record_nvt(
    atoms: Atoms,
    free: np.ndarray,
    n_degrees: int,
    settings: NVTSettings,
    frames: Sequence[Frame],
    order: np.ndarray,
    folder: Path,
) -> NVTOutcome:
    """Write `trajectory.xyz` and `energies.csv`; return the outcome.

    Parameters
    ----------
    atoms, free, frames, order, folder
        As for `record_relaxation`.
    n_degrees
        Degrees of freedom that share the kinetic energy.
    settings
        Time step and frames to write.
    """
    rows, text = [COLUMNS], []
    for step, frame in enumerate(_unwrapped(atoms.positions[order], frames)):
        found, forces = _in_own_order(atoms, frame, order)
        kinetic = frame.kinetic_eV or 0.0
        instant = Instant(
            step=step,
            time_fs=step * settings.timestep_fs,
            potential_eV=frame.energy_eV,
            kinetic_eV=kinetic,
            temperature_K=2 * kinetic / (max(n_degrees, 1) * units.kB),
            conserved_eV=np.nan if frame.conserved_eV is None else frame.conserved_eV,
        )
        rows.append(instant.row())
        if step % settings.trajectory_steps == 0:
            text.append(instant.frame(found, forces * free))
    write_text(folder / ENERGIES, "".join(rows))
    write_text(folder / TRAJECTORY, "".join(text))
    outcome = nvt_outcome(found, frame.energy_eV, len(frames), folder / ENERGIES)
    remarks = timestep_remarks(atoms, settings)
    n_unconverged = sum(not one.converged for one in frames)
    if n_unconverged:
        remarks += (f"the self-consistent field did not converge in {n_unconverged} of {len(frames)} steps",)
    return replace(outcome, remarks=remarks)


def _in_own_order(atoms: Atoms, frame: Frame, order: np.ndarray) -> tuple[Atoms, np.ndarray]:
    found = atoms.copy()
    found.cell = frame.cell_A
    positions, forces = np.empty_like(frame.positions_A), np.empty_like(frame.forces_eV_A)
    positions[order], forces[order] = frame.positions_A, frame.forces_eV_A
    found.positions = positions
    return found, forces


def _unwrapped(start_A: np.ndarray, frames: Sequence[Frame]) -> Iterator[Frame]:
    """Undo the jumps of atoms that a program puts back into the cell: each step to the nearest image."""
    last_A = start_A
    for frame in frames:
        if np.abs(np.linalg.det(frame.cell_A)) > 0:
            shifts = np.round((frame.positions_A - last_A) @ np.linalg.inv(frame.cell_A))
            frame = replace(frame, positions_A=frame.positions_A - shifts @ frame.cell_A)
        last_A = frame.positions_A
        yield frame
