"""Dask workers, wherever they run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpcstem.errors import HpcstemError


@dataclass
class Workers:
    """A connection to workers.

    Parameters
    ----------
    client
        A `distributed.Client`.
    planned_threads
        Threads that are to come, where workers start only when there is work.
    failure
        Why no worker will come any more; who waits for results gives up then.
    """

    client: Any
    planned_threads: int = 0
    failure: HpcstemError | None = None


def last_words(log: Path) -> str:
    """Last lines that workers printed, in one."""
    if not log.is_file():
        return "no output"
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return "; ".join(line.strip() for line in lines[-5:]) or "nothing was printed"
