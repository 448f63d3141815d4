"""A text file that grows step by step and can go back to a marked length: no step is lost or doubled."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Self

from hpcstem.errors import SimulationError


class GrowingFile:
    """Text appended to a file whose first `length` bytes are kept and whose rest is dropped.

    Parameters
    ----------
    path
        The file; made if absent.
    length
        Bytes that a checkpoint vouches for.

    Raises
    ------
    SimulationError
        The file is shorter than the checkpoint says.
    """

    def __init__(self, path: Path, length: int) -> None:
        self.path = Path(path)
        self._handle = open(path, "ab")  # noqa: SIM115 - closed by `__exit__`
        found = os.fstat(self._handle.fileno()).st_size
        if found < length:
            self._handle.close()
            raise SimulationError(f"length of {path}", f"{found} bytes", f"the {length} that its checkpoint counts")
        self._handle.truncate(length)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._handle.close()

    def append(self, text: str) -> None:
        """Add text at the end."""
        self._handle.write(text.encode())

    def mark(self) -> int:
        """Put everything on disk; return the length [bytes] for the checkpoint."""
        self._handle.flush()
        os.fsync(self._handle.fileno())
        return self._handle.tell()
