"""Trajectories larger than memory: segments that read themselves piece by piece, sums that survive a killed job.

A segment is one block, or a part of one. Its partial sums are written to a checkpoint every so often;
the same job started again reads them and goes on after the last snapshot that they hold, so that the sums come
out bit for bit as in a job that was never stopped.
"""

from __future__ import annotations

import hashlib
import itertools
import time
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from hpcstem.errors import StructureError
from hpcstem.files import whole_file
from hpcstem.potentials.trajectory import Trajectory

Sums = TypeVar("Sums")
Answer = TypeVar("Answer", covariant=True)


class TrajectorySource(Protocol):
    """Where snapshots come from; small and picklable."""

    @property
    def n_frames(self) -> int:
        """Number of snapshots."""
        ...

    def read(self, first: int, stop: int) -> Trajectory:
        """Snapshots `first` to `stop` - 1, counted from 0."""
        ...


class SegmentAnalysis(Protocol[Sums, Answer]):
    """An analysis of trajectories that says which snapshots an interval needs, and which type its sums have."""

    @property
    def partial_type(self) -> type:
        """Dataclass of the sums: arrays and numbers only."""
        ...

    @property
    def reach(self) -> tuple[int, int]:
        """Snapshots needed before and after the one at which an interval begins."""
        ...

    def process(self, batch: Trajectory) -> Sums:
        """Sum over one trajectory."""
        ...

    def merge(self, left: Sums, right: Sums) -> Sums:
        """Join two sums."""
        ...

    def finish(self, partial: Sums) -> Answer:
        """Turn the sums into the answer."""
        ...


@dataclass(frozen=True)
class Segment:
    """Part of a trajectory.

    Parameters
    ----------
    source
        Where to read.
    first, stop
        Intervals that begin at snapshots `first` to `stop` - 1.
    block
        Number of the block.
    """

    source: TrajectorySource
    first: int
    stop: int
    block: int


@dataclass(frozen=True)
class Extent:
    """How long a trajectory is, and how wide.

    Parameters
    ----------
    n_frames
        Number of snapshots.
    sides_A
        Range of the atoms of the first snapshot in x and y [Å]; None where the box is periodic or empty.
    """

    n_frames: int
    sides_A: tuple[float, float] | None


@dataclass(frozen=True)
class MeasureExtent:
    """Analysis: the extent of one source, found by one rank, so that all agree on it or on its error."""

    def process(self, batch: TrajectorySource) -> Extent:
        """Open the source."""
        n_frames = batch.n_frames
        first = batch.read(0, 1) if n_frames else None
        if first is None or first.box_A is not None or not len(first.positions_A):
            return Extent(n_frames, None)
        x_A, y_A = np.ptp(first.positions_A, axis=0)
        return Extent(n_frames, (float(x_A), float(y_A)))

    def merge(self, left: Extent, right: Extent) -> Extent:
        """Keep the first: there is one source."""
        return left

    def finish(self, partial: Extent) -> Extent:
        """Return the extent."""
        return partial


def segments(source: TrajectorySource, n_blocks: int = 32, n_frames: int | None = None) -> list[Segment]:
    """Cut a trajectory into blocks of nearly equal length, each a segment.

    Parameters
    ----------
    source
        The trajectory.
    n_blocks
        Number of blocks; fewer if there are not as many intervals.
    n_frames
        Number of snapshots, where it is known already.

    Raises
    ------
    StructureError
        Fewer than two snapshots, or fewer than two blocks.
    """
    n_frames = source.n_frames if n_frames is None else n_frames
    if n_frames < 2:
        raise StructureError("frames of the trajectory", n_frames, "at least two: motion needs a next frame")
    if n_blocks < 2:
        raise StructureError("blocks of the trajectory", n_blocks, "at least 2, to say how sure the result is")
    edges = np.linspace(0, n_frames - 1, min(n_blocks, n_frames - 1) + 1).round().astype(int)
    # The last snapshot begins no interval, but analyses of single snapshots need it.
    edges[-1] = n_frames
    return [Segment(source, int(a), int(b), k) for k, (a, b) in enumerate(itertools.pairwise(edges))]


@dataclass(frozen=True)
class Blocks(Generic[Sums, Answer]):
    """Sums of each block and the answer of all.

    Parameters
    ----------
    parts
        Sums of each block, in order.
    total
        Answer from all of them.
    """

    parts: tuple[Sums, ...]
    total: Answer


