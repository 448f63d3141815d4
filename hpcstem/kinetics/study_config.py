"""The YAML file of a study of defect kinetics."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from hpcstem.config import Section, checked, read_yaml
from hpcstem.errors import ConfigError, HpcstemError
from hpcstem.kinetics.observation import ObserveConfig
from hpcstem.kinetics.simulated_defects import CLASSES, DefectMovie, checked_matrix

_Positive = Annotated[float, Field(gt=0)]
_Share = Annotated[float, Field(ge=0, le=1)]
_Count = Annotated[int, Field(ge=1)]


class SimulateConfig(Section):
    """Movies of known truth; see `hpcstem.kinetics.simulated_defects.DefectMovie`.

    Parameters
    ----------
    n_movies
        Movies.
    n_frames, field_A, n_defects, hop, missing, noise_A, drift_A_per_frame
        Of each movie.
    matrix
        Probability of class j in the frame after class i; rows and columns are silicon on four neighbours, double
        vacancy 5-8-5, and Stone-Wales 5-7-7-5.
    """

    n_movies: _Count
    n_frames: Annotated[int, Field(ge=3)]
    field_A: Annotated[float, Field(ge=30, le=2000)]
    n_defects: _Count
    hop: _Share
    missing: _Share
    noise_A: Annotated[float, Field(ge=0, le=0.3)]
    drift_A_per_frame: tuple[float, float] = (0.0, 0.0)
    matrix: tuple[tuple[float, ...], ...]

    @model_validator(mode="after")
    def _has_a_row_for_each_class(self) -> Self:
        try:
            shape = checked_matrix(self.matrix).shape  # type: ignore[arg-type]
        except HpcstemError as error:
            raise ValueError(str(error)) from error
        if shape[0] != len(CLASSES):
            raise ValueError(f"matrix has {shape[0]} rows, wanted {len(CLASSES)}: one for each of {', '.join(CLASSES)}")
        return self

    @property
    def movie(self) -> DefectMovie:
        """Recipe of one movie."""
        return DefectMovie(
            self.n_frames,
            self.field_A,
            self.n_defects,
            self.hop,
            self.missing,
            self.noise_A,
            self.drift_A_per_frame,
        )


class MovieConfig(Section):
    """A decoded movie.

    Parameters
    ----------
    atoms
        Parquet file or folder of its atoms.
    frames
        File of its frames, for the mean images of the library and the edges of the field; without it there are no
        images, and only the rim of the sheet counts as edge.
    dataset
        Which dataset of that file, where it holds several.
    frame_time_s
        Time from one frame to the next [s], where it is not that of the study.
    """

    atoms: Path
    frames: Path | None = None
    dataset: str | None = None
    frame_time_s: _Positive | None = None


class KineticsMethod(Section):
    """How defects become classes, transitions, lifetimes and a library.

    Parameters
    ----------
    image_half_width_A
        Half the width of the mean images of the library [Å].
    observe
        How defects are found and followed.
    min_count
        Sightings from which on a class is a state of its own; the rest are one state, `other`.
    absorbing
        Names of classes that are never left by definition.
    lags
        Lags at which transitions are counted [frames], the first the one of the results.
    tolerance_A
        Largest root-mean-square distance of the atoms of two defects that are one entry of the library [Å].
    """

    image_half_width_A: _Positive = 6.0
    observe: ObserveConfig = ObserveConfig()
    min_count: _Count = 10
    absorbing: tuple[str, ...] = ()
    lags: Annotated[tuple[_Count, ...], Field(min_length=1)] = (1, 2, 3, 4)
    tolerance_A: _Positive = 0.4

    @model_validator(mode="after")
    def _has_lags_of_the_first(self) -> Self:
        if any(lag % self.lags[0] for lag in self.lags) or len(set(self.lags)) < len(self.lags):
            raise ValueError(f"lags {self.lags}, wanted different multiples of the first")
        return self


class StudyConfig(KineticsMethod):
    """A study of defect kinetics, of simulated movies or of decoded ones.

    Parameters
    ----------
    name
        Name of the study.
    seed
        Fixes everything that is drawn.
    frame_time_s
        Time from one frame to the next [s]; a movie may have another.
    simulate
        Movies to simulate.
    movies
        Movies that were decoded, paths relative to the file of the study.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$")]
    seed: Annotated[int, Field(ge=0)]
    frame_time_s: _Positive
    simulate: SimulateConfig | None = None
    movies: tuple[MovieConfig, ...] = ()

    @property
    def n_movies(self) -> int:
        """Number of movies."""
        return len(self.movies) if self.simulate is None else self.simulate.n_movies

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        if (self.simulate is None) == (not self.movies):
            raise ValueError("wanted either `simulate:` or `movies:`")
        return self


def load_study(path: Path) -> StudyConfig:
    """Read a study; paths in it become absolute.

    Raises
    ------
    ConfigError
        It cannot be read, has an unknown key, or a value that cannot be used.
    """
    config = checked(StudyConfig, read_yaml(path), str(path))
    folder = Path(path).resolve().parent
    movies = []
    for movie in config.movies:
        frames = None if movie.frames is None else (folder / movie.frames).resolve()
        movies.append(movie.model_copy(update={"atoms": (folder / movie.atoms).resolve(), "frames": frames}))
        for file in (movies[-1].atoms, frames):
            if file is not None and not file.exists():
                raise ConfigError(f"{path}: movies", f"{file}, which does not exist", "atoms decoded by hpcstem")
    return config.model_copy(update={"movies": tuple(movies)})
