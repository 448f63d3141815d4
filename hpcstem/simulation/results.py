"""Results of jobs: one document per key, on disk beside the job and in the database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from hpcstem.errors import SimulationError
from hpcstem.files import read_json, write_json

if TYPE_CHECKING:
    from hpcstem.simulation.launchpad import JobLaunchPad

RESULT_FILE = "result.json"


@dataclass(frozen=True)
class JobResult:
    """What one job found.

    Parameters
    ----------
    key
        Digest of everything that decides the answer.
    name
        Name given by the user.
    kind
        `relax` or `nvt`.
    method
        Method, program and version.
    energy_eV
        Potential energy of the last structure [eV].
    converged
        Relaxation: whether the largest force is below what was asked for. Molecular dynamics: whether all steps
        were made.
    n_steps
        Steps made.
    max_force_eV_A
        Relaxation: largest force on a free atom [eV/Å]; else None.
    temperature_K, temperature_std_K
        Molecular dynamics: mean and standard deviation over the second half of the run [K]; else None.
    drift_eV_atom_ps
        Molecular dynamics: slope of the conserved quantity per atom [eV/ps]; else None.
    structure
        Path of the last structure in the run directory, extended XYZ.
    structure_sha256
        SHA-256 of that file.
    trajectory
        Path of all recorded structures in the run directory, extended XYZ.
    settings
        Settings of the job.
    wall_s
        Seconds that the process which finished the job spent on it; earlier, broken attempts are not counted.
    host
        Host of that process.
    versions
        Versions of the programs.
    segments
        The stretches that the trajectory was made in; see `hpcstem.simulation.segments.Segment`.
    inputs
        What else the forces rest on: version of an external program, names and hashes of its parameter files.
    remarks
        What a scientist should know although the work went on.
    """

    key: str
    name: str
    kind: str
    method: str
    energy_eV: float
    converged: bool
    n_steps: int
    max_force_eV_A: float | None
    temperature_K: float | None
    temperature_std_K: float | None
    drift_eV_atom_ps: float | None
    structure: str
    structure_sha256: str
    trajectory: str
    settings: Mapping[str, Any]
    wall_s: float
    host: str
    versions: Mapping[str, str]
    segments: Sequence[Mapping[str, Any]] = ()
    inputs: Mapping[str, Any] = field(default_factory=dict)
    remarks: Sequence[str] = ()

    def to_document(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """Return the result that `to_document` described; other keys are passed over.

        Raises
        ------
        SimulationError
            A key is missing.
        """
        names = [one.name for one in fields(cls)]
        needed = [one.name for one in fields(cls) if one.default is MISSING and one.default_factory is MISSING]
        missing = [name for name in needed if name not in document]
        if missing:
            raise SimulationError("keys of a result", f"no {missing[0]}", f"all of {', '.join(needed)}")
        return cls(**{name: document[name] for name in names if name in document})


def record_result(launchpad: JobLaunchPad, result: JobResult) -> None:
    """Put a result into the database; where one of the same key is there already, that one stays."""
    document = result.to_document()
    collection = launchpad.db.results
    launchpad.patiently(lambda: collection.update_one({"key": result.key}, {"$setOnInsert": document}, upsert=True))


def find_result(launchpad: JobLaunchPad, key: str) -> JobResult | None:
    """Return the result of a key from the database; None where there is none."""
    document = launchpad.patiently(lambda: launchpad.db.results.find_one({"key": key}))
    return None if document is None else JobResult.from_document(document)


def results(launchpad: JobLaunchPad) -> list[JobResult]:
    """Return all results in the database, by name and kind."""
    documents = launchpad.patiently(lambda: list(launchpad.db.results.find({})))
    found = [JobResult.from_document(document) for document in documents]
    return sorted(found, key=lambda r: (r.name, r.kind != "relax", r.settings.get("temperature_K", 0), r.key))


def write_result(folder: Path, result: JobResult) -> None:
    """Write `result.json` in a job's folder, whole or not at all."""
    write_json(folder / RESULT_FILE, result.to_document())


def read_result(folder: Path, key: str) -> JobResult | None:
    """Return the result that a job left in its folder before the database knew of it; None where there is none.

    Raises
    ------
    SimulationError
        The file is that of another job.
    """
    path = folder / RESULT_FILE
    if not path.exists():
        return None
    result = JobResult.from_document(read_json(path))
    if result.key != key:
        raise SimulationError(f"key in {path}", result.key, key)
    return result
