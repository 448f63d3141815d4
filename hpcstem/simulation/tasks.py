"""What a worker runs: a relaxation or molecular dynamics with the effect of exactly one run.

A job's folder is locked while it is worked on. Its outcome is written there before the database hears of it, so
that a job is never computed again because the database was away, or because a worker was killed at the end.
"""

from __future__ import annotations

import fcntl
import platform
import socket
import time
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ase import Atoms
from fireworks import FiretaskBase, FWAction

from hpcstem.config import checked
from hpcstem.errors import SimulationError
from hpcstem.files import sha256, write_text
from hpcstem.simulation.allowed import NVT_TASK, RELAX_TASK, UNFINISHED
from hpcstem.simulation.deadline import NO_DEADLINE, Deadline, SegmentEnded
from hpcstem.simulation.engines import get_engine
from hpcstem.simulation.jobs import NVT, RELAX, job_folder, job_seed, read_structure
from hpcstem.simulation.placement import Placement
from hpcstem.simulation.results import JobResult, find_result, read_result, record_result, write_result
from hpcstem.simulation.segments import check_progress, read_segments
from hpcstem.simulation.settings import NVTSettings, RelaxSettings
from hpcstem.simulation.structures import to_xyz


class _JobTask(FiretaskBase):
    """A task that is done once per key.

    The worker's environment gives `run_directory` and, where its allocation ends at some time, `end_time` [seconds
    since the epoch]; FireWorks gives `launchpad`.
    """

    def run_task(self, fw_spec: Mapping[str, Any]) -> FWAction:
        """Return the result of this key: from the database, from the job's folder, or computed now.

        Where the time ends first, the action says `UNFINISHED`, and the launchpad makes the job ready again.

        Raises
        ------
        SimulationError
            The engine fails, or a file does not fit.
        """
        key, run_directory = self["key"], Path(fw_spec["_fw_env"]["run_directory"])
        end_time_s = fw_spec["_fw_env"].get("end_time")
        deadline = NO_DEADLINE if end_time_s is None else Deadline(float(end_time_s))
        folder = job_folder(run_directory, key)
        with _locked(folder):
            result = find_result(self.launchpad, key) or read_result(folder, key)
            if result is None:
                try:
                    result = self.compute(run_directory, folder, deadline)
                except SegmentEnded as ended:
                    check_progress(folder)
                    return FWAction(stored_data={UNFINISHED: {"n_steps": ended.n_steps, "why": ended.why}})
                write_result(folder, result)
            record_result(self.launchpad, result)
        return FWAction(stored_data={"result": key})

    @abstractmethod
    def compute(self, run_directory: Path, folder: Path, deadline: Deadline) -> JobResult:
        """Run the engine in `folder`, or go on from its last checkpoint."""

    def relaxed(self, key: str, run_directory: Path) -> Atoms:
        """Return the structure that another job has relaxed.

        Raises
        ------
        SimulationError
            It has no result, or has not converged.
        """
        parent = find_result(self.launchpad, key)
        if parent is None:
            raise SimulationError("structure to start from", "no result of the relaxation", "rerun the relaxation")
        if not parent.converged:
            got = f"a relaxation that stopped after {parent.n_steps} steps at {parent.max_force_eV_A:.3g} eV/Å"
            raise SimulationError("structure to start from", got, "a larger max_steps")
        return read_structure(run_directory, {"path": parent.structure, "sha256": parent.structure_sha256})

    def finished(self, run_directory: Path, kind: str, trajectory: Path, start: float, **found: Any) -> JobResult:
        """Write the last structure beside the trajectory, and put together the result."""
        atoms, structure = found.pop("atoms"), trajectory.with_name(f"{kind}-final.xyz")
        write_text(structure, to_xyz(atoms, energy=found["energy_eV"]))
        only_some = ("max_force_eV_A", "temperature_K", "temperature_std_K", "drift_eV_atom_ps")
        return JobResult(
            key=self["key"],
            name=self["name"],
            kind=kind,
            structure=str(structure.relative_to(run_directory)),
            structure_sha256=sha256(structure),
            trajectory=str(trajectory.relative_to(run_directory)),
            settings=self["settings"],
            wall_s=round(time.monotonic() - start, 3),
            host=socket.gethostname(),
            versions=_versions(),
            segments=[segment.model_dump(mode="json") for segment in read_segments(trajectory.parent)],
            **{name: found.pop(name, None) for name in only_some},
            **found,
        )


class RelaxTask(_JobTask):
    """Relax a structure, or an adsorbate put on the sheet that another job has relaxed."""

    _fw_name = RELAX_TASK
    required_params = ["key", "name", "structure", "settings"]  # noqa: RUF012 - FireWorks' way

    def compute(self, run_directory: Path, folder: Path, deadline: Deadline) -> JobResult:
        """Relax, or go on from the last checkpoint."""
        start = time.monotonic()
        settings = RelaxSettings.parse(self["settings"])
        engine = get_engine(settings.engine)
        given = self["structure"]
        if "parent" in given:
            placement = checked(Placement, given["placement"], "placement of an adsorbate")
            atoms = placement.on(self.relaxed(given["parent"], run_directory))
        else:
            atoms = read_structure(run_directory, given)
        outcome = engine.relax(atoms, settings, job_seed(settings.seed, self["key"]), folder, deadline)
        found = vars(outcome) | {"method": engine.method}
        return self.finished(run_directory, RELAX, folder / "relaxation.xyz", start, **found)


class NVTTask(_JobTask):
    """Molecular dynamics from the structure that another job has relaxed."""

    _fw_name = NVT_TASK
    required_params = ["key", "name", "parent", "settings"]  # noqa: RUF012 - FireWorks' way

    def compute(self, run_directory: Path, folder: Path, deadline: Deadline) -> JobResult:
        """Run molecular dynamics, or go on from the last checkpoint."""
        start = time.monotonic()
        settings = NVTSettings.parse(self["settings"])
        engine = get_engine(settings.engine)
        atoms = self.relaxed(self["parent"], run_directory)
        outcome = engine.nvt(atoms, settings, job_seed(settings.seed, self["key"]), folder, deadline)
        found = vars(outcome) | {"method": engine.method, "converged": outcome.n_steps == settings.n_steps}
        return self.finished(run_directory, NVT, folder / "trajectory.xyz", start, **found)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Wait until no other process works in `folder`; a killed process holds no lock."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _versions() -> dict[str, str]:
    packages = ("hpcstem", "tblite", "ase", "numpy", "fireworks")
    return {name: version(name) for name in packages} | {"python": platform.python_version()}
