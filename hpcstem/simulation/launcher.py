"""Run the queue on this host with several worker processes until nothing is left to do."""

from __future__ import annotations

import json
import math
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Self

from hpcstem.errors import SimulationError
from hpcstem.simulation.deadline import NO_DEADLINE, Deadline
from hpcstem.simulation.jobs import job_folder
from hpcstem.simulation.launchpad import JobLaunchPad
from hpcstem.simulation.owner import Owner
from hpcstem.simulation.packing import Slot, plain_slots
from hpcstem.simulation.queue import ACTIVE_STATES, QueueStatus, queue_counts, queue_status
from hpcstem.simulation.recovery import mend_workflows, owner_document, recover_lost_runs
from hpcstem.simulation.segments import read_segments

_POLL_S, _RECOVER_EVERY_S, _MEND_EVERY_S, _KILL_AFTER_S = 0.5, 3.0, 60.0, 10.0
# A worker needs some seconds before it has its first job.
_LEAST_S = 10.0
_MAX_DEATHS_PER_JOB, _MAX_DEATHS_IDLE = 3, 5


def launch(
    launchpad: JobLaunchPad,
    run_directory: Path,
    workers: int | Sequence[Slot] = 2,
    heartbeat_s: float = 15.0,
    lost_after_s: float = 300.0,
    progress: Callable[[Mapping[str, int]], None] | None = None,
    end_time_s: float | None = None,
) -> QueueStatus:
    """Run jobs until none is ready or running, or until the time is up; then return the queue.

    Whatever was killed before, a launcher, a worker or the database: jobs go on from their last checkpoint, and
    outcomes that were on disk already are taken from there.

    At SIGTERM, which schedulers send before they kill, workers stop at the next checkpoint that they reach, and their
    jobs are ready again.

    Parameters
    ----------
    launchpad
        The queue.
    run_directory
        Folder of the campaign; jobs work in `jobs/<key>`.
    workers
        Worker processes on this host, one thread each; or a slot for each.
    heartbeat_s
        Seconds between two signs of life of a worker [s].
    lost_after_s
        Silence after which a worker of another host counts as dead [s].
    progress
        Called about twice a second with the number of jobs in each state.
    end_time_s
        When the allocation ends [s since the epoch]; workers stop their jobs before. None for no end.

    Raises
    ------
    SimulationError
        A number is not allowed, or workers die again and again without having a job.
    DatabaseError
        The database is lost and does not come back.
    """
    slots = plain_slots(workers) if isinstance(workers, int) else list(workers)
    if not 0 < heartbeat_s * 3 <= lost_after_s:
        raise SimulationError("heartbeat_s and lost_after_s", f"{heartbeat_s}, {lost_after_s}", "a ratio of 3 or more")
    run_directory = Path(run_directory).resolve()
    (run_directory / "workers").mkdir(parents=True, exist_ok=True)
    config = {"run_directory": str(run_directory), "heartbeat_s": heartbeat_s, "end_time": end_time_s}
    config |= {"idle_s": launchpad.idle_s}
    recover = _Recovery(launchpad, run_directory, lost_after_s)
    recover.everything()
    crew = _Crew(slots, launchpad, config)
    told, deadline = False, NO_DEADLINE if end_time_s is None else Deadline(end_time_s)
    with _sigterm_noted() as stop, crew:
        while True:
            counts = queue_counts(launchpad)
            if progress is not None:
                progress(counts)
            for worker in crew.take_ended():
                recover.after_death(worker)
            recover.now_and_then(counts)
            if stop.is_set() and not told:
                told = True
                crew.terminate()
            if not told and deadline.allows(_LEAST_S) and any(counts.get(state) for state in ACTIVE_STATES):
                crew.fill()
            elif not crew.workers and not (counts.get("WAITING") and recover.mends()):
                return queue_status(launchpad)
            time.sleep(_POLL_S)


@contextmanager
def _sigterm_noted() -> Iterator[threading.Event]:
    """Set the event at SIGTERM; signals reach the main thread, so in another one nothing is changed."""
    noted = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield noted
        return
    before = signal.signal(signal.SIGTERM, lambda *_: noted.set())
    try:
        yield noted
    finally:
        signal.signal(signal.SIGTERM, before)


