"""Who holds a claim: one process on one host, told apart from a later process that got the same number."""

from __future__ import annotations

import os
import socket
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self


@dataclass(frozen=True)
class Owner:
    """One running process.

    A process number alone is used again by the system; together with the start time it is not.

    Parameters
    ----------
    host
        Name of the host.
    pid
        Process number on that host.
    started
        Start time of the process in clock ticks since the host's boot (field 22 of `/proc/<pid>/stat`).
    """

    host: str
    pid: int
    started: int

    @classmethod
    def current(cls) -> Self:
        """Return this process."""
        return cls.of(os.getpid())

    @classmethod
    def of(cls, pid: int) -> Self:
        """Return the process `pid` of this host; `started` is -1 where there is none."""
        started = _start_ticks(pid)
        return cls(socket.gethostname(), pid, -1 if started is None else started)

    @classmethod
    def from_document(cls, document: Any) -> Self | None:
        """Return the owner that `to_document` described; None for anything else."""
        try:
            return cls(str(document["host"]), int(document["pid"]), int(document["started"]))
        except (KeyError, TypeError, ValueError):
            return None

    def to_document(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)

    @property
    def is_here(self) -> bool:
        """Whether the process belongs to this host, so that `is_alive` can tell."""
        return self.host == socket.gethostname()

    @property
    def is_alive(self) -> bool:
        """Whether this very process runs on this host; False for a process of another host."""
        return self.is_here and _start_ticks(self.pid) == self.started


def _start_ticks(pid: int) -> int | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The name in parentheses may hold spaces and parentheses of its own, so count from the last one.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])
