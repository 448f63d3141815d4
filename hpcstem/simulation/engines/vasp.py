"""VASP: relaxation and molecular dynamics by an external program, over as many segments as it takes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property, lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from ase import Atoms

from hpcstem.errors import AbsentError, SimulationError
from hpcstem.simulation.constraints import free_coordinates
from hpcstem.simulation.deadline import NO_DEADLINE, Deadline
from hpcstem.simulation.engine_settings import VaspSettings
from hpcstem.simulation.engines import vasp_inputs, vasp_outputs
from hpcstem.simulation.engines.engine import NVTOutcome, RelaxOutcome
from hpcstem.simulation.engines.external import rattled, record_nvt, record_relaxation
from hpcstem.simulation.engines.program import Watch, found_program
from hpcstem.simulation.engines.segmented import Frame, run_segments
from hpcstem.simulation.engines.vasp_errors import VaspErrors
from hpcstem.simulation.engines.vasp_outputs import OutcarEnd
from hpcstem.simulation.programs import VASP_COMMAND, Programs
from hpcstem.simulation.settings import NVTSettings, RelaxSettings

_SAME = 2e-8
"""vasprun.xml has eight decimals of the fractional coordinates."""


@dataclass(frozen=True)
class VaspEngine:
    """PBE and PAW by VASP.

    Parameters
    ----------
    settings
        What decides the forces.
    programs
        Where VASP and its POTCARs are.
    """

    settings: VaspSettings
    programs: Programs

    @property
    def method(self) -> str:
        """Method and program; the version and the POTCARs are in a result's `inputs`."""
        grid = "×".join(map(str, self.settings.k_points))
        parts = ["PBE PAW", f"{self.settings.cutoff_eV:g} eV", f"{grid} k-points"]
        parts += [] if self.settings.dispersion == "none" else [self.settings.dispersion]
        parts += ["spin-polarised"] if self.settings.spin_polarised else []
        return f"{', '.join(parts)} (VASP)"

    def relax(
        self,
        atoms: Atoms,
        settings: RelaxSettings,
        seed: np.random.SeedSequence,
        folder: Path,
        deadline: Deadline = NO_DEADLINE,
    ) -> RelaxOutcome:
        """Relax a structure by conjugate gradients; the path is in `relaxation.xyz`.

        Raises
        ------
        SegmentEnded
            The time was up.
        SimulationError
            VASP or a POTCAR is missing, or VASP fails.
        """
        free = free_coordinates(atoms, settings.constraint, settings.fixed)
        program = self._program(rattled(atoms, free, settings.rattle_A, seed), free, settings, deadline)
        frames = run_segments(program, folder, deadline)
        program.drop_wave_functions(folder)
        outcome = record_relaxation(atoms, free, frames, program.order, folder)
        converged = program.is_converged(folder)
        return RelaxOutcome(converged=converged, inputs=program.inputs(folder), **outcome)

    def nvt(
        self,
        atoms: Atoms,
        settings: NVTSettings,
        seed: np.random.SeedSequence,
        folder: Path,
        deadline: Deadline = NO_DEADLINE,
    ) -> NVTOutcome:
        """Run molecular dynamics with VASP's Nosé-Hoover thermostat; the calculation of the start is its first step.

        Raises
        ------
        SegmentEnded
            The time was up.
        SimulationError
            VASP or a POTCAR is missing, or VASP fails.
        """
        free = free_coordinates(atoms, settings.constraint, settings.fixed)
        program = self._program(atoms, free, settings, deadline)
        frames = run_segments(program, folder, deadline)
        program.drop_wave_functions(folder)
        # VASP draws the first velocities, and takes the motion of the centre of mass out of them.
        n_degrees = int(free.sum() - free.all(axis=0).sum())
        outcome = record_nvt(atoms, free, n_degrees, settings, frames, program.order, folder)
        return replace(outcome, inputs=program.inputs(folder))

    def check(self, atoms: Atoms) -> None:
        """Check that VASP and a POTCAR for each element are here.

        Raises
        ------
        SimulationError
            One is not.
        """
        found_program(self.programs.vasp_command, VASP_COMMAND)
        if find_spec("custodian") is None:
            raise AbsentError("errors of VASP", "no custodian", "pip install 'hpcstem[vasp]'")
        vasp_inputs.find_potcars(atoms[vasp_inputs.species_order(atoms)], self.settings, self.programs.potcar_library)

    def _program(
        self, atoms: Atoms, free: np.ndarray, settings: RelaxSettings | NVTSettings, deadline: Deadline
    ) -> VaspProgram:
        self.check(atoms)
        order = vasp_inputs.species_order(atoms)
        keep = deadline != NO_DEADLINE
        return VaspProgram(atoms[order], free[order], order, settings, self.settings, self.programs, keep)


