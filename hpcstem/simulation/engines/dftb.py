"""DFTB+: relaxation and molecular dynamics by an external program, over as many segments as it takes.

A segment goes on from the last whole frame of the one before: its geometry, its velocities, and the state of the
thermostat that md.out has for the same step. That frame is calculated again, so it counts for the segment that goes on.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from ase import Atoms, units

from hpcstem.simulation.constraints import Constraint, free_coordinates
from hpcstem.simulation.deadline import NO_DEADLINE, Deadline
from hpcstem.simulation.engine_settings import DftbSettings
from hpcstem.simulation.engines import dftb_inputs, dftb_outputs
from hpcstem.simulation.engines.dftb_forces import dftb_forces
from hpcstem.simulation.engines.dftb_inputs import DftbState
from hpcstem.simulation.engines.engine import NVTOutcome, RelaxOutcome
from hpcstem.simulation.engines.external import rattled, record_nvt, record_relaxation
from hpcstem.simulation.engines.program import Watch, found_program
from hpcstem.simulation.engines.segmented import Frame, run_segments
from hpcstem.simulation.motion.dynamics import run_nvt
from hpcstem.simulation.motion.relaxation import run_relaxation
from hpcstem.simulation.motion.velocities import maxwell_boltzmann
from hpcstem.simulation.programs import DFTB_COMMAND, Programs
from hpcstem.simulation.settings import NVTSettings, RelaxSettings

_GEOMETRY = "geometry.gen"


@dataclass(frozen=True)
class DftbEngine:
    """Density-functional tight binding or xTB by DFTB+.

    Parameters
    ----------
    settings
        What decides the forces.
    programs
        Where DFTB+ and its parameter files are.
    """

    settings: DftbSettings
    programs: Programs

    @property
    def method(self) -> str:
        """Method and program; the version and the parameter files are in a result's `inputs`."""
        name = self.settings.hamiltonian
        return f"{f'DFTB {self.settings.slater_koster_set}' if name == 'slater-koster' else name} (DFTB+)"

    def check(self, atoms: Atoms) -> None:
        """Check that DFTB+ and the parameters of each pair of elements are here.

        Raises
        ------
        SimulationError
            One is not.
        """
        found_program(self.programs.dftb_command, DFTB_COMMAND)
        dftb_inputs.slater_koster_files(atoms, self.settings, self.programs.slater_koster_library)
        dftb_inputs.gen_text(atoms)

    def relax(
        self,
        atoms: Atoms,
        settings: RelaxSettings,
        seed: np.random.SeedSequence,
        folder: Path,
        deadline: Deadline = NO_DEADLINE,
    ) -> RelaxOutcome:
        """Relax a structure; forces are known for the last structure of `relaxation.xyz` alone.

        A free cell, or atoms that move in some directions alone, are relaxed by hpcstem's own motion.

        Raises
        ------
        SegmentEnded
            The time was up.
        SimulationError
            DFTB+ or parameters are missing, or DFTB+ fails.
        """
        free = free_coordinates(atoms, settings.constraint, settings.fixed)
        if settings.constraint == Constraint.FREE_CELL or _move_in_part(free):
            self.check(atoms)
            with dftb_forces(atoms, self.settings, self.programs, folder) as source:
                own = run_relaxation(atoms, settings, source, seed, folder, deadline)
                return replace(own, inputs=source.inputs)
        program = self._program(rattled(atoms, free, settings.rattle_A, seed), free, settings, None)
        frames = run_segments(program, folder, deadline)
        found = record_relaxation(atoms, free, frames, np.arange(len(atoms)), folder) | {"n_steps": len(frames) - 1}
        return RelaxOutcome(converged=program.has_converged(folder), inputs=program.inputs(folder), **found)

    def nvt(
        self,
        atoms: Atoms,
        settings: NVTSettings,
        seed: np.random.SeedSequence,
        folder: Path,
        deadline: Deadline = NO_DEADLINE,
    ) -> NVTOutcome:
        """Run molecular dynamics with DFTB+'s Nosé-Hoover chain, whose conserved quantity it does not tell.

        Where atoms move in some directions alone the motion is hpcstem's own.

        Raises
        ------
        SegmentEnded
            The time was up.
        SimulationError
            DFTB+ or parameters are missing, or DFTB+ fails.
        """
        free = free_coordinates(atoms, settings.constraint, settings.fixed)
        if _move_in_part(free):
            self.check(atoms)
            with dftb_forces(atoms, self.settings, self.programs, folder) as source:
                return replace(run_nvt(atoms, settings, source, seed, folder, deadline), inputs=source.inputs)
        velocities, n_degrees = maxwell_boltzmann(atoms, free, settings.temperature_K, seed)
        # DFTB+ counts the rotations of what is free to turn, too, which are at rest here.
        n_counted = int(free.sum() - free.all(axis=0).sum())
        its = settings.model_copy(update={"temperature_K": settings.temperature_K * n_degrees / n_counted})
        program = self._program(atoms, free, its, DftbState(velocities * units.fs * 1000))
        frames = run_segments(program, folder, deadline)
        outcome = record_nvt(atoms, free, n_degrees, settings, frames, np.arange(len(atoms)), folder)
        return replace(outcome, n_steps=len(frames) - 1, inputs=program.inputs(folder))

    def _program(
        self, atoms: Atoms, free: np.ndarray, settings: RelaxSettings | NVTSettings, state: DftbState | None
    ) -> DftbProgram:
        self.check(atoms)
        return DftbProgram(atoms, free, settings, self.settings, self.programs, state)


