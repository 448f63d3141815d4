"""What a person does to jobs that are queued: pause, resume, put forward, and look at one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hpcstem.errors import SimulationError
from hpcstem.simulation.launchpad import JobLaunchPad
from hpcstem.simulation.recovery import resynchronise
from hpcstem.simulation.results import find_result

_NOT_STARTED = ["READY", "WAITING"]


def pause(launchpad: JobLaunchPad, query: Mapping[str, Any]) -> int:
    """Keep jobs that have not started from being started; return how many.

    Parameters
    ----------
    launchpad
        The queue.
    query
        Filter of the collection `fireworks`.
    """
    n_paused = 0
    for fw_id in _numbers(launchpad, query, _NOT_STARTED):
        with launchpad.workflow_lock(fw_id):
            # A worker may have claimed it in the meantime; then it runs.
            held = {"fw_id": fw_id, "state": {"$in": _NOT_STARTED}}
            if launchpad.fireworks.update_one(held, {"$set": {"state": "PAUSED"}}).modified_count:
                launchpad.workflows.update_one({"nodes": fw_id}, {"$set": {f"fw_states.{fw_id}": "PAUSED"}})
                n_paused += 1
    return n_paused


def resume(launchpad: JobLaunchPad, query: Mapping[str, Any]) -> int:
    """Let paused jobs be started again; return how many. Those that were taken out of the queue stay out."""
    paused = _numbers(launchpad, dict(query) | {"taken": {"$exists": False}}, ["PAUSED"])
    for fw_id in paused:
        launchpad.fireworks.update_one({"fw_id": fw_id, "state": "PAUSED"}, {"$set": {"state": "WAITING"}})
        resynchronise(launchpad, fw_id)
    return len(paused)


def prioritise(launchpad: JobLaunchPad, query: Mapping[str, Any], priority: int) -> int:
    """Give jobs that have not started another priority; return how many."""
    chosen = dict(query) | {"fw_id": {"$in": _numbers(launchpad, query, [*_NOT_STARTED, "PAUSED", "FIZZLED"])}}
    return int(launchpad.fireworks.update_many(chosen, {"$set": {"spec._priority": priority}}).matched_count)


def describe(launchpad: JobLaunchPad, key: str) -> dict[str, Any]:
    """Return all that is known of one job: inputs, attempts with host and duration, error, result.

    Parameters
    ----------
    launchpad
        The queue.
    key
        Its key, or as much of the beginning as no other job has.

    Raises
    ------
    SimulationError
        No job, or more than one, has a key that begins so.
    """
    found = list(launchpad.fireworks.find({"spec.key": {"$regex": f"^{key}"}}).limit(2))
    if len(found) != 1:
        raise SimulationError(f"job {key}", "more than one" if found else "none", "the beginning of one job's key")
    firework = found[0]
    spec = firework["spec"]
    launches = firework.get("archived_launches", []) + firework.get("launches", [])
    attempts = []
    for launch in sorted(launchpad.launches.find({"launch_id": {"$in": launches}}), key=lambda one: one["launch_id"]):
        action = (launch.get("action") or {}).get("stored_data") or {}
        attempts.append(
            {
                "state": launch["state"],
                "host": launch.get("host"),
                "start": launch.get("time_start"),
                "runtime_s": launch.get("runtime_secs"),
                "error": (action.get("_exception") or {}).get("_stacktrace"),
            }
        )
    result = find_result(launchpad, spec["key"])
    task = {name: value for name, value in spec["_tasks"][0].items() if name not in ("_fw_name", "key", "name")}
    return {
        "key": spec["key"],
        "name": firework["name"],
        "state": firework["state"],
        "priority": spec.get("_priority"),
        "labels": spec.get("labels") or {},
        "input": task,
        "attempts": attempts,
        "result": None if result is None else result.to_document(),
    }


def _numbers(launchpad: JobLaunchPad, query: Mapping[str, Any], states: list[str]) -> list[int]:
    """Numbers of the jobs of a query that are in one of the states."""
    found = launchpad.fireworks.find(dict(query), {"fw_id": 1, "state": 1})
    return sorted(document["fw_id"] for document in found if document["state"] in states)
