"""Stage `frames`: open the movies, look at every frame, say what is known of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpcstem.campaign.run import Outputs
from hpcstem.campaign.schema import Campaign, MovieSection, movie_name
from hpcstem.campaign.stage import Job, Stage
from hpcstem.files import write_json

if TYPE_CHECKING:
    from hpcstem.frames import Movie

_METADATA_KEYS = ("pixel_size_A", "frame_time_s", "dwell_time_us", "beam_current_pA", "voltage_kV")


def settings(campaign: Campaign) -> Any:
    """The movies as they are to be read."""
    return [m.model_dump(mode="json") for m in campaign.movies]


def inputs(job: Job) -> dict[str, str]:
    """Digests of the movies."""
    return {str(m.path): job.digests.of(m.path) for m in job.campaign.movies}


def movie_paths(job: Job) -> dict[str, Path]:
    """Files of the campaign's movies by name; a simulated one is in the run directory."""
    simulated = job.campaign.simulate
    if simulated is not None:
        return {simulated.name: job.run.path(f"movies/{simulated.name}.h5")}
    return {movie_name(m): m.path for m in job.campaign.movies}


def open_movies(job: Job) -> list[Movie]:
    """Movies of the campaign under the names of the campaign; a simulated one from the run directory."""
    from dataclasses import replace

    from hpcstem.frames import open_movie

    if job.campaign.simulate is not None:
        return [open_movie(path) for path in movie_paths(job).values()]
    return [
        replace(open_movie(m.path, dataset=m.dataset, **_overrides(m)), name=movie_name(m)) for m in job.campaign.movies
    ]


def work(job: Job) -> Outputs:
    """Write `frames/frames.json`."""
    from hpcstem.errors import MovieError
    from hpcstem.frames import accumulated_dose, dose_per_frame

    described = []
    for movie in open_movies(job):
        movie.require_pixel_size()
        entry: dict[str, Any] = {
            "name": movie.name,
            "path": str(movie.path),
            "sha256": job.digests.of(movie.path),
            "n_frames": movie.n_frames,
            "shape": list(movie.shape),
            **{key: getattr(movie.metadata, key) for key in _METADATA_KEYS},
            "source": movie.metadata.source,
        }
        try:
            entry["dose_e_per_A2_per_frame"] = dose_per_frame(movie)
            entry["accumulated_dose_e_per_A2"] = accumulated_dose(movie).tolist()
            entry["dose_unknown_because"] = None
        except MovieError as error:
            entry["dose_e_per_A2_per_frame"] = entry["accumulated_dose_e_per_A2"] = None
            entry["dose_unknown_because"] = str(error)
        described.append(entry)
    path = job.run.path("frames/frames.json")
    write_json(path, {"movies": described})
    return Outputs((path,))


def _overrides(movie: MovieSection) -> dict[str, float | None]:
    return {key: getattr(movie, key) for key in _METADATA_KEYS}


STAGE = Stage("frames", "open the movies; metadata, dose", ("simulate",), settings, work, inputs)
