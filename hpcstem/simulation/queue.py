"""What is in the queue, how it goes, and what failed and why."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hpcstem.simulation.allowed import RELAX_TASK
from hpcstem.simulation.jobs import NVT, RELAX
from hpcstem.simulation.launchpad import JobLaunchPad

STATES = ("WAITING", "READY", "RESERVED", "RUNNING", "COMPLETED", "FIZZLED", "PAUSED", "DEFUSED", "ARCHIVED")
ACTIVE_STATES = ("READY", "RESERVED", "RUNNING")
"""States of jobs that a worker can do something about: a job WAITING for a failed one is not."""


@dataclass(frozen=True)
class JobStatus:
    """One job of the queue.

    Parameters
    ----------
    key
        Digest of what decides its answer.
    name
        Its title.
    kind
        `relax` or `nvt`.
    state
        FireWorks' state.
    host
        Host of its last launch; empty where it was never launched.
    seconds
        Duration of its last launch so far [s]; None where it was never launched.
    failure
        Last line of the error; empty where it has not failed.
    labels
        Where it stands on the axes of its sweep.
    """

    key: str
    name: str
    kind: str
    state: str
    host: str
    seconds: float | None
    failure: str
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class QueueStatus:
    """The whole queue.

    Parameters
    ----------
    counts
        Number of jobs in each state that occurs.
    jobs
        The jobs in the order of their adding.
    """

    counts: Mapping[str, int]
    jobs: tuple[JobStatus, ...]


def queue_counts(launchpad: JobLaunchPad) -> dict[str, int]:
    """Return the number of jobs in each state that occurs."""

    def count(state: str) -> int:
        return int(launchpad.db.command("count", "fireworks", query={"state": state})["n"])

    counts = launchpad.patiently(lambda: {state: count(state) for state in STATES})
    return {state: n for state, n in counts.items() if n}


def queue_status(launchpad: JobLaunchPad, query: Mapping[str, Any] | None = None) -> QueueStatus:
    """Return every job with its state, host, duration and reason of failure.

    Parameters
    ----------
    launchpad
        The queue.
    query
        Filter of the collection `fireworks`, such as that of a `Selection`; None for all jobs.
    """
    fields = {"fw_id": 1, "name": 1, "state": 1, "launches": 1, "spec.key": 1, "spec._tasks._fw_name": 1}
    fields |= {"spec._exception_details._message": 1, "spec.labels": 1}
    launch_fields = {"launch_id": 1, "host": 1, "time_start": 1, "runtime_secs": 1, "state": 1}
    launch_fields |= {"action.stored_data._exception._stacktrace": 1}

    def read() -> tuple[list[Any], dict[int, Any]]:
        launches = launchpad.launches.find({}, launch_fields)
        fireworks = sorted(launchpad.fireworks.find(query or {}, fields), key=lambda document: document["fw_id"])
        return fireworks, {launch["launch_id"]: launch for launch in launches}

    fireworks, launches = launchpad.patiently(read)
    jobs = []
    for firework in fireworks:
        ids = firework.get("launches") or []
        jobs.append(_job_status(firework, launches.get(ids[-1], {}) if ids else {}))
    counts = {state: sum(job.state == state for job in jobs) for state in STATES}
    return QueueStatus({state: n for state, n in counts.items() if n}, tuple(jobs))


def rerun(launchpad: JobLaunchPad, keys: Iterable[str]) -> int:
    """Let failed jobs run again, from their last checkpoint; return how many were failed.

    Parameters
    ----------
    launchpad
        The queue.
    keys
        Keys of jobs; those in other states are left alone.
    """
    return rerun_failed(launchpad, {"spec.key": {"$in": list(keys)}})


def rerun_failed(launchpad: JobLaunchPad, query: Mapping[str, Any]) -> int:
    """Let failed jobs run again, from their last checkpoint; return how many.

    Parameters
    ----------
    launchpad
        The queue.
    query
        Filter of the collection `fireworks`; what it picks in other states is left alone.
    """
    found = launchpad.fireworks.find(dict(query), {"fw_id": 1, "state": 1})
    failed = [document["fw_id"] for document in found if document["state"] == "FIZZLED"]
    for fw_id in failed:
        launchpad.requeue(fw_id)
    return len(failed)


def _job_status(firework: Mapping[str, Any], launch: Mapping[str, Any]) -> JobStatus:
    spec = firework["spec"]
    tasks = spec.get("_tasks") or [{}]
    failure = ""
    if firework["state"] == "FIZZLED":
        stored = ((launch.get("action") or {}).get("stored_data") or {}).get("_exception") or {}
        details = spec.get("_exception_details") or {}
        lines = (stored.get("_stacktrace") or details.get("_message") or "no reason recorded").strip()
        failure = lines.splitlines()[-1]
    return JobStatus(
        key=spec.get("key", ""),
        name=firework["name"],
        kind=RELAX if tasks[0].get("_fw_name") == RELAX_TASK else NVT,
        state=firework["state"],
        host=launch.get("host") or "",
        seconds=_seconds(launch),
        failure=failure,
        labels=spec.get("labels") or {},
    )


def _seconds(launch: Mapping[str, Any]) -> float | None:
    if launch.get("runtime_secs") is not None:
        return float(launch["runtime_secs"])
    if not launch.get("time_start"):
        return None
    start = datetime.datetime.fromisoformat(launch["time_start"])
    start = start if start.tzinfo else start.replace(tzinfo=datetime.UTC)
    return (datetime.datetime.now(datetime.UTC) - start).total_seconds()
