"""A rank as a process of its own beside a Dask worker: started by a task, ended by a message to the worker."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

TOPIC = "hpcstem-training"

# Processes of this worker, by group and rank, for `signal_ranks`, which arrives while their tasks wait for them.
_running: dict[str, subprocess.Popen[str]] = {}


@dataclass(frozen=True)
class Outcome:
    """How a rank ended: its exit status, or minus the signal, and the last lines of its standard error."""

    status: int
    errors: str


def run_rank(name: str, command: Sequence[str], line: str, environment: Mapping[str, str], address: str) -> Outcome:
    """Start a rank, pass on what it reports, and wait for its end; a task for one worker.

    Parameters
    ----------
    name
        Of group and rank, for `signal_ranks` and reports.
    command
        Program and arguments.
    line
        What it reads from standard input, which closes when this process ends.
    environment
        Variables on top of this process's.
    address
        IP address of this worker, whose interface carries the group's messages.
    """
    from distributed import get_worker

    worker = get_worker()
    interface = _interface_of(address)
    by_interface = {"GLOO_SOCKET_IFNAME": interface, "HOROVOD_GLOO_IFACE": interface} if interface else {}
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            list(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**os.environ, **by_interface, **environment},
            # Ctrl-C on a terminal is for the program in front, which lets ranks write a checkpoint.
            start_new_session=True,
        )
        _running[name] = process
        try:
            assert process.stdin is not None  # noqa: S101 - for mypy: both pipes were asked for
            assert process.stdout is not None  # noqa: S101
            process.stdin.write(line)
            process.stdin.flush()
            for report in process.stdout:
                worker.log_event(TOPIC, {"name": name, **_report(report)})
            status = process.wait()
        except BrokenPipeError:
            status = process.wait()
        finally:
            _running.pop(name, None)
            process.kill()
            process.communicate()
        errors.seek(0)
        return Outcome(status, errors.read()[-4000:].strip())


def signal_ranks(group: str, number: int) -> None:
    """Send a signal to the processes of a group on this worker; runs on the worker, not as a task."""
    for name, process in list(_running.items()):
        if name.startswith(f"{group} "):
            process.send_signal(signal.Signals(number))


def _report(line: str) -> dict[str, Any]:
    """A line of a rank; what libraries print is none of ours."""
    try:
        value = json.loads(line)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _interface_of(address: str) -> str | None:
    """Name of the network interface with an address."""
    import psutil

    for name, addresses in psutil.net_if_addrs().items():
        if any(one.address == address for one in addresses):
            return name
    return None
