"""Energy, forces and stress of one structure after another by DFTB+, for motion that its own drivers cannot make.

Its optimiser moves atoms in all directions or not at all, and of a cell that changes it writes the last step alone.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms, units

from hpcstem.errors import SimulationError
from hpcstem.simulation.deadline import NO_DEADLINE
from hpcstem.simulation.engine_settings import DftbSettings
from hpcstem.simulation.engines import dftb_inputs, dftb_outputs
from hpcstem.simulation.engines.program import Watch, last_words, program_lock, run_program
from hpcstem.simulation.programs import Programs

_CHARGES = "charges.bin"


@dataclass
class DftbForces:
    """One run of DFTB+ per structure, each from the charges of the last until they are forgotten.

    Parameters
    ----------
    atoms
        Elements, cell and boundaries.
    engine, programs
        What decides the forces, and where DFTB+ and its parameter files are.
    folder
        Folder of the runs.
    lock
        What `program_lock` gave.
    inputs
        Release of DFTB+ and hashes of parameter files, once it has run.
    """

    atoms: Atoms
    engine: DftbSettings
    programs: Programs
    folder: Path
    lock: int
    inputs: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, positions_A: np.ndarray) -> tuple[float, np.ndarray]:
        """See `hpcstem.simulation.engines.engine.ForceSource`."""
        found = self._computed(positions_A, self.atoms.cell.array)
        return _energy_forces(found)

    def with_stress(self, positions_A: np.ndarray, cell_A: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """See `hpcstem.simulation.engines.engine.ForceSource`."""
        found = self._computed(positions_A, cell_A)
        if "stress" not in found:
            raise SimulationError("DFTB+", "no stress in results.tag", "a structure that repeats in all directions")
        # DFTB+ counts compression as positive.
        return *_energy_forces(found), -found["stress"] * units.Hartree / units.Bohr**3

    def forget(self) -> None:
        """Start the next run from the charges of neutral atoms."""
        (self.folder / _CHARGES).unlink(missing_ok=True)

    def _computed(self, positions_A: np.ndarray, cell_A: np.ndarray) -> dict[str, np.ndarray]:
        atoms, library = self.atoms.copy(), self.programs.slater_koster_library
        atoms.positions, atoms.cell = positions_A, cell_A
        for name in ("results.tag", dftb_outputs.OUTPUT):
            (self.folder / name).unlink(missing_ok=True)
        text = dftb_inputs.hsd_forces(atoms, self.engine, library, (self.folder / _CHARGES).exists())
        (self.folder / "geometry.gen").write_text(dftb_inputs.gen_text(atoms))
        (self.folder / "dftb_in.hsd").write_text(text)
        watch = Watch(lambda: 0, lambda: None, output=dftb_outputs.OUTPUT)
        _, status = run_program(self.programs.dftb_command, self.folder, NO_DEADLINE, watch, self.lock)
        found = dftb_outputs.read_results_tag(self.folder / "results.tag")
        if "forces" not in found or "mermin_energy" not in found:
            words = f"status {status}: {last_words(self.folder, dftb_outputs.OUTPUT)}"
            raise SimulationError("DFTB+", words, f"its output in {self.folder}")
        self.inputs = self.inputs or dftb_outputs.inputs(
            self.folder, dftb_inputs.slater_koster_files(self.atoms, self.engine, library)
        )
        return found


@contextmanager
def dftb_forces(atoms: Atoms, engine: DftbSettings, programs: Programs, folder: Path) -> Iterator[DftbForces]:
    """Yield the source of forces of a job; DFTB+ of an earlier, killed worker is waited for.

    Parameters
    ----------
    atoms
        The structure.
    engine, programs
        As of `DftbForces`.
    folder
        Folder of the job.
    """
    with program_lock(folder) as lock:
        runs = folder / "steps"
        shutil.rmtree(runs, ignore_errors=True)
        runs.mkdir()
        yield DftbForces(atoms, engine, programs, runs, lock)


def _energy_forces(found: Mapping[str, np.ndarray]) -> tuple[float, np.ndarray]:
    return float(found["mermin_energy"]) * units.Hartree, found["forces"] * units.Hartree / units.Bohr
