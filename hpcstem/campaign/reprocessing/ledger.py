"""What of a dataset is done: read from its files alone, which any number of processes may read at any time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hpcstem.atoms import AtomTable, read_metadata
from hpcstem.campaign.reprocessing.decoding import DecodeSegments, Member
from hpcstem.campaign.reprocessing.faults import Fault, read_faults, read_note
from hpcstem.campaign.reprocessing.parquet import kinds_of, read_rows
from hpcstem.campaign.reprocessing.segments import Segment, SegmentsChunk, free_place, missing_ranges
from hpcstem.campaign.reprocessing.survey import Survey, surveys_and_faults
from hpcstem.errors import AtomTableError
from hpcstem.files import read_json
from hpcstem.frames import FrameRange


@dataclass(frozen=True)
class AtomsFile:
    """One file of atoms.

    Parameters
    ----------
    path
        The file.
    members
        What it holds.
    """

    path: Path
    members: tuple[Member, ...]


class Ledger:
    """State of a dataset: movies looked at, files of atoms, faults.

    Parameters
    ----------
    folder
        The dataset.
    config_sha256
        Hash of its settings.
    """

    def __init__(self, folder: Path, config_sha256: str) -> None:
        self.folder = folder
        self.config_sha256 = config_sha256
        self.surveys: dict[str, Survey] = {}
        self.faults: dict[tuple[str, int, int], Fault] = {}
        self.files: list[AtomsFile] = []
        self.read_notes: list[Path] = []
        self.refresh()

    @property
    def notes(self) -> Path:
        """Folder of what workers noted since the tables were written."""
        return self.folder / "ledger"

    @property
    def atoms(self) -> Path:
        """Folder of the files of atoms."""
        return self.folder / "atoms"

    def refresh(self) -> None:
        """Read the tables, and over them what workers noted since."""
        rows = read_rows(self.folder / "movies.parquet", kinds_of(Survey))
        self.surveys = {row["movie"]: Survey(**row) for row in rows}
        faults = {fault.key: fault for fault in read_faults(self.folder / "faults.parquet") if not fault.of_one_frame}
        # In the order of time, so that the last look at a movie is the one that counts.
        self.read_notes = sorted(self.notes.glob("*.json"), key=lambda path: (path.stat().st_mtime_ns, path.name))
        for path in self.read_notes:
            if path.name.startswith("survey-"):
                surveys, found = surveys_and_faults(read_json(path))
                for survey in surveys:
                    self.surveys[survey.movie] = survey
                    faults.pop((survey.movie, -1, -1), None)
            else:
                found = read_note(path)
            faults.update({fault.key: fault for fault in found})
        self.files = list(_read_files(self.atoms, self.config_sha256))
        self.faults = {key: fault for key, fault in faults.items() if self._holds(fault)}

    def _holds(self, fault: Fault) -> bool:
        """Whether a fault is about the movie as it is: about a movie that cannot be opened, or in its present state."""
        survey = self.surveys.get(fault.movie)
        return fault.start < 0 or (survey is not None and survey.file_mark == fault.file_mark)

    def sift(self) -> list[tuple[AtomsFile, tuple[Member, ...]]]:
        """Set aside what is of an older state of its movie, or there twice.

        Returns
        -------
        list of (AtomsFile, tuple of Member)
            Files that hold such members, and the members that they should hold.
        """
        taken: dict[str, list[tuple[int, int]]] = {}
        changes = []
        kept_files = []
        for file in self.files:
            kept = []
            for member in file.members:
                frames, held = (member.start, member.stop), taken.setdefault(member.movie, [])
                if self._of_now(member) and (place := free_place(frames, held)) is not None:
                    held.insert(place, frames)
                    kept.append(member)
            if not kept or len(kept) < len(file.members):
                changes.append((file, tuple(kept)))
            if kept:
                kept_files.append(AtomsFile(file.path, tuple(kept)))
        self.files = kept_files
        # Frames that have atoms by now are no longer at fault.
        self.faults = {
            key: fault
            for key, fault in self.faults.items()
            if fault.start < 0 or free_place((fault.start, fault.stop), taken.get(fault.movie, [])) is not None
        }
        return changes

    def _of_now(self, member: Member) -> bool:
        """Whether a member is of the movie as it is; so is one of a movie of which nothing is known."""
        survey = self.surveys.get(member.movie)
        origin = (member.file_sha256, member.pixel_size_A)
        return survey is None or (survey.file_sha256, survey.pixel_size_A) == origin

    def pending(self, movies: Iterable[str], retry_faults: bool) -> list[Segment]:
        """Frames of these movies that have no atoms, without those whose fault would only repeat itself."""
        done: dict[str, list[tuple[int, int]]] = {}
        for file in self.files:
            for member in file.members:
                done.setdefault(member.movie, []).append((member.start, member.stop))
        failed: dict[str, list[Fault]] = {}
        for fault in self.faults.values():
            if fault.start >= 0:
                failed.setdefault(fault.movie, []).append(fault)
        segments = []
        for movie in movies:
            survey = self.surveys.get(movie)
            if survey is None:
                continue
            faults = failed.get(movie, [])
            taken = [*done.get(movie, []), *((fault.start, fault.stop) for fault in faults)]
            segments += [Segment(survey, frames) for frames in missing_ranges(survey.n_frames, taken)]
            again = [fault for fault in faults if fault.passes or retry_faults]
            segments += [Segment(survey, FrameRange(f.start, f.stop), f.attempts + 1) for f in again]
        return sorted(segments, key=lambda segment: (segment.survey.path, segment.survey.movie, segment.frames))

    def broken(self, movies: Iterable[str]) -> list[SegmentsChunk]:
        """Files of atoms with broken frames of these movies, to be decoded once more in their place."""
        wanted = set(movies)
        chunks = []
        for file in self.files:
            known = all(member.movie in self.surveys for member in file.members)
            if known and any(member.faults and member.movie in wanted for member in file.members):
                segments = (
                    Segment(self.surveys[m.movie], FrameRange(m.start, m.stop), m.attempt + 1) for m in file.members
                )
                chunks.append(SegmentsChunk(tuple(segments), file.path))
        return chunks

    def all_faults(self) -> list[Fault]:
        """Faults of movies and of single frames, by movie and frame."""
        found = list(self.faults.values())
        for file in self.files:
            for member in file.members:
                survey = self.surveys.get(member.movie)
                mark = "" if survey is None else survey.file_mark
                found += [
                    Fault(member.movie, member.path, int(frame), int(frame) + 1, str(kind), "", member.attempt, mark)
                    for frame, kind in member.faults
                ]
        return sorted(found, key=lambda fault: (fault.path, *fault.key))


def _read_files(folder: Path, config_sha256: str) -> Iterator[AtomsFile]:
    """Files of atoms by name; one that is damaged or of other settings has no members."""
    for path in sorted(folder.glob("??/*.parquet")):
        members: tuple[Member, ...] = ()
        try:
            metadata = read_metadata(path)
            if metadata.get("config_sha256") == config_sha256:
                members = tuple(Member(**row) for row in metadata["members"])
        except AtomTableError as error:
            # A file system that does not answer is no reason to decode again.
            if isinstance(error.__cause__, OSError):
                raise
        yield AtomsFile(path, members)


def rewrite(file: AtomsFile, kept: Sequence[Member], analysis: DecodeSegments) -> None:
    """Leave the rows of some members in a file of atoms; remove the file where these are none."""
    if not kept:
        file.path.unlink()
        return
    table = AtomTable.read(file.path)
    parts = []
    for m in kept:
        rows = table[(table.movie == m.movie) & (table.frame >= m.start) & (table.frame < m.stop)]
        seen = table.metadata.get("frames", ())
        frames = [one for one in seen if one["movie"] == m.movie and m.start <= one["frame"] < m.stop]
        parts.append(replace(rows, metadata={"frames": frames}))
    analysis.write(file.path, list(kept), parts)
