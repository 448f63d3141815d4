"""One dataset from many movies: what is missing is decoded, what fails is listed, the rest is left as it is."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hpcstem.campaign.conduct import refuse_ranks
from hpcstem.campaign.progress import progress_bar
from hpcstem.campaign.reprocessing.dataset import SETTINGS_FILE, DatasetSettings, check_owner, describe
from hpcstem.campaign.reprocessing.decoding import DecodeSegments
from hpcstem.campaign.reprocessing.ledger import Ledger, rewrite
from hpcstem.campaign.reprocessing.manifest import movie_key
from hpcstem.campaign.reprocessing.segments import chunk_of, plan_segments
from hpcstem.campaign.reprocessing.survey import SurveyMovies, ToSurvey, file_mark
from hpcstem.campaign.reprocessing.tables import DatasetSummary, summarize, write_tables
from hpcstem.campaign.run import Run
from hpcstem.campaign.schema import MovieSection
from hpcstem.execution import Executor, load_site, make_executor
from hpcstem.files import write_json

_SURVEY_BYTES = 1e9
_SURVEY_MOVIES = 32


def reprocess(
    movies: Sequence[MovieSection],
    folder: Path,
    settings: DatasetSettings,
    *,
    site: str = "local",
    workers: int | None = None,
    retry_faults: bool = False,
) -> DatasetSummary:
    """Decode movies into one dataset; run again, only what is missing or has changed.

    Parameters
    ----------
    movies
        Which; see `hpcstem.campaign.reprocessing.manifest`.
    folder
        The dataset; made if absent. Movies of earlier runs stay in it.
    settings
        How; the model and `refine` must be those that the dataset has.
    site, workers
        Where, as in `hpcstem.campaign.run_campaign`.
    retry_faults
        Try again what failed for a reason that lies in the movie.

    Raises
    ------
    ConfigError
        No such site.
    ModelError
        No such ensemble, or what is kept beside it is of another one.
    HpcstemError
        The folder holds something else, cannot be written, or another process works in it.
    """
    started = time.monotonic()
    load_site(site)
    refuse_ranks()
    from hpcstem.segmentation.ensemble import Ensemble, find_ensemble
    from hpcstem.segmentation.reference import load_reference

    described = describe(settings)
    load_reference(find_ensemble(settings.model), Ensemble.load(settings.model))  # of another ensemble, it is refused
    run = Run(folder)
    analysis = DecodeSegments(
        find_ensemble(settings.model).resolve(),
        described["model_sha256"],
        settings.refine,
        described["config_sha256"],
        run.path("ledger"),
    )
    check_owner(run, described)
    with run.locked():
        check_owner(run, described)
        write_json(run.path(SETTINGS_FILE), described)
        for left in (*run.folder.glob("atoms/??/.*.tmp"), *run.folder.glob("ledger/.*.tmp")):
            left.unlink()
        ledger = Ledger(run.folder, analysis.config_sha256)
        executor = _Lazy(site, workers)
        try:
            with executor:
                _survey(ledger, movies, executor, retry_faults)
                n_frames = _decode(ledger, movies, executor, analysis, settings, retry_faults)
        except KeyboardInterrupt:
            _settle(ledger, analysis, described)
            raise
        _settle(ledger, analysis, described)
        return summarize(ledger, [movie_key(movie) for movie in movies], n_frames, time.monotonic() - started)


class _Lazy:
    """The executor of a site, started when there is something to do."""

    def __init__(self, site: str, workers: int | None) -> None:
        self._site, self._workers = site, workers
        self._executor: Executor | None = None

    def __enter__(self) -> _Lazy:
        return self

    def __exit__(self, *error: object) -> None:
        if self._executor is not None:
            self._executor.close()

    def run(self, analysis: Any, batches: Sequence[Any], task: str, unit: str) -> Any:
        """Run an analysis with a progress bar."""
        if self._executor is None:
            self._executor = make_executor(load_site(self._site), self._workers)
        with progress_bar(task, len(batches), unit) as update:
            return self._executor.run(analysis, batches, on_batch=update)


def _survey(ledger: Ledger, movies: Sequence[MovieSection], executor: _Lazy, retry_faults: bool) -> None:
    """Look at the movies that are new, have changed, or are worth another try."""
    tasks = _to_survey(ledger, movies, retry_faults)
    if not tasks:
        return
    batches: list[tuple[ToSurvey, ...]] = []
    batch: list[ToSurvey] = []
    size = 0.0
    for task in tasks:
        n_bytes = float((file_mark(task.movie) or "0").split()[0])
        # What failed before may have brought down its neighbours: it is tried alone.
        apart = task.attempt > 1 or (batch and batch[0].attempt > 1)
        if batch and (apart or size + n_bytes > _SURVEY_BYTES or len(batch) == _SURVEY_MOVIES):
            batches.append(tuple(batch))
            batch, size = [], 0.0
        batch.append(task)
        size += n_bytes
    batches.append(tuple(batch))
    executor.run(SurveyMovies(ledger.notes), batches, "survey", "batch")
    ledger.refresh()


def _to_survey(ledger: Ledger, movies: Sequence[MovieSection], retry_faults: bool) -> list[ToSurvey]:
    """Movies whose survey is missing or of another state of the file."""
    tasks = []
    for movie in movies:
        key, mark = movie_key(movie), file_mark(movie)
        survey, fault = ledger.surveys.get(key), ledger.faults.get((key, -1, -1))
        if fault is None and survey is not None and survey.file_mark == mark:
            continue
        if fault is not None and fault.file_mark == mark and not (fault.passes or retry_faults):
            continue
        tasks.append(ToSurvey(movie, 1 if fault is None else fault.attempts + 1, survey))
    return tasks


def _decode(
    ledger: Ledger,
    movies: Sequence[MovieSection],
    executor: _Lazy,
    analysis: DecodeSegments,
    settings: DatasetSettings,
    retry_faults: bool,
) -> int:
    """Decode what is missing; return the number of frames."""
    _clean(ledger, analysis)
    at_hand = [movie_key(movie) for movie in movies if (movie_key(movie), -1, -1) not in ledger.faults]
    groups = plan_segments(ledger.pending(at_hand, retry_faults), int(settings.chunk_MB * 1e6))
    chunks = [chunk_of(group, ledger.atoms, analysis.config_sha256) for group in groups]
    if retry_faults:
        chunks += ledger.broken(at_hand)
    if not chunks:
        return 0
    n_frames: int = executor.run(analysis, chunks, "decode", "chunk").n_frames
    return n_frames


def _settle(ledger: Ledger, analysis: DecodeSegments, described: dict[str, Any]) -> None:
    """Bring the tables up to what is on disk."""
    ledger.refresh()
    _clean(ledger, analysis)
    write_tables(ledger, described)


def _clean(ledger: Ledger, analysis: DecodeSegments) -> None:
    """Take out of the files of atoms what is of an older state of its movie, or there twice."""
    for file, kept in ledger.sift():
        rewrite(file, kept, analysis)
