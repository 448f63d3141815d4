"""Runs whose process is gone, and workflows that a killed process left half changed."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from hpcstem.simulation.launchpad import JobLaunchPad
from hpcstem.simulation.owner import Owner


def recover_lost_runs(launchpad: JobLaunchPad, lost_after_s: float) -> int:
    """Give back the jobs of dead workers; return how many.

    On this host a worker is dead when its process is; elsewhere when it has not been heard of for `lost_after_s`
    seconds. A job that was ready with its launch, but not with its workflow, is brought to its end.

    Parameters
    ----------
    launchpad
        The queue.
    lost_after_s
        Silence after which a worker of another host counts as dead [s]; many heartbeats.
    """
    n_lost = 0
    for firework in launchpad.fireworks.find({"state": "RESERVED"}, {"fw_id": 1, "owner": 1, "updated_on": 1}):
        if _is_lost(firework.get("owner"), firework["updated_on"], lost_after_s):
            claim = {"fw_id": firework["fw_id"], "state": "RESERVED", "owner": firework.get("owner")}
            change = {"$set": {"state": "READY"}, "$unset": {"owner": ""}}
            n_lost += launchpad.fireworks.update_one(claim, change).modified_count
    fields = {"launch_id": 1, "fw_id": 1, "fworker": 1, "state_history": 1}
    for launch in launchpad.launches.find({"state": "RUNNING"}, fields):
        if _is_lost(owner_document(launch), launch["state_history"][-1].get("updated_on"), lost_after_s):
            n_lost += launchpad.requeue(launch["fw_id"], lost_launch=launch["launch_id"])
            query = {"launch_id": launch["launch_id"], "state": "RUNNING"}
            launchpad.launches.update_one(query, {"$set": {"state": "FIZZLED"}})
    for firework in launchpad.fireworks.find({"state": "RUNNING"}, {"fw_id": 1, "launches": 1}):
        running = {"launch_id": {"$in": firework["launches"]}, "state": "RUNNING"}
        if not launchpad.launches.find_one(running, {"launch_id": 1}):
            launchpad._refresh_wf(firework["fw_id"])
    return n_lost


def mend_workflows(launchpad: JobLaunchPad) -> int:
    """Finish or undo what processes that were killed in the middle of a change left behind; return how much.

    Jobs without a workflow, and workflows without all of their jobs, come from an interrupted `add`: they go, and
    adding them again brings them back. States that a workflow and its jobs disagree on are set by the jobs.

    Parameters
    ----------
    launchpad
        The queue.
    """
    with launchpad.adding_lock():
        states = {fw["fw_id"]: fw["state"] for fw in launchpad.fireworks.find({}, {"fw_id": 1, "state": 1})}
        workflows = list(launchpad.workflows.find({}, {"nodes": 1, "fw_states": 1, "parent_links": 1}))
        orphans = set(states) - {node for workflow in workflows for node in workflow["nodes"]}
        partial = [w for w in workflows if not states.keys() >= set(w["nodes"])]
        for workflow in partial:
            launchpad.workflows.delete_one({"_id": workflow["_id"]})
            orphans |= set(workflow["nodes"])
        if orphans:
            launchpad.fireworks.delete_many({"fw_id": {"$in": sorted(orphans)}})
    stale = [w for w in workflows if w not in partial and _is_stale(w, states)]
    for workflow in stale:
        resynchronise(launchpad, workflow["nodes"][0])
    return len(stale) + len(partial)


def owner_document(launch: Mapping[str, Any]) -> Any:
    """Return the owner that a launch names, as stored; None for a launch of stock FireWorks."""
    return ((launch.get("fworker") or {}).get("env") or {}).get("owner")


def _is_lost(owner_document: Any, heard_of: Any, lost_after_s: float) -> bool:
    owner = Owner.from_document(owner_document)
    if owner is not None and owner.is_here:
        return not owner.is_alive
    time = datetime.datetime.fromisoformat(heard_of) if isinstance(heard_of, str) else heard_of
    if time.tzinfo is None:
        time = time.replace(tzinfo=datetime.UTC)
    return (datetime.datetime.now(datetime.UTC) - time).total_seconds() > lost_after_s


def _is_stale(workflow: Mapping[str, Any], states: Mapping[int, str]) -> bool:
    nodes = workflow["nodes"]
    parents = {int(child): ids for child, ids in (workflow.get("parent_links") or {}).items()}
    return any(workflow["fw_states"].get(str(node)) != states[node] for node in nodes) or any(
        states[node] == "WAITING" and all(states[parent] == "COMPLETED" for parent in parents.get(node, []))
        for node in nodes
    )


def resynchronise(launchpad: JobLaunchPad, fw_id: int) -> None:
    """Set the states in the workflow of a job by its jobs, and make ready whatever waits for nothing any more."""
    with launchpad.workflow_lock(fw_id):
        workflow = launchpad.get_wf_by_fw_id_lzyfw(fw_id)
        for node, firework in workflow.id_fw.items():
            workflow.fw_states[node] = firework.state
        updated: set[int] = set()
        for node, state in list(workflow.fw_states.items()):
            if state == "WAITING":
                updated |= set(workflow.refresh(node, updated))
        launchpad._update_wf(workflow, updated)