@dataclass(frozen=True)
class _Worker:
    slot: Slot
    process: subprocess.Popen[bytes]
    owner: Owner
    log: Path

    def end(self) -> None:
        """Close its standard input, on which it ends at once."""
        if self.process.stdin:
            self.process.stdin.close()
        try:
            self.process.wait(_KILL_AFTER_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    @property
    def last_words(self) -> str:
        lines = self.log.read_text(errors="replace").strip().splitlines() if self.log.exists() else []
        return lines[-1] if lines else "nothing"


@dataclass
class _Crew:
    """Workers, one per slot at most; they end with this context."""

    slots: Sequence[Slot]
    launchpad: JobLaunchPad
    config: Mapping[str, Any]
    workers: list[_Worker] = field(default_factory=list)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self.workers:
            worker.end()

    def take_ended(self) -> list[_Worker]:
        """Return those that have ended, and count them no more."""
        ended = [worker for worker in self.workers if worker.process.poll() is not None]
        self.workers = [worker for worker in self.workers if worker not in ended]
        return ended

    def fill(self) -> None:
        """Start a worker in each slot that has none."""
        busy = {worker.slot for worker in self.workers}
        self.workers += [_start(slot, self.launchpad, self.config) for slot in self.slots if slot not in busy]

    def terminate(self) -> None:
        """Let them stop at the next checkpoint."""
        for worker in self.workers:
            worker.process.terminate()


@dataclass
class _Recovery:
    """Gives back what dead workers held, and gives up on jobs that kill their workers.

    Deaths are counted per job and step that its segment began at: a job that gets further each time is not to blame.
    """

    launchpad: JobLaunchPad
    run_directory: Path
    lost_after_s: float
    deaths: Counter[tuple[int, int]] = field(default_factory=Counter)
    deaths_idle: int = 0
    n_completed: int = 0
    recovered: float = field(default_factory=time.monotonic)
    mended: float = -math.inf

    def everything(self) -> None:
        """Give back lost runs, and mend workflows where it was not done lately: that reads all of them."""
        if time.monotonic() - self.mended > _MEND_EVERY_S:
            self.mends()
        self.launchpad.patiently(lambda: recover_lost_runs(self.launchpad, self.lost_after_s))
        self.recovered = time.monotonic()

    def mends(self) -> bool:
        """Mend workflows; tell whether there was anything to mend."""
        self.mended = time.monotonic()
        return self.launchpad.patiently(lambda: mend_workflows(self.launchpad)) > 0

    def now_and_then(self, counts: Mapping[str, int]) -> None:
        """Look for workers of other launchers that have died or gone silent, and whether the work goes on."""
        if counts.get("COMPLETED", 0) > self.n_completed:
            self.n_completed, self.deaths_idle = counts["COMPLETED"], 0
        if time.monotonic() - self.recovered > _RECOVER_EVERY_S:
            self.everything()

    def after_death(self, worker: _Worker) -> None:
        code = worker.process.returncode
        if code == 0:
            self.deaths_idle = 0
            return
        held = self.launchpad.patiently(lambda: self._held_by(worker.owner))
        # It may have died in the middle of a change.
        self.mended = -math.inf
        self.everything()
        self.deaths.update(held)
        self.deaths_idle = 0 if held else self.deaths_idle + 1
        for job in held:
            if self.deaths[job] >= _MAX_DEATHS_PER_JOB:
                how = f"signal {-code}" if code < 0 else f"status {code}"
                reason = f"its worker ended {_MAX_DEATHS_PER_JOB} times, last by {how}: {worker.last_words}"
                self.launchpad.patiently(partial(self.launchpad.fizzle, job[0], reason))
        if self.deaths_idle >= _MAX_DEATHS_IDLE:
            raise SimulationError("workers end without a job", worker.last_words, f"see {worker.log}")

    def _held_by(self, owner: Owner) -> list[tuple[int, int]]:
        """Return the number of each job that a worker holds, and the step that its last segment began at."""
        running = self.launchpad.launches.find({"state": "RUNNING"}, {"fw_id": 1, "fworker": 1})
        numbers = [launch["fw_id"] for launch in running if owner_document(launch) == owner.to_document()]
        jobs = self.launchpad.fireworks.find({"fw_id": {"$in": numbers}}, {"fw_id": 1, "spec.key": 1})
        held = []
        for job in jobs:
            segments = read_segments(job_folder(self.run_directory, job["spec"]["key"]))
            held.append((job["fw_id"], segments[-1].first_step if segments else 0))
        return held


def _start(slot: Slot, launchpad: JobLaunchPad, config: Mapping[str, Any]) -> _Worker:
    folder = Path(config["run_directory"]) / "workers" / f"{socket.gethostname()}-{slot.number}"
    folder.mkdir(exist_ok=True)
    log = folder / "worker.log"
    with open(log, "ab") as handle:
        process = subprocess.Popen(
            [sys.executable, "-m", "hpcstem.simulation.worker"],
            stdin=subprocess.PIPE,
            stdout=handle,
            stderr=handle,
            cwd=folder,
            env=os.environ | slot.environment,
            # Out of reach of the terminal's Ctrl-C, which FireWorks would take for a failure of the job.
            start_new_session=True,
        )
    if slot.cores:
        # Before it reads a line, and so before it starts threads.
        with suppress(ProcessLookupError):
            os.sched_setaffinity(process.pid, slot.cores)
    if process.stdin is None:
        raise SimulationError("a worker", "no standard input", "a pipe")
    try:
        # The address may hold a password: through the pipe, not on the command line that everyone can read.
        process.stdin.write(json.dumps(dict(config) | {"address": launchpad.address}).encode() + b"\n")
        process.stdin.flush()
    except BrokenPipeError:
        # It has died already; the caller finds that out by its status.
        pass
    return _Worker(slot, process, Owner.of(process.pid), log)
