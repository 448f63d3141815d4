"""The tables of a dataset: movies, files of atoms, faults, and a summary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from hpcstem.atoms import read_metadata
from hpcstem.campaign.reprocessing.faults import Fault, write_faults
from hpcstem.campaign.reprocessing.ledger import Ledger
from hpcstem.campaign.reprocessing.parquet import kinds_of, write_rows
from hpcstem.campaign.reprocessing.survey import Survey
from hpcstem.files import write_json

_FRAME_COLUMNS: dict[str, type] = {"movie": str, "frame": int, "contamination_A2": float, "vacuum_A2": float}
_FRAME_COLUMNS |= {"n_obscured": int, "n_candidates": int}
_CANDIDATE_COLUMNS: dict[str, type] = {"movie": str, "frame": int, "x_A": float, "y_A": float, "extent_A": float}
_CANDIDATE_COLUMNS |= {"reason": str}
_FILE_COLUMNS = {"file": str, "movie": str} | dict.fromkeys(("start", "stop", "n_frames", "n_atoms", "attempts"), int)


@dataclass(frozen=True)
class Unlike:
    """A movie that is not of the kind that the ensemble was trained on.

    Parameters
    ----------
    movie, path
        Key of the movie, and its file.
    score
        As in `hpcstem.segmentation.reference.Likeness`, median over the frames looked at: above 1.
    because
        The statistics that are farthest off, one line.
    """

    movie: str
    path: str
    score: float
    because: str


@dataclass(frozen=True)
class DatasetSummary:
    """What a dataset holds after a run.

    Parameters
    ----------
    n_movies
        Movies that were asked for in this run.
    n_movies_done
        Those of them of which every frame is decoded.
    n_frames
        Frames of the movies of this run that could be opened.
    n_frames_done
        Those of them that are decoded.
    n_frames_done_now
        Frames decoded in this run.
    n_files
        Files of atoms in the dataset.
    n_atoms
        Atoms of the movies of this run per species.
    seconds
        Time taken.
    faults
        What has no atoms of the movies of this run, and why.
    unlike
        The movies of this run that are not like the training images.
    """

    n_movies: int
    n_movies_done: int
    n_frames: int
    n_frames_done: int
    n_frames_done_now: int
    n_files: int
    n_atoms: dict[str, int]
    seconds: float
    faults: tuple[Fault, ...]
    unlike: tuple[Unlike, ...]


def write_tables(ledger: Ledger, settings: dict[str, Any]) -> None:
    """Write the tables of movies, files, frames, candidates and faults, and remove the notes that are in them now."""
    notes = ledger.read_notes
    decoded, atoms, files = _per_movie(ledger)
    columns = {"model": settings["model"], "model_sha256": settings["model_sha256"]}
    columns |= {"config_sha256": settings["config_sha256"], "hpcstem": settings["hpcstem"]}
    scores = _scores(ledger)
    movies = [
        {
            **asdict(survey),
            "n_frames_done": decoded[key],
            "n_atoms": atoms[key],
            "score": score,
            "because": because,
            **columns,
        }
        for key, survey in sorted(ledger.surveys.items())
        for score, because in [scores.get(key, (None, None))]
    ]
    kinds = kinds_of(Survey) | {"n_frames_done": int, "n_atoms": int, "score": float, "because": str}
    kinds |= dict.fromkeys(columns, str)
    write_rows(ledger.folder / "movies.parquet", kinds, movies)
    write_rows(ledger.folder / "files.parquet", _FILE_COLUMNS, files)
    write_rows(ledger.folder / "frames.parquet", _FRAME_COLUMNS, _frames(ledger))
    write_rows(ledger.folder / "candidates.parquet", _CANDIDATE_COLUMNS, _candidates(ledger))
    write_faults(ledger.folder / "faults.parquet", ledger.all_faults())
    for path in notes:
        path.unlink()


def summarize(ledger: Ledger, movies: list[str], n_frames_done_now: int, seconds: float) -> DatasetSummary:
    """Count what the movies of a run have, and write `summary.json`."""
    decoded, _, _ = _per_movie(ledger)
    scores = _scores(ledger)
    asked = set(movies)
    surveys = [ledger.surveys[movie] for movie in movies if movie in ledger.surveys]
    known = asked & ledger.surveys.keys()
    n_atoms: Counter[str] = Counter()
    for file in ledger.files:
        for member in file.members:
            if member.movie in asked:
                n_atoms.update(member.n_atoms)
    faults = tuple(fault for fault in ledger.all_faults() if fault.movie in asked)
    at_fault = {fault.movie for fault in faults}
    summary = DatasetSummary(
        n_movies=len(movies),
        n_movies_done=sum(decoded[s.movie] == s.n_frames and s.movie not in at_fault for s in surveys),
        n_frames=sum(survey.n_frames for survey in surveys),
        n_frames_done=sum(decoded[survey.movie] for survey in surveys),
        n_frames_done_now=n_frames_done_now,
        n_files=len(ledger.files),
        n_atoms=dict(sorted(n_atoms.items())),
        seconds=seconds,
        faults=faults,
        unlike=tuple(
            Unlike(key, ledger.surveys[key].path, score, because)
            for key, (score, because) in sorted(scores.items())
            if score is not None and score > 1 and key in known
        ),
    )
    write_json(ledger.folder / "summary.json", asdict(summary))
    return summary


def _scores(ledger: Ledger) -> dict[str, tuple[float | None, str]]:
    """Median score of each movie that was compared with the training images, and why its farthest frame is so far."""
    from hpcstem.segmentation.reference import TOO_SMALL, Likeness

    found: dict[str, list[tuple[float, str]]] = {}
    for file in ledger.files:
        for member in file.members:
            if member.likeness is not None:
                one = Likeness(**member.likeness)
                told = found.setdefault(member.movie, [])
                told += [] if one.score is None else [(one.score, one.because)]
    return {
        movie: (median(score for score, _ in told), max(told)[1]) if told else (None, TOO_SMALL)
        for movie, told in found.items()
    }


def _frames(ledger: Ledger) -> Iterator[dict[str, Any]]:
    """Cover of each frame, and how much in it stands out."""
    for file in ledger.files:
        for frame in read_metadata(file.path).get("frames", ()):
            kept = {name: frame[name] for name in _FRAME_COLUMNS if name in frame}
            yield {**kept, "n_candidates": len(frame["candidates"])}


def _candidates(ledger: Ledger) -> Iterator[dict[str, Any]]:
    """Places for unknown species and defects."""
    for file in ledger.files:
        for frame in read_metadata(file.path).get("frames", ()):
            for candidate in frame["candidates"]:
                yield {"movie": frame["movie"], "frame": frame["frame"], **candidate}


def _per_movie(ledger: Ledger) -> tuple[Counter[str], Counter[str], list[dict[str, Any]]]:
    """Frames decoded and atoms per movie, and a row for each movie in each file."""
    decoded: Counter[str] = Counter()
    atoms: Counter[str] = Counter()
    rows = []
    for file in ledger.files:
        for member in file.members:
            n_atoms = sum(member.n_atoms.values())
            decoded[member.movie] += member.n_frames
            atoms[member.movie] += n_atoms
            rows.append(
                {
                    "file": str(file.path.relative_to(ledger.folder)),
                    "movie": member.movie,
                    "start": member.start,
                    "stop": member.stop,
                    "n_frames": member.n_frames,
                    "n_atoms": n_atoms,
                    "attempts": member.attempt,
                }
            )
    return decoded, atoms, rows
