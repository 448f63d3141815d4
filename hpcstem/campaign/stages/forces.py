"""Pair forces fitted to the motion of each movie: a part of the stage `potentials`."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hpcstem.campaign.progress import progress_bar
from hpcstem.campaign.run import Outputs, fingerprint
from hpcstem.campaign.stage import Job
from hpcstem.errors import StructureError
from hpcstem.files import write_json

if TYPE_CHECKING:
    from hpcstem.execution import Executor
    from hpcstem.frames import Movie
    from hpcstem.potentials.settings import FitSettings
    from hpcstem.potentials.study import Study


def fit_movies(job: Job, movies: Sequence[Movie], sides_A: Mapping[str, np.ndarray], executor: Executor) -> Outputs:
    """Fit pair potentials to the motion in each movie.

    Writes `potentials/fits.json`, and for each movie that can be fitted `potentials/fits/MOVIE`; tables for other
    programs only where a pair is identifiable. What was done of a fit when it was killed is kept beside, until all are
    done.

    Parameters
    ----------
    job
        The campaign.
    movies
        Its movies.
    sides_A
        Width and height of the frames of each by name [Å], each with shape (2,).
    executor
        Runs the sums.
    """
    from hpcstem.potentials.export import write_potential
    from hpcstem.potentials.results import summary, write_tables

    fits, checkpoints = job.run.path("potentials/fits"), job.run.path("potentials/checkpoints")
    shutil.rmtree(fits, ignore_errors=True)
    method = job.campaign.potentials.fit
    if method is None:
        job.run.remove_others("potentials/fits.json", [])
        return Outputs(())
    entries: list[dict[str, Any]] = []
    data, notes = [], []
    for movie in movies:
        study = _study(job, movie, sides_A[movie.name], executor, checkpoints)
        if isinstance(study, str):
            entries.append({"name": movie.name, "because": study, "fit": None})
            continue
        entries.append({"name": movie.name, "because": None, "fit": summary(study, method)})
        path = fits / movie.name / "potential.npz"
        write_potential(study.potential, path)
        data += [path, path.with_suffix(".json")]
        if study.verdict.identifiable:
            notes += write_tables(study.potential, path.parent)
    path = job.run.path("potentials/fits.json")
    write_json(path, {"movies": entries, "depth_meV": method.depth_meV})
    shutil.rmtree(checkpoints, ignore_errors=True)
    return Outputs((path, *data), tuple(notes))


def _study(job: Job, movie: Movie, sides_A: np.ndarray, executor: Executor, checkpoints: Path) -> Study | str:
    """What the motion says, or why it says nothing."""
    from hpcstem.potentials.settings import FitSettings
    from hpcstem.potentials.sources import open_trajectory
    from hpcstem.potentials.study import fit

    method, interval_s = job.campaign.potentials.fit, movie.metadata.frame_time_s
    if interval_s is None:
        return "frame time; got none; wanted `frame_time_s:` under the movie"
    width_A, height_A = sides_A.tolist()
    settings = FitSettings(
        interval_s=interval_s, window_A=(0.0, 0.0, width_A, height_A), seed=job.campaign.seed, **dict(method or {})
    )
    path = job.run.path(f"structure/atoms/{movie.name}.parquet")

    def run(analysis: Any, batches: Sequence[Any]) -> Any:
        with progress_bar(f"fit {movie.name}", len(batches), "block") as update:
            return executor.run(analysis, batches, on_batch=update)

    try:
        source = open_trajectory(path, settings.species, settings.window_A, settings.cutoff_A)
        return fit(run, source, settings, checkpoints / _mark(settings, path))
    except StructureError as error:
        return str(error)


def _mark(settings: FitSettings, atoms: Path) -> str:
    """Name of a folder of partial sums, another for other settings and for other atoms."""
    state = atoms.stat()
    return fingerprint(settings.model_dump(mode="json"), {str(atoms): [state.st_size, state.st_mtime_ns]})
