"""The YAML file of a study of latent structure."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from hpcstem.config import Section, checked, read_yaml
from hpcstem.errors import ConfigError
from hpcstem.latent.settings import AutoencoderConfig, RotationalConfig, TrainingConfig
from hpcstem.latent.unmixing import Method

_Positive = Annotated[float, Field(gt=0)]
_Count = Annotated[int, Field(ge=1)]


class SimulateConfig(Section):
    """A movie of two grains of graphene; see `hpcstem.latent.simulated.simulate_grains`.

    Parameters
    ----------
    n_frames, n_pixels, pixel_size_A
        Frames, their rows and columns, and their pixel size [Å].
    grains_deg
        Counter-clockwise angle, as shown, from x to a zigzag direction of the grain on the left, and on the right.
    n_silicon, hole_radius_A, events_per_frame
        Silicon at the start, radius of the hole [Å], and mean number of changes between frames.
    electrons_per_carbon
        Detected electrons per carbon atom and frame.
    source_sigma_A, thermal_A
        Standard deviation of the source, and of each atom's position, per axis [Å].
    """

    n_frames: _Count
    n_pixels: Annotated[int, Field(ge=64, le=4096)]
    pixel_size_A: _Positive = 0.12
    grains_deg: tuple[float, float]
    n_silicon: Annotated[int, Field(ge=0)] = 3
    hole_radius_A: Annotated[float, Field(ge=0)] = 6.0
    events_per_frame: Annotated[float, Field(ge=0)] = 6.0
    electrons_per_carbon: _Positive = 400.0
    source_sigma_A: _Positive = 0.28
    thermal_A: Annotated[float, Field(ge=0)] = 0.05


class MovieConfig(Section):
    """A decoded movie.

    Parameters
    ----------
    frames
        File of its frames.
    atoms
        Parquet file or folder of its atoms.
    """

    frames: Path
    atoms: Path


class WindowConfig(Section):
    """Size of sub-images.

    Parameters
    ----------
    half_width_A
        Half the width [Å].
    n_pixels
        Side [px], a multiple of 4.
    """

    half_width_A: _Positive
    n_pixels: Annotated[int, Field(ge=8, le=128, multiple_of=4)]


class UnmixConfig(Section):
    """Linear unmixing.

    Parameters
    ----------
    methods
        Any of `gmm`, `pca`, `ica`, `nmf`.
    n_components
        Components of each.
    """

    methods: tuple[Method, ...] = ("gmm",)
    n_components: Annotated[int, Field(ge=1, le=100)] = 8


class StudyConfig(Section):
    """A study of latent structure, of a simulated movie or of decoded ones.

    Parameters
    ----------
    name
        Name of the study.
    seed
        Fixes everything that is drawn.
    simulate
        Movie to simulate.
    movies
        Movies that were decoded, paths relative to the file of the study.
    source
        What sub-images are cut from: `frames`, or `maps` of the probability that there is an atom.
    ensemble
        Networks for the maps, by name or path.
    windows
        Sizes of sub-images; each is studied by itself.
    unmix
        Linear unmixing.
    autoencoder, autoencoder_training
        The convolutional autoencoder.
    rotational, training
        The rotational one.
    n_mixture
        Components of the mixtures in the latents' spaces.
    n_shown
        Frames whose atoms are drawn with their latents, evenly spaced.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    seed: Annotated[int, Field(ge=0)]
    simulate: SimulateConfig | None = None
    movies: tuple[MovieConfig, ...] = ()
    source: Literal["frames", "maps"] = "maps"
    ensemble: str = "graphene-si"
    windows: Annotated[tuple[WindowConfig, ...], Field(min_length=1)]
    unmix: UnmixConfig = UnmixConfig()
    autoencoder: AutoencoderConfig = AutoencoderConfig()
    autoencoder_training: TrainingConfig = TrainingConfig(learning_rate=1e-3)
    rotational: RotationalConfig = RotationalConfig()
    training: TrainingConfig = TrainingConfig()
    n_mixture: Annotated[int, Field(ge=1, le=50)] = 4
    n_shown: Annotated[int, Field(ge=1, le=12)] = 3

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        if (self.simulate is None) == (not self.movies):
            raise ValueError("wanted either `simulate:` or `movies:`")
        if len({window.half_width_A for window in self.windows}) < len(self.windows):
            raise ValueError("windows of equal half width, wanted different ones")
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
        movies.append(MovieConfig(frames=(folder / movie.frames).resolve(), atoms=(folder / movie.atoms).resolve()))
        for file in (movies[-1].frames, movies[-1].atoms):
            if not file.exists():
                raise ConfigError(
                    f"{path}: movies", f"{file}, which does not exist", "frames, and atoms decoded in them"
                )
    return config.model_copy(update={"movies": tuple(movies)})
