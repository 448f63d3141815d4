"""Stage `kinetics`: classes of defects, their transitions, lifetimes and diffusion, from all movies of the run."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

from hpcstem.campaign.progress import progress_bar
from hpcstem.campaign.run import Outputs, fingerprint
from hpcstem.campaign.schema import Campaign
from hpcstem.campaign.stage import Job, Stage
from hpcstem.campaign.stages.frames import open_movies
from hpcstem.errors import HpcstemError, StructureError
from hpcstem.files import read_json, write_json

if TYPE_CHECKING:
    from hpcstem.kinetics.study_config import StudyConfig

NEEDS = ("frames", "structure")


def settings(campaign: Campaign) -> Any:
    """The `kinetics` section and the seed; None leaves the stage out."""
    if campaign.kinetics is None:
        return None
    return {"kinetics": campaign.kinetics.model_dump(mode="json"), "seed": campaign.seed}


def work(job: Job) -> Outputs:
    """Write a study of defect kinetics to `kinetics`, or to `kinetics/kinetics.json` why there is none."""
    from hpcstem.kinetics.results import write_results
    from hpcstem.kinetics.study import analyse, observe_movies

    folder = job.run.path("kinetics")
    summary = folder / "kinetics.json"
    config = _study(job)
    if isinstance(config, str):
        shutil.rmtree(folder, ignore_errors=True)
        write_json(summary, {"because": config})
        return Outputs((summary,))
    _forget_others(job, config)
    try:
        with (
            job.make_executor() as executor,
            progress_bar("observe", config.n_movies, "movie") as update,
        ):
            found = observe_movies(config, folder, lambda analysis, batches: executor.run(analysis, batches, update))
        result = analyse(config, found)
    except HpcstemError as error:
        # Of another type it is no matter of the atoms: a worker that died, a movie that cannot be read.
        if type(error) not in (HpcstemError, StructureError):
            raise
        write_json(summary, {"because": str(error)})
        return Outputs((summary,))
    write_results(folder, config, result)
    seen = [folder / "study.json", *sorted((folder / "movies").glob("*.npz"))]
    # The library is not recorded: `hpcstem kinetics energies` adds to it later.
    return Outputs((summary, folder / "matrices.npz"), tuple(seen))


def _study(job: Job) -> StudyConfig | str:
    """The study of all movies of the run, or why there can be none."""
    from hpcstem.kinetics.study_config import MovieConfig, StudyConfig

    section = job.campaign.kinetics
    assert section is not None  # noqa: S101 - a stage without settings does not run
    movies = open_movies(job)
    times_s = {movie.name: movie.metadata.frame_time_s for movie in movies}
    unknown = [name for name, time_s in times_s.items() if time_s is None]
    if unknown:
        return f"frame time of {unknown[0]}; got none; wanted `frame_time_s:` under the movie"
    return StudyConfig(
        name=job.campaign.name,
        seed=job.campaign.seed,
        frame_time_s=next(iter(times_s.values())),
        movies=tuple(
            MovieConfig(
                atoms=job.run.path(f"structure/atoms/{movie.name}.parquet"),
                frames=movie.path,
                dataset=movie.dataset,
                frame_time_s=times_s[movie.name],
            )
            for movie in movies
        ),
        **dict(section),
    )


def _forget_others(job: Job, config: StudyConfig) -> None:
    """Remove what is there unless it was seen in the same atoms and frames, with the same settings."""
    folder = job.run.path("kinetics")
    inputs = {name: digest for stage in NEEDS for name, digest in job.run.data_digests(stage).items()}
    mark = {"made_from": fingerprint(config.model_dump(mode="json"), inputs)}
    path = folder / "made-from.json"
    if path.exists() and read_json(path) == mark:
        return
    shutil.rmtree(folder, ignore_errors=True)
    write_json(path, mark)


STAGE = Stage("kinetics", "classes of defects, transitions, lifetimes, diffusion", NEEDS, settings, work)
