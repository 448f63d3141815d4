"""Segments in, one file of atoms out: what a worker does with a chunk."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpcstem.atoms import AtomTable
from hpcstem.campaign.reprocessing.faults import Cause, Fault, write_note
from hpcstem.campaign.reprocessing.segments import Segment, SegmentsChunk
from hpcstem.campaign.reprocessing.survey import file_size_and_time
from hpcstem.errors import HpcstemError, ModelError, MovieError

if TYPE_CHECKING:
    import numpy as np

    from hpcstem.segmentation import Ensemble

_MOST_UNWRITTEN = 8


@dataclass(frozen=True)
class Member:
    """What a file of atoms holds of one movie; kept in the file's metadata.

    Parameters
    ----------
    movie, path, file_sha256, pixel_size_A
        Of the movie, as in its survey.
    start, stop
        Frames that were decoded, broken ones included.
    attempt
        How often they were tried.
    n_atoms
        Atoms per species.
    faults
        Index and kind of the frames left out.
    likeness
        How far its first whole frame is from the training images, as `hpcstem.segmentation.reference.Likeness`; None
        where these are not known.
    """

    movie: str
    path: str
    file_sha256: str
    pixel_size_A: float
    start: int
    stop: int
    attempt: int
    n_atoms: dict[str, int]
    faults: list[list[int | str]]
    likeness: dict[str, Any] | None = None

    @property
    def n_frames(self) -> int:
        """Frames that were whole."""
        return self.stop - self.start - len(self.faults)


@dataclass(frozen=True)
class ChunkOutcome:
    """What became of chunks; outcomes of neighbouring chunks add up.

    Parameters
    ----------
    n_frames
        Frames decoded.
    n_chunks
        Chunks worked on.
    n_unwritten_last
        How many of them, from the last one back, could not be written.
    """

    n_frames: int
    n_chunks: int = 1
    n_unwritten_last: int = 0


@dataclass(frozen=True)
class DecodeSegments:
    """The analysis that decodes chunks of many movies; what fails is noted and does not end the rest.

    Parameters
    ----------
    model
        Folder of the ensemble.
    digest
        SHA-256 of the ensemble; a worker that finds another one under the same path refuses.
    refine
        As in `hpcstem.segmentation.decode_frame`.
    config_sha256
        Hash of the settings, kept in each file of atoms.
    notes
        Folder for the notes of what failed.
    """

    model: Path
    digest: str
    refine: bool
    config_sha256: str
    notes: Path

    def process(self, batch: SegmentsChunk) -> ChunkOutcome:
        """Decode one chunk and write its file.

        Raises
        ------
        ModelError
            The ensemble changed.
        """
        from hpcstem.segmentation.chunks import loaded_ensemble

        ensemble = loaded_ensemble(self.model, self.digest)
        tables: list[AtomTable] = []
        members: list[Member] = []
        faults: list[Fault] = []
        for segment in batch.segments:
            try:
                table, member = self._decode(segment, ensemble)
            except ModelError:
                raise
            except (HpcstemError, OSError) as error:
                faults.append(_fault(segment, Cause.UNREADABLE if _unchanged(segment) else Cause.CHANGED, error))
            except Exception as error:  # one movie must not end the work on all others
                faults.append(_fault(segment, Cause.FAILED, f"{type(error).__name__}: {error}"))
            else:
                tables.append(table)
                members.append(member)
        written = True
        if members:
            try:
                self.write(batch.path, members, tables)
            except HpcstemError as error:
                written = False
                held = {(member.movie, member.start) for member in members}
                unwritten = (s for s in batch.segments if (s.survey.movie, s.frames.start) in held)
                faults += [_fault(segment, Cause.NOT_WRITTEN, error) for segment in unwritten]
        self._note(batch, faults)
        return ChunkOutcome(sum(m.n_frames for m in members) if written else 0, n_unwritten_last=int(not written))

    def failed(self, batch: SegmentsChunk, cause: HpcstemError) -> ChunkOutcome:
        """Note a chunk whose workers died."""
        self._note(batch, [_fault(segment, Cause.WORKER_DIED, cause) for segment in batch.segments])
        return ChunkOutcome(0)

    def merge(self, left: ChunkOutcome, right: ChunkOutcome) -> ChunkOutcome:
        """Add the counts.

        Raises
        ------
        HpcstemError
            Several chunks one after the other could not be written: there is no use in going on.
        """
        none_written = right.n_unwritten_last == right.n_chunks
        unwritten = right.n_unwritten_last + (left.n_unwritten_last if none_written else 0)
        if unwritten >= _MOST_UNWRITTEN:
            raise HpcstemError(
                f"atoms in {self.notes.parent}",
                f"{unwritten} chunks one after the other that could not be written",
                "free space and write permission; the same command then goes on",
            )
        return ChunkOutcome(left.n_frames + right.n_frames, left.n_chunks + right.n_chunks, unwritten)

    def finish(self, partial: ChunkOutcome) -> ChunkOutcome:
        """Return the counts."""
        return partial

    def write(self, path: Path, members: list[Member], tables: list[AtomTable]) -> None:
        """Write a file of atoms, whole or not at all."""
        metadata = {
            "model_sha256": self.digest,
            "config_sha256": self.config_sha256,
            "members": [asdict(member) for member in members],
            "frames": [frame for table in tables for frame in table.metadata["frames"]],
        }
        AtomTable.concatenate([AtomTable.empty(metadata), *tables]).write(path)

    def _decode(self, segment: Segment, ensemble: Ensemble) -> tuple[AtomTable, Member]:
        """Atoms of one segment; its file is the surveyed one before and after.

        Raises
        ------
        MovieError
            The file changed, cannot be read, or does not fit the networks.
        """
        from hpcstem.segmentation import decode

        survey, frames = segment.survey, segment.frames
        movie = survey.open()
        _require_unchanged(segment)
        images, indices, faults = movie.read_checked(frames.start, frames.stop)
        _require_unchanged(segment)
        table = decode(images, survey.pixel_size_A, ensemble, movie.name, indices, refine=self.refine)
        member = Member(
            movie=survey.movie,
            path=survey.path,
            file_sha256=survey.file_sha256,
            pixel_size_A=survey.pixel_size_A,
            start=frames.start,
            stop=frames.stop,
            attempt=segment.attempt,
            n_atoms=dict(sorted(Counter(table.species.tolist()).items())),
            faults=[[fault.frame, fault.kind.value] for fault in faults],
            likeness=self._likeness(images, survey.pixel_size_A, ensemble),
        )
        return table, member

    def _likeness(self, images: np.ndarray, pixel_size_A: float, ensemble: Ensemble) -> dict[str, Any] | None:
        from hpcstem.segmentation.reference import frame_likeness, load_reference

        reference = load_reference(self.model, ensemble)
        if reference is None or not len(images):
            return None
        return asdict(frame_likeness(images[0], pixel_size_A, ensemble, reference))

    def _note(self, batch: SegmentsChunk, faults: list[Fault]) -> None:
        path = self.notes / f"fault-{batch.name}.json"
        # On a full disk there is no room for the note either: the chunk is then just missing, and the next run's.
        with suppress(HpcstemError):
            if faults:
                write_note(path, faults)


def _unchanged(segment: Segment) -> bool:
    try:
        found = file_size_and_time(Path(segment.survey.path))
    except OSError:
        return False
    return found == (segment.survey.n_bytes, segment.survey.mtime_ns)


def _require_unchanged(segment: Segment) -> None:
    if not _unchanged(segment):
        raise MovieError(f"{segment.survey.path} has changed since it was hashed", wanted="to run again")


def _fault(segment: Segment, cause: Cause, reason: object) -> Fault:
    survey, frames = segment.survey, segment.frames
    return Fault(
        survey.movie,
        survey.path,
        frames.start,
        frames.stop,
        cause,
        str(reason),
        segment.attempt,
        survey.file_mark,
    )
