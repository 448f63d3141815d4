"""Jobs: what decides their answer, the key that this gives, and the folder that the key names."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from ase import Atoms

from hpcstem.errors import SimulationError
from hpcstem.files import inside, sha256
from hpcstem.simulation.allowed import NVT_TASK, RELAX_TASK
from hpcstem.simulation.placement import Placement
from hpcstem.simulation.settings import NVTSettings, RelaxSettings
from hpcstem.simulation.structures import from_xyz, to_xyz

RELAX, NVT = "relax", "nvt"
_TASKS = {RELAX: RELAX_TASK, NVT: NVT_TASK}
_FORMAT = 2


@dataclass(frozen=True)
class Job:
    """One job, ready to be put into the queue.

    Parameters
    ----------
    key
        Digest of everything that decides the answer: kind, structure or parent, settings.
    kind
        `relax` or `nvt`.
    title
        What a person reads in lists.
    parameters
        Parameters of its task, plain JSON.
    labels
        Where it stands on the axes of its sweep.
    references
        With an adsorbate: keys of the relaxations of the bare `sheet` and of the `isolated` adsorbate.

    Labels and references decide nothing, and are no part of the key.
    """

    key: str
    kind: str
    title: str
    parameters: Mapping[str, Any]
    labels: Mapping[str, str] = field(default_factory=dict)
    references: Mapping[str, str] = field(default_factory=dict)

    @property
    def parent(self) -> str | None:
        """Key of the relaxation that it starts from; None where it starts from a structure."""
        found = self.parameters.get("parent") or self.parameters["structure"].get("parent")
        return None if found is None else str(found)

    def spec(self, priority: int) -> dict[str, Any]:
        """Return the spec of its firework."""
        task = {"_fw_name": _TASKS[self.kind], **self.parameters}
        spec = {"_tasks": [task], "_priority": priority, "_add_launchpad_and_fw_id": True, "key": self.key}
        extra = {"labels": dict(self.labels), "references": dict(self.references)}
        return spec | {name: value for name, value in extra.items() if value}


@dataclass(frozen=True)
class JobTree:
    """A relaxation, and all that starts from what it finds, directly or not, each job after the one it starts from."""

    root: Job
    children: tuple[Job, ...] = ()


def relax_job(
    name: str,
    structure: Atoms | Mapping[str, str],
    settings: RelaxSettings,
    labels: Mapping[str, str] = MappingProxyType({}),
    references: Mapping[str, str] = MappingProxyType({}),
) -> Job:
    """Return the relaxation of a structure: atoms, or `path` in the run directory and `sha256` of an XYZ file.

    Raises
    ------
    SimulationError
        The reference to a file lacks its path or digest.
    """
    if isinstance(structure, Atoms):
        text = to_xyz(structure)
        given: dict[str, str] = {"text": text}
        digest = hashlib.sha256(text.encode()).hexdigest()
    else:
        if set(structure) != {"path", "sha256"}:
            raise SimulationError("reference to a structure", sorted(structure), "path and sha256")
        given, digest = dict(structure), structure["sha256"]
    document = settings.to_document()
    key = _digest(RELAX, digest, document)
    parameters = {"key": key, "name": name, "structure": given, "settings": document}
    return Job(key, RELAX, f"{name} relax", parameters, labels, references)


def adsorbed_job(
    name: str,
    parent: str,
    placement: Placement,
    settings: RelaxSettings,
    labels: Mapping[str, str] = MappingProxyType({}),
    references: Mapping[str, str] = MappingProxyType({}),
) -> Job:
    """Return the relaxation of an adsorbate put on the sheet that the job with the key `parent` relaxes."""
    document = settings.to_document()
    given = {"parent": parent, "placement": placement.model_dump(mode="json")}
    key = _digest(RELAX, given, document)
    parameters = {"key": key, "name": name, "structure": given, "settings": document}
    return Job(key, RELAX, f"{name} relax", parameters, labels, references)


def nvt_job(
    name: str,
    parent: str,
    settings: NVTSettings,
    labels: Mapping[str, str] = MappingProxyType({}),
    references: Mapping[str, str] = MappingProxyType({}),
) -> Job:
    """Return molecular dynamics from the structure that the job with the key `parent` relaxes."""
    document = settings.to_document()
    key = _digest(NVT, parent, document)
    parameters = {"key": key, "name": name, "parent": parent, "settings": document}
    return Job(key, NVT, f"{name} NVT {settings.temperature_K:g} K", parameters, labels, references)


def read_structure(run_directory: Path, structure: Mapping[str, str]) -> Atoms:
    """Return the structure of a job: its `text`, or the file at `path` if it still has its `sha256`.

    Raises
    ------
    SimulationError
        The file is absent or was changed.
    HpcstemError
        The path leads out of the run directory.
    """
    if "text" in structure:
        return from_xyz(structure["text"])
    path = inside(run_directory, structure["path"])
    if not path.is_file():
        raise SimulationError(f"structure {path}", "no such file")
    if sha256(path) != structure["sha256"]:
        raise SimulationError(f"structure {path}", "a changed file", f"sha256 {structure['sha256']}")
    return from_xyz(path.read_text())


def job_folder(run_directory: Path, key: str) -> Path:
    """Return the folder of a job in the run directory.

    Raises
    ------
    SimulationError
        The key is not a digest.
    """
    if not re.fullmatch("[0-9a-f]{64}", key):
        raise SimulationError("key of a job", repr(key), "64 hexadecimal digits")
    return Path(run_directory) / "jobs" / key


def job_seed(seed: int, key: str) -> np.random.SeedSequence:
    """Return the random stream of a job: its own for each seed and key."""
    return np.random.SeedSequence([seed, int(key, 16)])


def _digest(kind: str, origin: str | Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    text = json.dumps([_FORMAT, kind, origin, settings], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
