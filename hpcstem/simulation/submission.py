"""Batch jobs of a queue: scripts written, handed to the scheduler, and remembered."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path

from hpcstem.files import read_json, write_json, write_text
from hpcstem.simulation.adapters import BatchAdapter, BatchRequest

SUBMITTED = "submitted"
_RECORD = "jobs.json"


@dataclass(frozen=True)
class Submission:
    """A batch job that the scheduler has.

    Parameters
    ----------
    number
        The scheduler's number of it.
    script
        Its script.
    """

    number: str
    script: Path


def script_of(request: BatchRequest) -> str:
    """Return the batch script of a request."""
    return str(BatchAdapter(request).get_script_str(str(request.folder / SUBMITTED)))


def submit(request: BatchRequest, n_jobs: int = 1) -> list[Submission]:
    """Hand a job to the scheduler some times; each is written down in `submitted/jobs.json` at once.

    Raises
    ------
    SimulationError
        The scheduler is absent or refuses the job.
    """
    folder = request.folder / SUBMITTED
    folder.mkdir(parents=True, exist_ok=True)
    record = folder / _RECORD
    done = []
    for _ in range(n_jobs):
        known = read_json(record) if record.exists() else []
        script = folder / f"launch-{len(known) + 1}.sh"
        write_text(script, script_of(request))
        number = BatchAdapter(request).submit(script)
        entry = {"number": number, "script": script.name, "scheduler": request.scheduler, "nodes": request.nodes}
        time = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        write_json(record, [*known, entry | {"walltime_s": request.walltime_s, "submitted": time}])
        done.append(Submission(number, script))
    return done