@dataclass(frozen=True)
class Streamed(Generic[Sums, Answer]):
    """Analysis of segments: reads piece by piece, keeps the blocks apart, writes checkpoints.

    Parameters
    ----------
    analysis
        What to do with each piece.
    piece
        Snapshots in memory at a time.
    checkpoint
        Folder for partial sums; None for no checkpoints.
    every_s
        Seconds between two of them.
    """

    analysis: SegmentAnalysis[Sums, Answer]
    piece: int = 64
    checkpoint: Path | None = None
    every_s: float = 60.0

    def process(self, batch: Segment) -> dict[int, Sums]:
        """Sum over one segment."""
        before, after = self.analysis.reach
        n_frames = batch.source.n_frames
        sums, start = self._resumed(batch)
        written = time.monotonic()
        while start < batch.stop:
            stop = min(start + self.piece, batch.stop)
            piece = batch.source.read(max(start - before, 0), min(stop + after, n_frames))
            part = self.analysis.process(piece)
            sums = part if sums is None else self.analysis.merge(sums, part)
            start = stop
            if self.checkpoint is not None and (start == batch.stop or time.monotonic() - written > self.every_s):
                self._write(batch, sums, start)
                written = time.monotonic()
        if sums is None:
            raise StructureError("segment of the trajectory", "no snapshot", "at least one")
        return {batch.block: sums}

    def merge(self, left: dict[int, Sums], right: dict[int, Sums]) -> dict[int, Sums]:
        """Join; parts of the same block are added."""
        merged = dict(left)
        for block, sums in right.items():
            merged[block] = self.analysis.merge(merged[block], sums) if block in merged else sums
        return merged

    def finish(self, partial: dict[int, Sums]) -> Blocks[Sums, Answer]:
        """Answer from all blocks, added in their order."""
        parts = tuple(partial[block] for block in sorted(partial))
        return Blocks(parts, self.analysis.finish(added(self.analysis, parts)))

    def _path(self, segment: Segment) -> Path:
        assert self.checkpoint is not None  # noqa: S101 - asked by the callers
        return Path(self.checkpoint) / f"block-{segment.block:04d}-{segment.first}-{segment.stop}.npz"

    def _fingerprint(self, segment: Segment) -> str:
        """Of everything that the sums depend on."""
        path = getattr(segment.source, "path", None)
        files = sorted(path.rglob("*")) if path is not None and path.is_dir() else [] if path is None else [path]
        sizes = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
        return hashlib.sha256(repr((self.analysis, self.piece, segment, sizes)).encode()).hexdigest()

    def _resumed(self, segment: Segment) -> tuple[Sums | None, int]:
        """Sums of a job that was stopped, and the snapshot to go on from."""
        if self.checkpoint is None or not self._path(segment).is_file():
            return None, segment.first
        path = self._path(segment)
        try:
            with np.load(path, allow_pickle=False) as saved:
                values = {name: saved[name] for name in saved.files}
            stop, fingerprint = int(values.pop("stop")), str(values.pop("fingerprint"))
            sums = self.analysis.partial_type(**{k: v if v.ndim else v.item() for k, v in values.items()})
        except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            raise StructureError(
                f"cannot read checkpoint {path}", error, "remove it, and the block is done again"
            ) from error
        if fingerprint != self._fingerprint(segment):
            raise StructureError(
                f"checkpoint {path}", "sums of other settings or of another trajectory", "another folder, or remove it"
            )
        return sums, stop

    def _write(self, segment: Segment, sums: Sums, stop: int) -> None:
        values: dict[str, Any] = dict(vars(sums))
        with whole_file(self._path(segment)) as temporary, open(temporary, "wb") as handle:
            np.savez(handle, stop=stop, fingerprint=self._fingerprint(segment), **values)


def added(analysis: SegmentAnalysis[Sums, Any], parts: Sequence[Sums]) -> Sums:
    """All parts joined in their order."""
    total = parts[0]
    for part in parts[1:]:
        total = analysis.merge(total, part)
    return total


@dataclass(frozen=True)
class InMemory:
    """A trajectory that is in memory already, as a source.

    Parameters
    ----------
    trajectory
        The snapshots.
    """

    trajectory: Trajectory

    @property
    def n_frames(self) -> int:
        """Number of snapshots."""
        return len(self.trajectory)

    def read(self, first: int, stop: int) -> Trajectory:
        """Snapshots `first` to `stop` - 1."""
        return self.trajectory[first:stop]

    def __repr__(self) -> str:
        digest = hashlib.sha256(self.trajectory.positions_A.tobytes()).hexdigest()
        return f"InMemory({len(self.trajectory)}, {digest})"
