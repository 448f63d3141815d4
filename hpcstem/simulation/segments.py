"""Segments: the stretches that one trajectory was made in, each by one process in one allocation.

`segments.jsonl` in a job's folder has a line per segment. A line without an end belongs to a process that was killed;
the next segment closes it.
"""

from __future__ import annotations

import datetime
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from pydantic import ValidationError

from hpcstem.config import Section
from hpcstem.errors import SimulationError
from hpcstem.files import write_text
from hpcstem.simulation.deadline import SegmentEnded

SEGMENTS_FILE = "segments.jsonl"
_MAX_WITHOUT_STEP = 3


class Segment(Section):
    """One stretch of a trajectory.

    Parameters
    ----------
    number
        1 for the first.
    first_step, last_step
        Steps of the job done when it began and when it ended.
    host
        Where it ran.
    start, end
        Times, ISO 8601, UTC; no end while it runs.
    ended
        `finished`, `time limit`, `terminated` (by SIGTERM), `killed`, `corrected` (the next segment goes on with
        other settings), or `failed: ...`; empty while it runs.
    corrections
        What was changed in the program's input after an error, one line each.
    allocation_end_s
        When the allocation ends whose time limit ended the segment [s since the epoch]; else None.
    """

    number: int
    first_step: int
    last_step: int
    host: str
    start: str
    end: str | None = None
    ended: str = ""
    corrections: tuple[str, ...] = ()
    allocation_end_s: float | None = None


class SegmentLog:
    """The segments of one job, in its folder.

    Parameters
    ----------
    folder
        Folder of the job.

    Raises
    ------
    SimulationError
        The file is not what this class writes.
    """

    def __init__(self, folder: Path) -> None:
        self._path = Path(folder) / SEGMENTS_FILE
        self._segments = read_segments(folder)

    def begin(self, first_step: int) -> Self:
        """Record that a segment begins where the last whole one ended."""
        if self._segments and not self._segments[-1].ended:
            # Whoever wrote that line holds the folder no more.
            self._change(last_step=first_step, end=_now(), ended="killed")
        number, host = len(self._segments) + 1, socket.gethostname()
        self._segments.append(
            Segment(number=number, first_step=first_step, last_step=first_step, host=host, start=_now())
        )
        self._write()
        return self

    def end(self, last_step: int, why: str, corrections: tuple[str, ...] = ()) -> None:
        """Record how the segment that was begun has ended."""
        self._change(last_step=last_step, end=_now(), ended=why, corrections=corrections)
        self._write()

    def stop(self, ended: SegmentEnded) -> None:
        """Record that the time was up for the segment that was begun."""
        self._change(allocation_end_s=ended.allocation_end_s)
        self.end(ended.n_steps, ended.why)

    def close(self, last_step: int) -> None:
        """Close a record that a killed process left open although the work was done."""
        if self._segments and not self._segments[-1].ended:
            self.end(last_step, "killed")

    def _change(self, **values: Any) -> None:
        self._segments[-1] = self._segments[-1].model_copy(update=values)

    def _write(self) -> None:
        write_text(self._path, "".join(segment.model_dump_json() + "\n" for segment in self._segments))


@contextmanager
def logged_segment(folder: Path, first_step: int) -> Iterator[dict[str, int]]:
    """Record one segment of a run that is made in this process.

    Yields
    ------
    dict
        The caller keeps `last_step` in it up to date.
    """
    log, reached = SegmentLog(folder).begin(first_step), {"last_step": first_step}
    try:
        yield reached
    except SegmentEnded as ended:
        log.stop(ended)
        raise
    except Exception as error:
        log.end(reached["last_step"], f"failed: {error}")
        raise
    log.end(reached["last_step"], "finished")


def read_segments(folder: Path) -> list[Segment]:
    """Return the segments recorded in a job's folder; none where there is no record.

    Raises
    ------
    SimulationError
        The file is not what `SegmentLog` writes.
    """
    path = Path(folder) / SEGMENTS_FILE
    if not path.exists():
        return []
    try:
        return [Segment.model_validate(json.loads(line)) for line in path.read_text().splitlines()]
    except (ValueError, ValidationError) as error:
        raise SimulationError(f"cannot read {path}", error, "one JSON object per line") from error


def check_progress(folder: Path) -> None:
    """Refuse to try a job once more that came to the end of allocation after allocation without a step to keep.

    Several segments in one allocation count once: those that began when it was nearly over say nothing.

    Raises
    ------
    SimulationError
        The segments since the last step that was kept ended by the time limits of three allocations.
    """
    allocations = set()
    for segment in reversed(read_segments(folder)):
        if segment.ended != "time limit" or segment.first_step != segment.last_step:
            break
        allocations.add(segment.allocation_end_s)
    if len(allocations) >= _MAX_WITHOUT_STEP:
        wanted = "a longer walltime, or a smaller checkpoint_steps"
        got = f"{_MAX_WITHOUT_STEP} allocations in a row without a step that could be kept"
        raise SimulationError("segments", got, wanted)


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
