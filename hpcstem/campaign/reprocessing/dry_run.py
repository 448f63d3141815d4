"""What a run would do, found out without doing or writing anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hpcstem.campaign.progress import progress_bar
from hpcstem.campaign.reprocessing.dataset import DatasetSettings, check_owner, describe
from hpcstem.campaign.reprocessing.faults import Fault
from hpcstem.campaign.reprocessing.ledger import Ledger
from hpcstem.campaign.reprocessing.manifest import movie_key
from hpcstem.campaign.reprocessing.segments import Segment, plan_segments
from hpcstem.campaign.reprocessing.survey import ToSurvey, file_mark, survey
from hpcstem.campaign.run import Run
from hpcstem.campaign.schema import MovieSection


@dataclass(frozen=True)
class DatasetPlan:
    """What is there and what is to do.

    Parameters
    ----------
    n_movies
        Movies asked for.
    n_frames
        Frames of those that can be opened.
    n_bytes
        Size of their files [byte].
    n_frames_to_do
        Frames without atoms.
    n_chunks
        Chunks that these make.
    unusable
        Path and reason of each movie that cannot be opened.
    """

    n_movies: int
    n_frames: int
    n_bytes: int
    n_frames_to_do: int
    n_chunks: int
    unusable: tuple[tuple[str, str], ...]


def plan_reprocessing(
    movies: Sequence[MovieSection], folder: Path, settings: DatasetSettings, retry_faults: bool = False
) -> DatasetPlan:
    """Say what `reprocess` would do: reads the headers of new movies, hashes none.

    Parameters
    ----------
    movies, folder, settings, retry_faults
        As for `reprocess`.

    Raises
    ------
    ModelError
        No such ensemble.
    HpcstemError
        The folder holds something else.
    """
    described = describe(settings)
    run = Run(folder)
    check_owner(run, described)
    ledger = Ledger(run.folder, described["config_sha256"])
    unusable = []
    with progress_bar("look", len(movies), "movie") as update:
        for number, movie in enumerate(movies, start=1):
            key = movie_key(movie)
            known = ledger.surveys.get(key)
            if known is None or known.file_mark != file_mark(movie):
                found = survey(ToSurvey(movie, 1, known), with_hash=False)
                ledger.surveys.pop(key, None)
                if isinstance(found, Fault):
                    unusable.append((found.path, found.reason))
                else:
                    ledger.surveys[key] = found
            update(number)
    keys = [movie_key(movie) for movie in movies]
    at_hand = [ledger.surveys[key] for key in keys if key in ledger.surveys]
    ledger.sift()
    to_do: list[Segment] = ledger.pending([one.movie for one in at_hand], retry_faults)
    chunks = plan_segments(to_do, int(settings.chunk_MB * 1e6))
    return DatasetPlan(
        n_movies=len(movies),
        n_frames=sum(one.n_frames for one in at_hand),
        n_bytes=sum(one.n_bytes for one in at_hand),
        n_frames_to_do=sum(len(segment.frames) for segment in to_do),
        n_chunks=len(chunks),
        unusable=tuple(unusable),
    )
