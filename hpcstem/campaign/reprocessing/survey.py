"""The first look at each movie, by the workers: SHA-256, size, shape, metadata."""

from __future__ import annotations

import hashlib
import json
import stat
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hpcstem.campaign.reprocessing.faults import Cause, Fault
from hpcstem.campaign.reprocessing.manifest import movie_key
from hpcstem.campaign.schema import MovieSection
from hpcstem.errors import HpcstemError
from hpcstem.files import sha256, write_json
from hpcstem.frames import Movie, MovieMetadata, open_movie

GIVEN = ("pixel_size_A", "frame_time_s", "dwell_time_us", "beam_current_pA", "voltage_kV")
"""Metadata that a manifest can give."""


@dataclass(frozen=True)
class Survey:
    """What a movie's file is: a row of the table of movies.

    Parameters
    ----------
    movie
        Key of the movie, which the rows of atoms carry.
    path, dataset
        The file, and the dataset in it.
    file_sha256, n_bytes, mtime_ns
        Of the file; `mtime_ns` is its time of change [ns].
    file_mark
        Size, time of change and given metadata as one text: the survey holds as long as it is the same.
    n_frames, rows, columns, dtype
        Frames as the file announces them.
    format
        Suffix of the file.
    pixel_size_A, frame_time_s, dwell_time_us, beam_current_pA, voltage_kV
        As in `hpcstem.frames.MovieMetadata`.
    source
        Where these come from.
    """

    movie: str
    path: str
    dataset: str | None
    file_sha256: str
    n_bytes: int
    mtime_ns: int
    file_mark: str
    n_frames: int
    rows: int
    columns: int
    dtype: str
    format: str
    pixel_size_A: float
    frame_time_s: float | None
    dwell_time_us: float | None
    beam_current_pA: float | None
    voltage_kV: float | None
    source: str

    def open(self) -> Movie:
        """The movie, without a look at its file."""
        values = {name: getattr(self, name) for name in GIVEN}
        metadata = MovieMetadata(**values, source=self.source)
        shape = (self.rows, self.columns)
        return Movie(self.movie, Path(self.path), self.n_frames, shape, np.dtype(self.dtype), metadata, self.dataset)


def file_size_and_time(path: Path) -> tuple[int, int]:
    """Size [byte] and time of change [ns]; of a folder (a Zarr store), the sum and the latest of its files.

    Raises
    ------
    OSError
        It is not there, or cannot be looked at.
    """
    state = path.stat()
    if not stat.S_ISDIR(state.st_mode):
        return state.st_size, state.st_mtime_ns
    states = [file.stat() for file in path.rglob("*")] + [state]
    return sum(s.st_size for s in states if stat.S_ISREG(s.st_mode)), max(s.st_mtime_ns for s in states)


def file_mark(movie: MovieSection) -> str:
    """Size and time of change of a movie's file and the metadata given for it; empty where there is no file."""
    try:
        n_bytes, mtime_ns = file_size_and_time(movie.path)
    except OSError:
        return ""
    given = {name: getattr(movie, name) for name in GIVEN if getattr(movie, name) is not None}
    return f"{n_bytes} {mtime_ns} {json.dumps(given, sort_keys=True)}"


def opened(movie: MovieSection) -> Movie:
    """Open a movie under its key, with what the manifest gives.

    Raises
    ------
    MovieError
        It cannot be opened, or its pixel size is unknown.
    """
    given = {name: getattr(movie, name) for name in GIVEN}
    found = replace(open_movie(movie.path, dataset=movie.dataset, **given), name=movie_key(movie))
    found.require_pixel_size()
    return found


@dataclass(frozen=True)
class ToSurvey:
    """A movie to look at.

    Parameters
    ----------
    movie
        The movie.
    attempt
        1 at the first try.
    known
        An earlier survey; its SHA-256 holds where size and time of change are the same.
    """

    movie: MovieSection
    attempt: int
    known: Survey | None = None


@dataclass(frozen=True)
class SurveyMovies:
    """The analysis that looks at movies; a batch is a tuple of `ToSurvey`, and each is noted in a file.

    Parameters
    ----------
    folder
        Where the notes go.
    """

    folder: Path

    def process(self, batch: tuple[ToSurvey, ...]) -> int:
        """Look at the movies of a batch; return how many could be opened."""
        found = [survey(task) for task in batch]
        self._note(batch, found)
        return sum(isinstance(one, Survey) for one in found)

    def failed(self, batch: tuple[ToSurvey, ...], cause: HpcstemError) -> int:
        """Note movies whose workers died."""
        self._note(batch, [_fault(task, file_mark(task.movie), Cause.WORKER_DIED, cause) for task in batch])
        return 0

    def _note(self, batch: tuple[ToSurvey, ...], found: list[Survey | Fault]) -> None:
        name = hashlib.sha256("\n".join(sorted(movie_key(task.movie) for task in batch)).encode()).hexdigest()[:24]
        notes = {
            "surveys": [asdict(one) for one in found if isinstance(one, Survey)],
            "faults": [asdict(one) for one in found if isinstance(one, Fault)],
        }
        write_json(self.folder / f"survey-{name}.json", notes)

    def merge(self, left: int, right: int) -> int:
        """Add."""
        return left + right

    def finish(self, partial: int) -> int:
        """Return the sum."""
        return partial


def surveys_and_faults(notes: dict[str, list[dict[str, Any]]]) -> tuple[list[Survey], list[Fault]]:
    """What `SurveyMovies` noted."""
    return [Survey(**row) for row in notes["surveys"]], [Fault(**row) for row in notes["faults"]]


def survey(task: ToSurvey, with_hash: bool = True) -> Survey | Fault:
    """Look at one movie.

    Parameters
    ----------
    task
        The movie.
    with_hash
        Read the file in full for its SHA-256; otherwise that is empty unless it is known.
    """
    movie, path = task.movie, task.movie.path
    mark = file_mark(movie)
    if not mark:
        return _fault(task, mark, Cause.MISSING, f"{path} does not exist or cannot be looked at")
    try:
        n_bytes, mtime_ns = file_size_and_time(path)
        known = task.known
        found = opened(movie)
        if known is not None and (known.n_bytes, known.mtime_ns) == (n_bytes, mtime_ns):
            digest = known.file_sha256
        else:
            digest = sha256(path) if with_hash else ""
    except (HpcstemError, OSError) as error:
        return _fault(task, mark, Cause.CHANGED if file_mark(movie) != mark else Cause.UNREADABLE, error)
    except Exception as error:  # one file must not end the work on all others
        return _fault(task, mark, Cause.FAILED, f"{type(error).__name__}: {error}")
    if file_mark(movie) != mark:
        return _fault(task, mark, Cause.CHANGED, "the file changed while it was hashed")
    return Survey(
        movie=movie_key(movie),
        path=str(path),
        dataset=found.dataset,
        file_sha256=digest,
        n_bytes=n_bytes,
        mtime_ns=mtime_ns,
        file_mark=mark,
        n_frames=found.n_frames,
        rows=found.shape[0],
        columns=found.shape[1],
        dtype=found.dtype.str,
        format=path.suffix.casefold(),
        source=found.metadata.source,
        **{name: getattr(found.metadata, name) for name in GIVEN},
    )


def _fault(task: ToSurvey, mark: str, cause: Cause, reason: object) -> Fault:
    path = str(task.movie.path)
    return Fault(movie_key(task.movie), path, -1, -1, cause, str(reason), task.attempt, mark)
