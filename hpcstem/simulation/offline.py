"""Jobs taken out of a queue into an embedded one, for nodes that do not reach the database, and brought back.

A job that is out carries the token of the queue that it went to; no worker starts it and no `--resume` frees it. Both
queues work in the same folders of jobs, under the same locks, so that a checkpoint is gone on from wherever the job
runs next, and an outcome that is there is not computed again, even where somebody frees a job that is still out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fireworks import FWAction, FWorker

from hpcstem.simulation.allowed import RELAX_TASK, check_spec
from hpcstem.simulation.jobs import NVT, RELAX, Job, JobTree
from hpcstem.simulation.launchpad import JobLaunchPad
from hpcstem.simulation.queue import JobStatus, queue_status
from hpcstem.simulation.recovery import resynchronise
from hpcstem.simulation.results import find_result, record_result
from hpcstem.simulation.workflow import add_trees


@dataclass(frozen=True)
class BroughtBack:
    """What came back.

    Parameters
    ----------
    n_ended
        Jobs whose outcome is now in the queue.
    n_freed
        Jobs without one that can be started again.
    n_out
        Jobs that are still out.
    """

    n_ended: int
    n_freed: int
    n_out: int


def take(launchpad: JobLaunchPad, offline: JobLaunchPad, token: str, query: Mapping[str, Any], n_ready: int) -> int:
    """Take jobs that are ready, and all that starts from them, out of a queue; return how many.

    Killed, it has taken some; `bring_back` frees them.

    Parameters
    ----------
    launchpad
        The queue.
    offline
        An empty one.
    token
        Name of that one.
    query
        Filter of the collection `fireworks`.
    n_ready
        How many jobs that are ready to take at most, by priority and then by age.
    """
    order = [("spec._priority", -1), ("fw_id", 1)]
    found = launchpad.fireworks.find(dict(query) | {"state": "READY"}, {"fw_id": 1}).sort(order).limit(n_ready)
    trees = [jobs for document in list(found) if (jobs := _take_tree(launchpad, document["fw_id"], token))]
    for root, *_ in trees:
        origin = None if root.parent is None else find_result(launchpad, root.parent)
        if origin is not None:
            record_result(offline, origin)
    add_trees(offline, [JobTree(jobs[0], tuple(jobs[1:])) for jobs in trees], token)
    return sum(map(len, trees))


def bring_back(
    launchpad: JobLaunchPad, offline: JobLaunchPad, token: str, folder: Path, unfinished: bool = False
) -> BroughtBack:
    """Put the outcome of jobs that were taken out into their queue; done again, it does the rest.

    Parameters
    ----------
    launchpad
        The queue.
    offline
        The one that they went to.
    token
        Its name.
    folder
        Folder of the jobs' files.
    unfinished
        Whether jobs without an outcome can be started in the queue again; they go on from their last checkpoint.
    """
    n_ended = n_freed = n_out = 0
    known = {job.key: job for job in queue_status(offline).jobs}
    out = launchpad.fireworks.find({"taken": token}, {"fw_id": 1, "spec.key": 1})
    # Those that others start from come first.
    for document in sorted(out, key=lambda one: one["fw_id"]):
        fw_id, job = document["fw_id"], known.get(document["spec"]["key"])
        has_ended = job is not None and job.state in ("COMPLETED", "FIZZLED")
        if not has_ended and job is not None and not unfinished:
            n_out += 1
            continue
        _free(launchpad, fw_id)
        if job is None or not has_ended:
            n_freed += 1
            continue
        n_ended += 1
        _end(launchpad, offline, fw_id, job, folder)
    return BroughtBack(n_ended, n_freed, n_out)


def _take_tree(launchpad: JobLaunchPad, root: int, token: str) -> list[Job]:
    """Take a job and what waits for it; empty where a worker was faster."""
    with launchpad.workflow_lock(root):
        links = launchpad.workflows.find_one({"nodes": root}, {"links": 1})["links"]
        waiting, taken = [root], []
        while waiting:
            fw_id = waiting.pop(0)
            wanted = {"fw_id": fw_id, "state": "READY" if fw_id == root else "WAITING"}
            change = {"$set": {"state": "PAUSED", "taken": token}}
            document = launchpad.fireworks.find_one_and_update(wanted, change)
            if document is not None:
                launchpad.workflows.update_one({"nodes": fw_id}, {"$set": {f"fw_states.{fw_id}": "PAUSED"}})
                taken.append(_job(document))
                waiting += links.get(str(fw_id), [])
    return taken


def _job(document: Mapping[str, Any]) -> Job:
    spec = document["spec"]
    check_spec(spec)
    parameters = {name: value for name, value in spec["_tasks"][0].items() if name != "_fw_name"}
    kind = RELAX if spec["_tasks"][0]["_fw_name"] == RELAX_TASK else NVT
    labels, references = spec.get("labels") or {}, spec.get("references") or {}
    return Job(spec["key"], kind, document["name"], parameters, labels, references)


def _free(launchpad: JobLaunchPad, fw_id: int) -> None:
    change = {"$set": {"state": "WAITING"}, "$unset": {"taken": ""}}
    launchpad.fireworks.update_one({"fw_id": fw_id, "state": "PAUSED"}, change)
    resynchronise(launchpad, fw_id)


def _end(launchpad: JobLaunchPad, offline: JobLaunchPad, fw_id: int, job: JobStatus, folder: Path) -> None:
    """Claim a job as a worker does, and end it with the outcome that is there."""
    fworker = FWorker(name="hpcstem", env={"owner": launchpad.owner.to_document()})
    firework, launch_id = launchpad.checkout_fw(fworker, str(folder), fw_id=fw_id, host=job.host)
    if firework is None:
        # A worker was faster, and finds the outcome in the job's folder.
        return
    result = find_result(offline, job.key)
    if job.state == "COMPLETED" and result is not None:
        record_result(launchpad, result)
        launchpad.complete_launch(launch_id, FWAction(stored_data={"result": job.key}), "COMPLETED")
    else:
        stored = {"_message": "runtime error during task", "_exception": {"_stacktrace": job.failure}}
        launchpad.complete_launch(launch_id, FWAction(stored_data=stored), "FIZZLED")
