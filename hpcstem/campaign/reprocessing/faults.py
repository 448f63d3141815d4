"""What could not be decoded, why, and how often it was tried."""

from __future__ import annotations

import enum
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hpcstem.campaign.reprocessing.parquet import kinds_of, read_rows, write_rows
from hpcstem.files import read_json, write_json
from hpcstem.frames import FaultKind


class Cause(enum.StrEnum):
    """Why a movie or some frames of it have no atoms; single frames also have the causes of `FaultKind`."""

    MISSING = "missing"
    """There is no such file."""
    UNREADABLE = "unreadable"
    """The file cannot be opened or read, or lacks what the work needs."""
    CHANGED = "changed"
    """The file changed while it was read."""
    NOT_WRITTEN = "not written"
    """The file of atoms could not be written: the disk is full, or refuses."""
    WORKER_DIED = "worker died"
    """The process that worked on these frames died each time; from the second try on, it worked on nothing else."""
    FAILED = "failed"
    """The work ended in an error that nobody foresaw."""


_PASSING = frozenset({Cause.MISSING, Cause.CHANGED, Cause.NOT_WRITTEN})
_FRAME_KINDS = frozenset(FaultKind)


@dataclass(frozen=True)
class Fault:
    """A movie, or some frames of one, without atoms.

    Parameters
    ----------
    movie
        Key of the movie.
    path
        Its file.
    start, stop
        Frames `start` to `stop - 1`; both -1 for the whole movie, whose number of frames may be unknown.
    cause
        A `Cause` or a `hpcstem.frames.FaultKind`.
    reason
        One line.
    attempts
        How often it was tried.
    file_mark
        Size, time of change and given metadata of the movie when it was tried last.
    time
        When it was tried last, UTC.
    """

    movie: str
    path: str
    start: int
    stop: int
    cause: str
    reason: str
    attempts: int
    file_mark: str
    time: str = field(default_factory=lambda: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))

    @property
    def of_one_frame(self) -> bool:
        """Whether it is a broken frame of a movie that is otherwise decoded."""
        return self.cause in _FRAME_KINDS

    @property
    def passes(self) -> bool:
        """Whether the next run tries again by itself: the fault was not the movie's, or may have been a neighbour's."""
        return self.cause in _PASSING or (self.cause == Cause.WORKER_DIED and self.attempts == 1)

    @property
    def key(self) -> tuple[str, int, int]:
        """What it is about."""
        return self.movie, self.start, self.stop


def write_faults(path: Path, faults: Iterable[Fault]) -> None:
    """Write faults as a Parquet table, whole or not at all."""
    write_rows(path, kinds_of(Fault), map(asdict, faults))


def read_faults(path: Path) -> list[Fault]:
    """Read what `write_faults` wrote; none where there is no file."""
    return [Fault(**row) for row in read_rows(path, kinds_of(Fault))]


def write_note(path: Path, faults: Iterable[Fault]) -> None:
    """Note faults in a small file of their own, so that they outlive the process that collects them."""
    write_json(path, [asdict(fault) for fault in faults])


def read_note(path: Path) -> list[Fault]:
    """Read what `write_note` wrote."""
    rows: list[dict[str, Any]] = read_json(path)
    return [Fault(**row) for row in rows]