def _move_in_part(free: np.ndarray) -> bool:
    """Whether an atom moves in some directions alone, which DFTB+'s drivers cannot."""
    return bool((free.any(axis=1) & ~free.all(axis=1)).any())


@dataclass(frozen=True)
class DftbProgram:
    """One job for DFTB+, as `hpcstem.simulation.engines.segmented` asks for it.

    Parameters
    ----------
    atoms, free
        The atoms, and which coordinates may change, with shape (n_atoms, 3), bool.
    settings, engine, programs
        What to do, how, and with which files.
    state
        First velocities; None for a relaxation.
    """

    atoms: Atoms
    free: np.ndarray
    settings: RelaxSettings | NVTSettings
    engine: DftbSettings
    programs: Programs
    state: DftbState | None

    @property
    def command(self) -> Sequence[str]:
        """Program and arguments."""
        return self.programs.dftb_command

    @property
    def n_wanted(self) -> int:
        """Steps to make at most, beyond the start."""
        return self.settings.n_steps if isinstance(self.settings, NVTSettings) else self.settings.max_steps

    def prepare(self, folder: Path, previous: Path | None, n_done: int) -> None:
        """Write the input of a segment that begins with the last whole frame of the one before."""
        atoms, state, has_charges = self.atoms.copy(), self.state, False
        if previous is not None:
            geometries, steps = self._found(previous)
            if geometries:
                atoms.positions = geometries[-1][:, :3]
                if state is not None:
                    state = DftbState(geometries[-1][:, -3:], steps[-1].chain)
            else:
                # Broken off before its first frame: as it was.
                for name in ("dftb_in.hsd", _GEOMETRY):
                    shutil.copyfile(previous / name, folder / name)
                return
            if self._ended_well(previous) and (previous / "charges.bin").exists():
                os.replace(previous / "charges.bin", folder / "charges.bin")
                has_charges = True
        library, n_left = self.programs.slater_koster_library, self.n_wanted - n_done
        text = dftb_inputs.hsd(atoms, self.free, self.settings, self.engine, library, n_left, state, has_charges)
        (folder / _GEOMETRY).write_text(dftb_inputs.gen_text(atoms))
        (folder / "dftb_in.hsd").write_text(text)

    def frames(self, folder: Path) -> Sequence[Frame]:
        """Return the whole frames of a segment; in a relaxation only the last has forces."""
        geometries, steps = self._found(folder)
        if self.state is not None:
            pairs = zip(geometries, steps, strict=True)
            return [self._frame(at, one.energy_eV, one.forces_eV_A, one.kinetic_eV) for at, one in pairs]
        unknown = np.full((len(self.atoms), 3), np.nan)
        energies = dftb_outputs.printed_energies(folder)
        found = [self._frame(at, energy, unknown) for at, energy in zip(geometries, energies, strict=False)]
        forces = dftb_outputs.read_results_tag(folder / "results.tag").get("forces")
        if found and forces is not None:
            found[-1] = replace(found[-1], forces_eV_A=forces * units.Hartree / units.Bohr)
        return found

    def n_kept(self, folder: Path) -> int:
        """Return how many frames come before the last, which the next segment calculates again."""
        return max(len(self._found(folder)[0]) - 1, 0)

    def n_made(self, folder: Path) -> int:
        """Return the number of frames beyond the first, which is the start."""
        return self.n_kept(folder)

    def is_done(self, folder: Path, n_before: int) -> bool:
        """Return whether all steps are made, or the relaxation reached its accuracy."""
        n_frames = len(self._found(folder)[0])
        if self.state is None:
            # The forces of the last structure are written at the very end.
            ended = "forces" in dftb_outputs.read_results_tag(folder / "results.tag")
            return ended and (dftb_outputs.has_converged(folder) or n_before + n_frames > self.n_wanted)
        return n_before + n_frames > self.n_wanted

    def watch(self, folder: Path) -> Watch:
        """Return how to count steps, and to stop by the file stop_driver."""

        def stop() -> None:
            (folder / "stop_driver").touch()

        return Watch(lambda: len(dftb_outputs.printed_energies(folder)), stop, output=dftb_outputs.OUTPUT)

    def repair(self, folder: Path) -> tuple[str, ...]:
        """Correct nothing: no correction of DFTB+ is known."""
        return ()

    def tidy(self, folder: Path) -> None:
        """Remove the file that asked DFTB+ to stop."""
        (folder / "stop_driver").unlink(missing_ok=True)

    def has_converged(self, folder: Path) -> bool:
        """Return whether the last segment reached the accuracy asked for."""
        return dftb_outputs.has_converged(max((folder / "segments").glob("[0-9]*")))

    def inputs(self, folder: Path) -> dict[str, object]:
        """Return the release of DFTB+, and hashes of the Slater-Koster files."""
        last = max((folder / "segments").glob("[0-9]*"))
        library = self.programs.slater_koster_library
        return dftb_outputs.inputs(last, dftb_inputs.slater_koster_files(self.atoms, self.engine, library))

    def _frame(self, geometry: np.ndarray, energy: float, forces: np.ndarray, kinetic: float | None = None) -> Frame:
        return Frame(
            positions_A=geometry[:, :3],
            cell_A=self.atoms.cell.array,
            energy_eV=energy,
            forces_eV_A=forces,
            kinetic_eV=kinetic,
            conserved_eV=None,
            # DFTB+ ends with an error where its charges do not converge.
            converged=True,
        )

    def _found(self, folder: Path) -> tuple[list[np.ndarray], list[dftb_outputs.MdStep]]:
        """Frames and, in molecular dynamics, their steps: as many as are whole in both files."""
        geometries = dftb_outputs.read_geometries(folder / "geo_end.xyz")
        if self.state is None:
            return geometries[: len(dftb_outputs.printed_energies(folder))], []
        steps = dftb_outputs.read_md(folder / "md.out")
        n_whole = min(len(geometries), len(steps))
        return geometries[:n_whole], steps[:n_whole]

    def _ended_well(self, folder: Path) -> bool:
        return (folder / "results.tag").exists()
