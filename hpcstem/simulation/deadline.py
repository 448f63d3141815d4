"""When a job has to stop: the end of its batch allocation, or a SIGTERM."""

from __future__ import annotations

import math
import signal
import time
from dataclasses import dataclass
from types import FrameType

MARGIN_S = 10.0
"""Time to write a result and tell the database before the allocation ends [s]."""

GRACE_S = 20.0
"""Time that a SIGTERM leaves; Slurm follows it with SIGKILL after 30 s by default."""

_received_s: float | None = None
"""When this process was told to end; a signal reaches a process, not an object."""


@dataclass(frozen=True)
class Deadline:
    """The time at which an allocation ends.

    Parameters
    ----------
    end_time_s
        Seconds since the epoch; infinity where there is no limit.
    """

    end_time_s: float = math.inf

    @property
    def kill_time_s(self) -> float:
        """When nothing may run any more: the end, or shortly after a SIGTERM, in seconds since the epoch."""
        return self.end_time_s if _received_s is None else min(self.end_time_s, _received_s + GRACE_S)

    @property
    def why(self) -> str:
        """`terminated` after a SIGTERM, else `time limit`."""
        return "terminated" if terminated() else "time limit"

    def allows(self, work_s: float) -> bool:
        """Whether work of that many seconds, and what follows it, ends in time; nothing is allowed after a SIGTERM."""
        return not terminated() and time.time() + work_s + MARGIN_S < self.end_time_s


NO_DEADLINE = Deadline()


class SegmentEnded(Exception):
    """The time was up before the job was done; what is on disk is where the next segment goes on.

    Parameters
    ----------
    n_steps
        Whole steps of the job made so far, in all segments.
    deadline
        The time that was up.
    """

    def __init__(self, n_steps: int, deadline: Deadline) -> None:
        self.n_steps, self.why = n_steps, deadline.why
        super().__init__(f"{self.why} after step {n_steps}")
        self.allocation_end_s = deadline.end_time_s if self.why == "time limit" else None


def catch_sigterm() -> None:
    """Let SIGTERM mean "stop at the next whole step" in this process; call it in the main thread."""

    def handle(number: int, frame: FrameType | None) -> None:
        global _received_s
        _received_s = time.time() if _received_s is None else _received_s

    signal.signal(signal.SIGTERM, handle)


def terminated() -> bool:
    """Whether this process has been told to end."""
    return _received_s is not None
