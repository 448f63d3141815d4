"""The plan: segments of movies, packed into chunks of about equal size."""

from __future__ import annotations

import hashlib
import json
from bisect import bisect
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hpcstem.campaign.reprocessing.survey import Survey
from hpcstem.frames import FrameRange


@dataclass(frozen=True)
class Segment:
    """Some frames of one movie.

    Parameters
    ----------
    survey
        The movie.
    frames
        The frames.
    attempt
        1 at the first try.
    """

    survey: Survey
    frames: FrameRange
    attempt: int = 1

    @property
    def n_bytes(self) -> int:
        """Size in memory, as float32 [byte]."""
        return len(self.frames) * self.survey.rows * self.survey.columns * 4


@dataclass(frozen=True)
class SegmentsChunk:
    """One batch: segments whose atoms go to one file.

    Parameters
    ----------
    segments
        In the order of their rows.
    path
        The file of atoms.
    """

    segments: tuple[Segment, ...]
    path: Path

    @property
    def name(self) -> str:
        """Name of the chunk: a part of a hash."""
        return self.path.stem


def plan_segments(wanted: Iterable[Segment], target_bytes: int) -> list[tuple[Segment, ...]]:
    """Cut large segments and group small ones, in order.

    The plan depends on the segments and the target alone, never on the number of workers.

    Parameters
    ----------
    wanted
        What is to be decoded.
    target_bytes
        Largest size of a group in memory as float32 [byte]; a single frame may be larger.
    """
    groups: list[tuple[Segment, ...]] = []
    group: list[Segment] = []
    size = 0
    for piece in (piece for segment in wanted for piece in _pieces(segment, target_bytes)):
        # What failed before may have brought down its neighbours: it is tried alone.
        apart = piece.attempt > 1 or (group and group[0].attempt > 1)
        if group and (apart or size + piece.n_bytes > target_bytes):
            groups.append(tuple(group))
            group, size = [], 0
        group.append(piece)
        size += piece.n_bytes
    return [*groups, tuple(group)] if group else groups


def _pieces(segment: Segment, target_bytes: int) -> Iterator[Segment]:
    """Parts of nearly equal length, none above the target."""
    n_frames, start = len(segment.frames), segment.frames.start
    most = max(1, target_bytes * n_frames // segment.n_bytes)
    n_pieces = -(-n_frames // most)
    for index in range(n_pieces):
        first, last = start + index * n_frames // n_pieces, start + (index + 1) * n_frames // n_pieces
        yield Segment(segment.survey, FrameRange(first, last), segment.attempt)


def chunk_of(segments: tuple[Segment, ...], folder: Path, config_sha256: str) -> SegmentsChunk:
    """Give segments their file, whose name is a hash of all that decides its content."""
    marks = [
        [s.survey.movie, s.survey.file_sha256, s.survey.pixel_size_A, s.frames.start, s.frames.stop] for s in segments
    ]
    name = hashlib.sha256(json.dumps([config_sha256, marks]).encode()).hexdigest()[:24]
    return SegmentsChunk(segments, folder / name[:2] / f"{name}.parquet")


def missing_ranges(n_frames: int, taken: Iterable[tuple[int, int]]) -> list[FrameRange]:
    """Runs of the frames 0 to `n_frames - 1` that no taken range covers.

    Examples
    --------
    >>> missing_ranges(10, [(2, 4), (4, 6), (9, 10)])
    [FrameRange(start=0, stop=2), FrameRange(start=6, stop=9)]
    """
    missing, position = [], 0
    for start, stop in sorted(taken):
        if start > position:
            missing.append(FrameRange(position, min(start, n_frames)))
        position = max(position, stop)
    return [*missing, FrameRange(position, n_frames)] if position < n_frames else missing


def free_place(frames: tuple[int, int], taken: Sequence[tuple[int, int]]) -> int | None:
    """Where a range of frames would stand among sorted ranges without overlap; None if it overlaps one of them.

    Examples
    --------
    >>> free_place((4, 6), [(0, 4), (6, 8)]), free_place((3, 5), [(0, 4), (6, 8)])
    (1, None)
    """
    place = bisect(taken, frames)
    clear_before = place == 0 or taken[place - 1][1] <= frames[0]
    clear_after = place == len(taken) or frames[1] <= taken[place][0]
    return place if clear_before and clear_after else None
