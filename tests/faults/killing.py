"""Start the program, wait for a moment in its work, and kill one of its processes."""

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from small_run import command, environment

DEADLINE_S = 300


@contextmanager
def started(*arguments: object) -> Iterator[psutil.Popen]:
    """Run the program in the background; it and all that it started are gone at the end."""
    program = psutil.Popen(
        command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    )
    try:
        yield program
    finally:
        family = []
        if program.poll() is None:
            family = program.children(recursive=True)
            program.kill()
        program.communicate()
        for process in family:
            if process.is_running():
                process.kill()


def wait_for(what: Callable[[], object], program: psutil.Popen) -> None:
    """Wait until something is so; the program must not end before."""
    deadline = time.monotonic() + DEADLINE_S
    while not what():
        assert program.poll() is None, program.communicate()
        assert time.monotonic() < deadline, "deadline passed"
        time.sleep(0.02)


def finish(program: psutil.Popen) -> str:
    """Wait for a good end; returns standard output."""
    out, err = program.communicate(timeout=DEADLINE_S)
    assert program.returncode == 0, err
    assert "Traceback" not in err
    return out


def descendants(program: psutil.Popen, mark: str) -> list[psutil.Process]:
    """Processes that the program started with a word in their command line."""
    found = []
    for process in program.children(recursive=True):
        try:
            if mark in " ".join(process.cmdline()):
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


def kill(process: psutil.Process) -> None:
    """Kill -9, and wait until the process is gone."""
    with suppress(psutil.NoSuchProcess):
        process.send_signal(signal.SIGKILL)
    psutil.wait_procs([process], timeout=300)


def wait_until_gone(processes: list[psutil.Process], timeout_s: float = 120) -> None:
    """Wait until processes have ended by themselves."""
    _, alive = psutil.wait_procs(processes, timeout=timeout_s)
    assert not [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]


def n_chunks(run: Path) -> int:
    """Number of files of atoms that are there."""
    return len(list(run.glob("decode/atoms/*/*.parquet")))
