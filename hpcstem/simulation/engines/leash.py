"""Run a command that ends with whoever started this script: `python leash.py COMMAND...`, standard library only.

A worker that is killed cannot take its program along. This script stands between them: it reads its standard input, a
pipe that the worker holds open, and at its end, however that came, it ends the command and all of its process group.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress

_TERMINATE_S = 5.0


def main() -> int:
    """Run the command; return its status, or 128 and the number of the signal that ended it."""
    # What the worker is told to do is not for the command: that is asked by a file first.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    process = subprocess.Popen(
        sys.argv[1:],
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGTERM, signal.SIG_DFL),
    )
    threading.Thread(target=_end_with_worker, args=(process,), daemon=True).start()
    code = process.wait()
    _signal_group(process.pid, signal.SIGKILL)
    return code if code >= 0 else 128 - code


def _end_with_worker(process: subprocess.Popen[bytes]) -> None:
    # Not sys.stdin: a thread that waits in it would abort the interpreter at its end.
    while os.read(0, 1):
        continue
    # Launchers such as mpiexec and srun need a moment to end what they started on other hosts.
    _signal_group(process.pid, signal.SIGTERM)
    try:
        process.wait(_TERMINATE_S)
    except subprocess.TimeoutExpired:
        _signal_group(process.pid, signal.SIGKILL)


def _signal_group(group: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


if __name__ == "__main__":
    sys.exit(main())
