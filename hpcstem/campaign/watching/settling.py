"""Which files are no longer being written."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_AGAIN_S = 30.0


@dataclass
class _Seen:
    mark: str
    since_s: float
    not_before_s: float = 0.0


class Settling:
    """Files whose size and time of change have stayed the same for a while, and that were not handled as they are.

    Parameters
    ----------
    settle_s
        How long a file must not change [s].
    """

    def __init__(self, settle_s: float) -> None:
        self._settle_s = settle_s
        self._seen: dict[Path, _Seen] = {}
        self._handled: dict[Path, str] = {}

    def look(self, marks: Iterable[tuple[Path, str]], now_s: float) -> None:
        """Take note of the files that are there.

        Parameters
        ----------
        marks
            Size and time of change of each file, as any text.
        now_s
            Time of a clock that only goes forward [s].
        """
        seen: dict[Path, _Seen] = {}
        for path, mark in marks:
            before = self._seen.get(path)
            seen[path] = before if before is not None and before.mark == mark else _Seen(mark, now_s)
        self._seen = seen

    def ready(self, now_s: float) -> list[Path]:
        """Files to handle now, those that have waited longest first."""
        waiting = [path for path, seen in self._seen.items() if self._handled.get(path) != seen.mark]
        due = [path for path in waiting if self._due_s(path) <= now_s]
        return sorted(due, key=lambda path: (self._seen[path].since_s, path))

    def next_due_s(self, now_s: float) -> float:
        """Time until the next file is ready if nothing changes [s]; infinite where none waits."""
        waiting = [self._due_s(path) for path, seen in self._seen.items() if self._handled.get(path) != seen.mark]
        return max(0.0, min(waiting, default=float("inf")) - now_s)

    def handled(self, path: Path, mark: str) -> None:
        """Leave a file alone as long as it is as it was."""
        self._handled[path] = mark

    def try_again(self, path: Path, now_s: float) -> None:
        """Come back to a file after a while, or when it changes."""
        self._seen[path].not_before_s = now_s + _AGAIN_S

    def mark(self, path: Path) -> str:
        """Size and time of change of a file when it was looked at last."""
        return self._seen[path].mark

    def _due_s(self, path: Path) -> float:
        return max(self._seen[path].since_s + self._settle_s, self._seen[path].not_before_s)
