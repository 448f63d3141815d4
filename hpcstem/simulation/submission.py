"""Batch jobs of a queue: scripts written, handed to the scheduler, and remembered."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hpcstem.files import read_json, write_json, write_text
from hpcstem.simulation.adapters import BatchAdapter

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


def submit(scheduler: str, folder: Path, script_of: Callable[[Path], str], n_jobs: int = 1) -> list[Submission]:
    """Hand a job to the scheduler some times; each is written down in `submitted/jobs.json` at once.

    Parameters
    ----------
    scheduler
        `slurm`, `pbs` or `lsf`.
    folder
        Folder of the queue.
    script_of
        Returns the batch script for the file that the job prints to.
    n_jobs
        How often.

    Raises
    ------
    SimulationError
        The scheduler is absent or refuses the job.
    """
    folder = folder / SUBMITTED
    folder.mkdir(parents=True, exist_ok=True)
    record = folder / _RECORD
    done = []
    for _ in range(n_jobs):
        known = read_json(record) if record.exists() else []
        script = folder / f"launch-{len(known) + 1}.sh"
        write_text(script, script_of(script.with_suffix(".log")))
        number = BatchAdapter(scheduler).submit(script)
        time = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        entry = {"number": number, "script": script.name, "scheduler": scheduler, "submitted": time}
        write_json(record, [*known, entry])
        done.append(Submission(number, script))
    return done
