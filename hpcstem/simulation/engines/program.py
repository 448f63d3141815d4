"""Run an external program in a folder: watched, stopped in time, and never left behind."""

from __future__ import annotations

import enum
import fcntl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hpcstem.errors import AbsentError
from hpcstem.simulation.deadline import Deadline

STDERR = "std_err.txt"
"""The name that Custodian's handlers look for."""

_LEASH = Path(__file__).with_name("leash.py")
_KILL_BEFORE_END_S = 5.0
_SHORTEST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 2.0
_STEPS_AHEAD = 2.0
"""Steps that must fit into the time left: one to finish, and one for the spread of their times."""


class Ending(enum.StrEnum):
    """How a program ended."""

    ITSELF = "itself"
    """It had done what it was asked, or had failed."""
    STOPPED = "stopped"
    """It was asked to stop because the time was up."""
    INTERRUPTED = "interrupted"
    """An error was seen in its output while it ran."""


@dataclass(frozen=True)
class Watch:
    """What to do while a program runs.

    Parameters
    ----------
    n_steps
        Returns how many steps it has made.
    stop
        Asks it to stop after the present step.
    has_error
        Returns whether its output shows an error that it should not go on with.
    output
        File for what it prints.
    check_every_s
        Seconds between two calls of `has_error`.
    """

    n_steps: Callable[[], int]
    stop: Callable[[], None]
    has_error: Callable[[], bool] = lambda: False
    output: str = "vasp.out"
    check_every_s: float = 30.0


@contextmanager
def program_lock(folder: Path) -> Iterator[int]:
    """Wait until no program of an earlier, killed worker runs in `folder`; yield the lock to pass on to `run_program`.

    The program's keeper holds the lock too, so that it outlives the worker exactly as long as the program does.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "program.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock.fileno()


def run_program(
    command: Sequence[str], folder: Path, deadline: Deadline, watch: Watch, lock: int
) -> tuple[Ending, int]:
    """Run a command in `folder`, its errors in `std_err.txt`; return how it ended and its status.

    Parameters
    ----------
    command
        Program and arguments; no shell reads them.
    folder
        Its working directory.
    deadline
        When it must have ended: it is asked to stop while two more steps fit, and killed shortly before the end.
    watch
        How to see its progress and to stop it.
    lock
        What `program_lock` gave.

    Raises
    ------
    SimulationError
        The program cannot be started.
    """
    with open(folder / watch.output, "ab") as out, open(folder / STDERR, "ab") as errors:
        process = subprocess.Popen(
            [sys.executable, "-I", str(_LEASH), *command],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=errors,
            start_new_session=True,
            pass_fds=(lock,),
        )
    try:
        return _watched(process, deadline, watch), process.wait()
    finally:
        if process.stdin:
            process.stdin.close()
        process.wait()


def _watched(process: subprocess.Popen[bytes], deadline: Deadline, watch: Watch) -> Ending:
    start = checked = time.monotonic()
    ending = Ending.ITSELF
    while process.poll() is None:
        elapsed_s = time.monotonic() - start
        step_s = elapsed_s / max(watch.n_steps(), 1)
        if ending == Ending.ITSELF and not deadline.allows(_STEPS_AHEAD * step_s):
            watch.stop()
            ending = Ending.STOPPED
        if time.time() > deadline.kill_time_s - _KILL_BEFORE_END_S:
            _end(process)
            return Ending.STOPPED
        # Looking for errors can take seconds, which are not there at the end.
        if time.monotonic() - checked > watch.check_every_s and deadline.allows(watch.check_every_s):
            checked = time.monotonic()
            if watch.has_error():
                _end(process)
                return Ending.INTERRUPTED
        # A long run is looked at less often: its files are on a shared file system.
        time.sleep(min(_LONGEST_PAUSE_S, _SHORTEST_PAUSE_S + elapsed_s / 20))
    return ending


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.stdin:
        process.stdin.close()
    process.wait()


def last_words(folder: Path, output: str) -> str:
    """Return the last line that a program wrote to its errors or its output; `nothing` where it wrote none."""
    for name in (STDERR, output):
        path = folder / name
        lines = path.read_text(errors="replace").strip().splitlines() if path.exists() else []
        if lines:
            return lines[-1].strip()
    return "nothing"


def found_program(command: Sequence[str], variable: str) -> None:
    """Check that a command's program exists.

    Raises
    ------
    AbsentError
        There is none of that name.
    """
    import shutil

    if shutil.which(command[0]) is None:
        raise AbsentError("program", f"no {command[0]} on PATH", f"`export {variable}='COMMAND'`, what starts it here")