@dataclass(frozen=True)
class VaspProgram:
    """One job for VASP, as `hpcstem.simulation.engines.segmented` asks for it.

    Parameters
    ----------
    atoms, free
        The atoms in VASP's order, and which coordinates may change, with shape (n_atoms, 3), bool.
    order
        Their indices in the job's structure, with shape (n_atoms,), int64.
    settings, engine, programs
        What to do, how, and with which files.
    keep_wave_functions
        Whether a segment may be gone on from.
    """

    atoms: Atoms
    free: np.ndarray
    order: np.ndarray
    settings: RelaxSettings | NVTSettings
    engine: VaspSettings
    programs: Programs
    keep_wave_functions: bool

    @property
    def command(self) -> Sequence[str]:
        """Program and arguments."""
        return self.programs.vasp_command

    @cached_property
    def potcars(self) -> list[vasp_inputs.Potcar]:
        """POTCARs of the species."""
        return vasp_inputs.find_potcars(self.atoms, self.engine, self.programs.potcar_library)

    @property
    def n_wanted(self) -> int:
        """Steps to make at most."""
        return self.settings.n_steps if isinstance(self.settings, NVTSettings) else self.settings.max_steps

    def prepare(self, folder: Path, previous: Path | None, n_done: int) -> None:
        """Write the input of a segment; POSCAR is the CONTCAR of the last byte for byte, NSW what is left to do."""
        if previous is None:
            tags = vasp_inputs.incar(self.atoms, self.settings, self.engine, self.keep_wave_functions)
            (folder / "KPOINTS").write_text(vasp_inputs.kpoints_text(self.engine))
            comment = self.atoms.get_chemical_formula()
            (folder / "POSCAR").write_text(vasp_inputs.poscar_text(self.atoms, self.free, comment))
        else:
            # With what Custodian has corrected in them.
            tags = vasp_inputs.read_incar((previous / "INCAR").read_text())
            shutil.copyfile(previous / "KPOINTS", folder / "KPOINTS")
            origin = "CONTCAR" if self.n_kept(previous) else "POSCAR"
            shutil.copyfile(previous / origin, folder / "POSCAR")
            whole = vasp_outputs.outcar_end(previous / "OUTCAR") != OutcarEnd.BROKEN
            if whole and (previous / "WAVECAR").exists():
                os.replace(previous / "WAVECAR", folder / "WAVECAR")
        tags["NSW"] = str(self.n_wanted - n_done)
        (folder / "INCAR").write_text(vasp_inputs.incar_text(tags))
        vasp_inputs.write_potcar(folder / "POTCAR", self.potcars, self.programs.potcar_library)

    def frames(self, folder: Path) -> Sequence[Frame]:
        """Return the whole ionic steps of a segment."""
        return [
            Frame(
                positions_A=step.fractional @ step.cell_A,
                cell_A=step.cell_A,
                energy_eV=step.energy_eV,
                forces_eV_A=step.forces_eV_A,
                kinetic_eV=step.kinetic_eV,
                conserved_eV=step.conserved_eV,
                converged=step.converged,
            )
            for step in _steps(folder)
        ]

    def n_kept(self, folder: Path) -> int:
        """Return how many steps come before the positions in CONTCAR; none where that is broken.

        CONTCAR holds the positions of the step to come; where VASP was killed before it wrote them, or does not, it
        holds those of a step that is calculated again.
        """
        steps, contcar = _steps(folder), vasp_outputs.contcar_positions(folder / "CONTCAR")
        if contcar is None or not steps:
            return 0
        for number in range(len(steps) - 1, max(len(steps) - 4, -1), -1):
            if np.abs(_nearest(contcar - steps[number].fractional)).max() < _SAME:
                return number
        broken = vasp_outputs.outcar_end(folder / "OUTCAR") == OutcarEnd.BROKEN
        if broken and isinstance(self.settings, NVTSettings) and not _follows(contcar, steps):
            return 0
        return len(steps)

    def n_made(self, folder: Path) -> int:
        """Return the number of whole steps."""
        return len(_steps(folder))

    def is_done(self, folder: Path, n_before: int) -> bool:
        """Return whether all steps are made, or the relaxation reached its accuracy."""
        steps = _steps(folder)
        if n_before + len(steps) >= self.n_wanted:
            return True
        return not isinstance(self.settings, NVTSettings) and self._reached_accuracy(folder)

    def watch(self, folder: Path) -> Watch:
        """Return how to count ionic steps, and to stop by STOPCAR."""
        errors = self._errors

        def stop() -> None:
            (folder / "STOPCAR").write_text("LSTOP = .TRUE.\n")

        return Watch(lambda: _n_ionic(folder / "OSZICAR"), stop, lambda: errors.seen_running(folder))

    def repair(self, folder: Path) -> tuple[str, ...]:
        """Let Custodian's handlers correct INCAR and KPOINTS."""
        return self._errors.correct(folder)

    def tidy(self, folder: Path) -> None:
        """Remove POTCAR, which is licensed, and STOPCAR."""
        for name in ("POTCAR", "STOPCAR"):
            (folder / name).unlink(missing_ok=True)

    def drop_wave_functions(self, folder: Path) -> None:
        """Remove what only a further segment would have read."""
        for path in (folder / "segments").glob("*/WAVECAR"):
            path.unlink()

    def is_converged(self, folder: Path) -> bool:
        """Return whether the last segment reached the accuracy asked for."""
        return self._reached_accuracy(max((folder / "segments").glob("[0-9]*")))

    def inputs(self, folder: Path) -> dict[str, object]:
        """Return version of VASP, and names and hashes of the POTCARs."""
        last = max((folder / "segments").glob("[0-9]*"))
        version = vasp_outputs.read_vasprun(last / "vasprun.xml").version
        return {"program": f"VASP {version}", "potcars": [asdict(potcar) for potcar in self.potcars]}

    @cached_property
    def _errors(self) -> VaspErrors:
        return VaspErrors(isinstance(self.settings, NVTSettings))

    def _reached_accuracy(self, folder: Path) -> bool:
        steps = _steps(folder)
        reached = vasp_outputs.outcar_end(folder / "OUTCAR") == OutcarEnd.CONVERGED
        return bool(steps) and reached and steps[-1].converged


def _steps(folder: Path) -> tuple[vasp_outputs.VaspStep, ...]:
    path = folder / "vasprun.xml"
    try:
        found = path.stat()
        return _read(path, found.st_mtime_ns, found.st_size)
    except (FileNotFoundError, SimulationError):
        return ()


@lru_cache(maxsize=1)
def _read(path: Path, modified_ns: int, size: int) -> tuple[vasp_outputs.VaspStep, ...]:
    return vasp_outputs.read_vasprun(path).steps


def _nearest(change: np.ndarray) -> np.ndarray:
    return (change + 0.5) % 1 - 0.5


def _follows(contcar: np.ndarray, steps: Sequence[vasp_outputs.VaspStep]) -> bool:
    """Whether positions are one step after the last of vasprun.xml, not two or more: VASP writes CONTCAR before."""
    if len(steps) < 2:
        return False
    move = _nearest(steps[-1].fractional - steps[-2].fractional)
    made = _nearest(contcar - steps[-1].fractional)
    return bool(np.linalg.norm(made - move) < np.linalg.norm(made - 2 * move))


def _n_ionic(path: Path) -> int:
    return path.read_bytes().count(b"F=") if path.exists() else 0
