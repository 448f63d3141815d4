"""One worker process: runs jobs of the queue one after the other until none is left, or no time.

Started by `hpcstem.simulation.launcher`, which writes one line of JSON to its standard input and keeps that open:
when the launcher is gone, so is the worker.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hpcstem.errors import HpcstemError
from hpcstem.simulation.deadline import NO_DEADLINE, Deadline, catch_sigterm
from hpcstem.simulation.queue import ACTIVE_STATES

_POLL_S = 0.5


def main() -> int:
    """Work; return 0 when no job is left, or an error's exit status."""
    config = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_launcher, daemon=True).start()
    try:
        _work(config, Path(config["run_directory"]), config["end_time"])
    except HpcstemError as error:
        print(error, file=sys.stderr)
        return error.exit_status
    return 0


def _work(config: Mapping[str, Any], run_directory: Path, end_time_s: float | None) -> None:
    from fireworks import FWorker
    from fireworks.core import rocket
    from fireworks.core.rocket_launcher import launch_rocket

    from hpcstem.simulation.launchpad import open_launchpad

    # FireWorks reads its period once, when it is imported; an hour is too long to notice a lost worker.
    rocket.PING_TIME_SECS = config["heartbeat_s"]
    launchpad = open_launchpad(config["address"], config["idle_s"])
    environment = {"run_directory": str(run_directory), "owner": launchpad.owner.to_document(), "end_time": end_time_s}
    deadline = NO_DEADLINE if end_time_s is None else Deadline(end_time_s)
    catch_sigterm()
    fworker = FWorker(name="hpcstem", env=environment)
    active = {"state": {"$in": list(ACTIVE_STATES)}}
    while deadline.allows(0):
        if launch_rocket(launchpad, fworker, strm_lvl="WARNING"):
            continue
        if not launchpad.patiently(lambda: launchpad.fireworks.find_one(active, {"fw_id": 1})):
            return
        time.sleep(_POLL_S)


def _end_with_launcher() -> None:
    # Not through sys.stdin, whose lock a thread would hold when the interpreter ends, which aborts it.
    os.read(0, 1)
    # Without clean-up, as if killed: every file and the database allow for that.
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
