"""SIGTERM, which schedulers send before they kill, as a question that a loop asks."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType
from typing import Any, Self

from hpcstem.errors import HpcstemError


class TrainingStopped(HpcstemError):
    """Training ended early because it was asked to, with all its work on disk."""

    exit_status = 128 + signal.SIGTERM


class StopRequest:
    """While in use, SIGTERM is noted and ends nothing; enter it in the main thread."""

    def __init__(self) -> None:
        self.requested = False
        self._before: Any = None

    def request(self) -> None:
        """Ask for the end from within."""
        self.requested = True

    def __enter__(self) -> Self:
        def note(number: int, frame: FrameType | None) -> None:
            self.requested = True

        self._before = signal.signal(signal.SIGTERM, note)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        signal.signal(signal.SIGTERM, self._before)
