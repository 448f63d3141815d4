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
    """

    number: int
    first_step: int
    last_step: int
    host: str
    start: str
    end: str | None = None
    ended: str = ""
    corrections: tuple[str, ...] = ()


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
        log.end(ended.n_steps, ended.why)
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
    """Refuse to try a job once more where segment after segment ends before a single step could be kept.

    Raises
    ------
    SimulationError
        The last three segments ended by the time limit without a step.
    """
    last = read_segments(folder)[-_MAX_WITHOUT_STEP:]
    if len(last) == _MAX_WITHOUT_STEP and all(s.ended == "time limit" and s.first_step == s.last_step for s in last):
        wanted = "a longer walltime, or a smaller checkpoint_steps"
        raise SimulationError("segments", f"{_MAX_WITHOUT_STEP} in a row without a step that could be kept", wanted)


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
