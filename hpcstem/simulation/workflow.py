"""Put jobs into the queue: a relaxation, and molecular dynamics that start from what it finds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ase import Atoms
from fireworks import Firework, Workflow

from hpcstem.simulation.jobs import Job, nvt_job, relax_job
from hpcstem.simulation.launchpad import JobLaunchPad
from hpcstem.simulation.settings import NVTSettings, RelaxSettings


@dataclass(frozen=True)
class AddedJobs:
    """Jobs of one structure.

    Parameters
    ----------
    relax
        Key of the relaxation.
    nvt
        Keys of the molecular dynamics, in the order given.
    n_new
        How many of these jobs were not in the queue before.
    """

    relax: str
    nvt: tuple[str, ...]
    n_new: int


def add_relax_nvt(
    launchpad: JobLaunchPad,
    name: str,
    structure: Atoms | Mapping[str, str],
    relax: RelaxSettings,
    nvt: Sequence[NVTSettings] = (),
    priority: int = 0,
) -> AddedJobs:
    """Queue a relaxation and molecular dynamics from its outcome; what is queued already is not added again.

    Parameters
    ----------
    launchpad
        The queue.
    name
        Name of the structure in lists and results.
    structure
        Atoms, or `path` (in the run directory) and `sha256` of an extended XYZ file.
    relax
        Settings of the relaxation.
    nvt
        Settings of each molecular dynamics.
    priority
        Jobs with a higher number are started first.

    Raises
    ------
    SimulationError
        The structure is neither atoms nor a full reference to a file.
    DatabaseError
        The database cannot be reached.
    """
    root = relax_job(name, structure, relax)
    children = [nvt_job(name, root.key, settings) for settings in nvt]
    with launchpad.adding_lock():
        keys = [job.key for job in [root, *children]]
        found = launchpad.fireworks.find({"spec.key": {"$in": keys}}, {"fw_id": 1, "spec.key": 1})
        known = {document["spec"]["key"]: document["fw_id"] for document in found}
        new = list({child.key: child for child in children if child.key not in known}.values())
        if root.key not in known:
            _insert(launchpad, name, root, new, priority)
        elif new:
            _append(launchpad, known[root.key], new, priority)
    n_new = len(new) + (root.key not in known)
    return AddedJobs(root.key, tuple(child.key for child in children), n_new)


def _insert(launchpad: JobLaunchPad, name: str, root: Job, children: Sequence[Job], priority: int) -> None:
    """Insert the workflow, then the children, then the root: no worker meets a job whose kin are not there yet."""
    fireworks = [_firework(job, priority) for job in [root, *children]]
    first = launchpad.get_new_fw_id(quantity=len(fireworks))
    for fw_id, firework in enumerate(fireworks, start=first):
        firework.fw_id = fw_id
    links = {first: [firework.fw_id for firework in fireworks[1:]]}
    workflow = Workflow(fireworks, links, name=name)
    workflow.id_fw[first].state = workflow.fw_states[first] = "READY"
    launchpad.workflows.insert_one(workflow.to_db_dict())
    launchpad.fireworks.insert_many([firework.to_db_dict() for firework in reversed(fireworks)])


def _append(launchpad: JobLaunchPad, root_id: int, children: Sequence[Job], priority: int) -> None:
    with launchpad.workflow_lock(root_id):
        workflow = launchpad.get_wf_by_fw_id_lzyfw(root_id)
        fireworks = [_firework(job, priority) for job in children]
        launchpad._update_wf(workflow, workflow.append_wf(Workflow(fireworks), [root_id]))


def _firework(job: Job, priority: int) -> Firework:
    # Without a number FireWorks gives each new firework a negative one of its own.
    return Firework.from_dict({"spec": job.spec(priority), "name": job.title, "fw_id": None})
