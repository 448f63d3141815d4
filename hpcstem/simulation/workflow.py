"""Put jobs into the queue: a relaxation, and molecular dynamics that start from what it finds."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from ase import Atoms
from fireworks import Firework, Workflow
from pymongo.errors import ConnectionFailure

from hpcstem.simulation.jobs import Job, JobTree, nvt_job, relax_job
from hpcstem.simulation.launchpad import JobLaunchPad
from hpcstem.simulation.recovery import mend_workflows
from hpcstem.simulation.settings import NVTSettings, RelaxSettings

_BATCH_JOBS = 500


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


@dataclass(frozen=True)
class AddedTrees:
    """What an addition of many jobs did.

    Parameters
    ----------
    n_jobs
        Number of jobs given.
    n_new
        How many of them were not in the queue before.
    """

    n_jobs: int
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
    children = tuple(nvt_job(name, root.key, settings) for settings in nvt)
    added = add_trees(launchpad, [JobTree(root, children)], name, priority)
    return AddedJobs(root.key, tuple(child.key for child in children), added.n_new)


def add_trees(
    launchpad: JobLaunchPad,
    trees: Sequence[JobTree],
    name: str,
    priority: int = 0,
    progress: Callable[[int], None] | None = None,
) -> AddedTrees:
    """Queue many relaxations and what starts from them; what is queued already is not added again.

    Broken off, it has added a part; called again, it adds the rest. A database that is restarted is waited for.

    Parameters
    ----------
    launchpad
        The queue.
    trees
        The jobs; no root twice.
    name
        Name of the workflows.
    priority
        Jobs with a higher number are started first; what was queued before keeps its own.
    progress
        Called with the number of jobs dealt with so far.

    Raises
    ------
    DatabaseError
        The database cannot be reached.
    """
    # What an addition that was killed has left would look like jobs that are there.
    launchpad.patiently(lambda: mend_workflows(launchpad))
    n_jobs = n_new = 0
    for batch in _batches(trees):
        keys = {job.key for tree in batch for job in (tree.root, *tree.children)}
        n_new += len(keys) - len(launchpad.patiently(partial(_known, launchpad, keys)))
        try:
            _add_batch(launchpad, batch, name, priority)
        except ConnectionFailure:
            launchpad.patiently(lambda: mend_workflows(launchpad))
            _add_batch(launchpad, batch, name, priority)
        n_jobs += sum(1 + len(tree.children) for tree in batch)
        if progress is not None:
            progress(n_jobs)
    return AddedTrees(n_jobs, n_new)


def _batches(trees: Sequence[JobTree]) -> Iterator[list[JobTree]]:
    batch: list[JobTree] = []
    size = 0
    for tree in trees:
        batch.append(tree)
        size += 1 + len(tree.children)
        if size >= _BATCH_JOBS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _known(launchpad: JobLaunchPad, keys: Collection[str]) -> dict[str, int]:
    """Numbers of the jobs with these keys that are in the queue, by key."""
    found = launchpad.fireworks.find({"spec.key": {"$in": list(keys)}}, {"fw_id": 1, "spec.key": 1})
    return {document["spec"]["key"]: document["fw_id"] for document in found}


def _add_batch(launchpad: JobLaunchPad, trees: Sequence[JobTree], name: str, priority: int) -> None:
    # For each batch anew: whoever waits for the lock, waits for a batch alone.
    with launchpad.adding_lock():
        known = _known(launchpad, [job.key for tree in trees for job in (tree.root, *tree.children)])
        whole = []
        for tree in trees:
            new = list({child.key: child for child in tree.children if child.key not in known}.values())
            if tree.root.key not in known:
                whole.append([tree.root, *new])
            elif new:
                _append(launchpad, known, new, priority)
        if whole:
            _insert(launchpad, name, whole, priority)


def _insert(launchpad: JobLaunchPad, name: str, trees: Sequence[Sequence[Job]], priority: int) -> None:
    """Insert workflows, then children, then roots: no worker meets a job whose kin are not there yet."""
    next_id = launchpad.get_new_fw_id(quantity=sum(map(len, trees)))
    workflows, children, roots = [], [], []
    for jobs in trees:
        fireworks = [_firework(job, priority) for job in jobs]
        for firework in fireworks:
            firework.fw_id = next_id
            next_id += 1
        root = fireworks[0].fw_id
        workflow = Workflow(fireworks, _links(jobs, fireworks), name=name)
        workflow.id_fw[root].state = workflow.fw_states[root] = "READY"
        workflows.append(workflow.to_db_dict())
        roots.append(fireworks[0].to_db_dict())
        children += [firework.to_db_dict() for firework in fireworks[1:]]
    launchpad.workflows.insert_many(workflows)
    if children:
        launchpad.fireworks.insert_many(children)
    launchpad.fireworks.insert_many(roots)


def _append(launchpad: JobLaunchPad, known: Mapping[str, int], new: Sequence[Job], priority: int) -> None:
    """Append jobs to a workflow, to whichever of its jobs each starts from; `known` numbers those that are there."""
    grown: dict[int, list[Job]] = {}
    origins = dict(known)
    for job in new:
        origins[job.key] = origins[str(job.parent)]
        grown.setdefault(origins[job.key], []).append(job)
    with launchpad.workflow_lock(next(iter(grown))):
        workflow = launchpad.get_wf_by_fw_id_lzyfw(next(iter(grown)))
        updated: set[int] = set()
        for origin, jobs in grown.items():
            fireworks = [_firework(job, priority) for job in jobs]
            updated |= set(workflow.append_wf(Workflow(fireworks, _links(jobs, fireworks)), [origin]))
        launchpad._update_wf(workflow, updated)


def _links(jobs: Sequence[Job], fireworks: Sequence[Firework]) -> dict[int, list[int]]:
    """Numbers of the fireworks that start from each; those that start from a job not given are left out."""
    numbers = {job.key: firework.fw_id for job, firework in zip(jobs, fireworks, strict=True)}
    links: dict[int, list[int]] = {}
    for job in jobs:
        if job.parent in numbers:
            links.setdefault(numbers[job.parent], []).append(numbers[job.key])
    return links


def _firework(job: Job, priority: int) -> Firework:
    # Without a number FireWorks gives each new firework a negative one of its own.
    return Firework.from_dict({"spec": job.spec(priority), "name": job.title, "fw_id": None})
