"""The campaign: one YAML file from movie to report, checked before anything runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from hpcstem.config import Section, checked, read_yaml
from hpcstem.kinetics.study_config import KineticsMethod
from hpcstem.potentials.settings import FitMethod
from hpcstem.segmentation.training_config import TrainingConfig
from hpcstem.simulation.engine_settings import EngineSettings, XtbSettings

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,99}")
_Side = Annotated[int, Field(ge=64, le=16384)]
_Temperature = Annotated[float, Field(gt=0)]


class MovieSection(Section):
    """One movie to read. Metadata given here wins over the file's.

    Attributes
    ----------
    path
        The file; relative to the campaign file.
    name
        What its results are called; the file's name without ending by default.
    dataset
        Which dataset, where the file holds several.
    """

    path: Path
    name: str | None = None
    dataset: str | None = None
    pixel_size_A: float | None = Field(None, gt=0)
    frame_time_s: float | None = Field(None, gt=0)
    dwell_time_us: float | None = Field(None, gt=0)
    beam_current_pA: float | None = Field(None, gt=0)
    voltage_kV: float | None = Field(None, gt=0)

    @field_validator("name")
    @classmethod
    def _plain_name(cls, value: str | None) -> str | None:
        return None if value is None else plain_name(value)


class SimulatedMovieSection(Section):
    """A movie of known truth: a sheet of graphene with silicon that a beam changes frame by frame.

    Attributes
    ----------
    shape
        Rows and columns.
    electrons_per_carbon
        Detected electrons per carbon atom and frame; with the detector's cross-section it gives the dose.
    n_silicon
        Silicon atoms in the field.
    hole_radius_A
        Radius of a hole [Å], at most a third of the shorter side; none at 0.
    events_per_frame
        Mean number of changes between frames: a silicon atom hops, an atom is knocked out, a bond turns.
    thermal_A
        Random displacement of each atom in each frame, per axis [Å].
    drift_A_per_frame
        Drift of the specimen (x, y) [Å].
    """

    name: str = "simulated"
    n_frames: int = Field(8, ge=1, le=10_000)
    shape: tuple[_Side, _Side] = (448, 448)
    pixel_size_A: float = Field(0.1, gt=0.01, lt=1)
    voltage_kV: float = Field(60.0, gt=0)
    convergence_mrad: float = Field(31.0, gt=0)
    source_sigma_A: float = Field(0.28, gt=0)
    electrons_per_carbon: float = Field(400.0, gt=0)
    background: float = Field(0.6, ge=0)
    contamination: float = Field(0.0, ge=0)
    row_jitter_A: float = Field(0.03, ge=0)
    frame_time_s: float = Field(8.0, gt=0)
    n_silicon: int = Field(3, ge=0)
    hole_radius_A: float = Field(4.0, ge=0)
    events_per_frame: float = Field(1.0, ge=0)
    thermal_A: float = Field(0.03, ge=0)
    drift_A_per_frame: tuple[float, float] = (0.15, -0.1)

    @field_validator("name")
    @classmethod
    def _plain_name(cls, value: str) -> str:
        return plain_name(value)

    @model_validator(mode="after")
    def _hole_leaves_a_sheet(self) -> Self:
        largest_A = min(self.shape) * self.pixel_size_A / 3
        if self.hole_radius_A > largest_A:
            raise ValueError(f"hole_radius_A of at most {largest_A:.3g}, a third of the shorter side of the field")
        return self


class FramesSection(Section):
    """How frames are taken in.

    Attributes
    ----------
    bad_frames
        'skip' leaves truncated, empty and non-finite frames out and lists them; 'refuse' stops.
    calibrate
        Set the pixel size from the first C–C peak.
    """

    bad_frames: Literal["skip", "refuse"] = "skip"
    calibrate: bool = True


class DecodeSection(Section):
    """Which ensemble decodes, and in which portions.

    Attributes
    ----------
    model
        Name of an ensemble that ships with the package, or the path of a folder, with a '/' in it; relative to the
        campaign file.
    refine
        Fit the positions to the frames; otherwise they are the networks' own.
    members
        'all' members of the ensemble vote, or for each movie those 'agreeing' with the others on sample frames of it.
    chunk_MB
        Frame data per chunk [MB]; each chunk is one file of atoms.
    """

    model: str = "graphene-si"
    refine: bool = True
    members: Literal["all", "agreeing"] = "all"
    chunk_MB: float = Field(8.0, gt=0)


class StructureSection(Section):
    """From atoms to structures.

    Attributes
    ----------
    link_gate_A
        Largest step of an atom between frames, after drift [Å].
    region_size_A
        Width of the square region for simulation [Å].
    region_by
        'certainty' takes the most certain square; 'defect' the most certain one that holds a defect.
    vacuum_A
        Empty space on each side of the cell [Å].
    """

    link_gate_A: float = Field(0.65, gt=0)
    region_size_A: float = Field(12.0, gt=4)
    region_by: Literal["certainty", "defect"] = "defect"
    vacuum_A: float = Field(8.0, gt=2)


class PotentialsSection(Section):
    """Radial distributions, potentials of mean force, and pair forces fitted to the motion of each movie.

    Attributes
    ----------
    fit
        How forces are fitted; None leaves the fit out.
    """

    cutoff_A: float = Field(8.0, gt=2)
    bin_A: float = Field(0.05, gt=0.001)
    fit: FitMethod | None = FitMethod()


class SimulationSection(Section):
    """Relaxation of the region's cell, then molecular dynamics from it.

    Attributes
    ----------
    engine
        What gives energies and forces: a name, or settings with their `name:`.
    force_tolerance_eV_A
        Largest force left on an atom [eV/Å].
    temperatures_K
        One NVT run each [K], all different.
    n_steps, timestep_fs
        Length of each run.
    workers
        FireWorks workers at once.
    database
        URI of a MongoDB, without a password; 'environment' takes the URI from the variable HPCSTEM_DATABASE_URI,
        where it may have one; an embedded database in the run directory by default.
    """

    engine: EngineSettings = XtbSettings()
    force_tolerance_eV_A: float = Field(0.05, gt=0)
    temperatures_K: tuple[_Temperature, ...] = (300.0, 900.0)
    n_steps: int = Field(40, ge=1)
    timestep_fs: float = Field(1.0, gt=0, le=10)
    workers: int = Field(2, ge=1)
    database: str | None = None

    @field_validator("database")
    @classmethod
    def _no_password(cls, value: str | None) -> str | None:
        # The campaign is kept in the run directory and shown in the report.
        if value is not None and value != "environment" and urlsplit(value).password is not None:
            raise ValueError("a password; write `database: environment` and set HPCSTEM_DATABASE_URI")
        return value

    @field_validator("temperatures_K")
    @classmethod
    def _different(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        # Each names a file by its first six digits.
        if len({f"{temperature_K:g}" for temperature_K in value}) < len(value):
            raise ValueError("two temperatures are the same")
        return value


class Campaign(Section):
    """The whole file.

    Attributes
    ----------
    name
        What the run is called.
    seed
        Gives every random stream.
    site
        Name of a site configuration, or the path of one that ends in .yaml; relative to the campaign file.
    movies, simulate
        Movies to read, or one to simulate: exactly one of the two.
    training
        A small ensemble to train beside, to see the step; none by default.
    kinetics
        None leaves the kinetics of defects out.
    simulation
        None leaves the simulations out.
    """

    name: str
    seed: int = Field(0, ge=0, lt=2**63)
    site: str = "local"
    movies: tuple[MovieSection, ...] = ()
    simulate: SimulatedMovieSection | None = None
    frames: FramesSection = FramesSection()
    training: TrainingConfig | None = None
    decode: DecodeSection = DecodeSection()
    structure: StructureSection = StructureSection()
    kinetics: KineticsMethod | None = None
    potentials: PotentialsSection = PotentialsSection()
    simulation: SimulationSection | None = None

    @field_validator("name")
    @classmethod
    def _plain_name(cls, value: str) -> str:
        return plain_name(value)

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if bool(self.movies) == (self.simulate is not None):
            raise ValueError("give either `movies:` or `simulate:`")
        names = [movie_name(m) for m in self.movies]
        repeated = sorted({n for n in names if names.count(n) > 1})
        if repeated:
            raise ValueError(f"movies named alike: {', '.join(repeated)}; give each its own `name:`")
        return self


def movie_name(movie: MovieSection) -> str:
    """Name under which the results of a movie are kept."""
    return movie.name or re.sub(r"[^A-Za-z0-9_.+-]", "-", movie.path.stem).lstrip(".-+_") or "movie"


def plain_name(value: str) -> str:
    """Return `value` when it can name a file; a ValueError otherwise."""
    if not _NAME.fullmatch(value) or ".." in value:
        raise ValueError(f"{value!r} cannot name results; use letters, digits, '-', '_', '.', '+'")
    return value


def load_campaign(path: Path) -> Campaign:
    """Read and check a campaign file; relative paths of movies, model and site are taken from its folder.

    Raises
    ------
    ConfigError
        The file is absent or not YAML, or a key or value is wrong; all wrong ones are named.
    """
    value = read_yaml(path)
    campaign = checked(Campaign, value, str(path))
    folder = Path(path).resolve().parent
    movies = tuple(m.model_copy(update={"path": folder / m.path}) for m in campaign.movies)
    update: dict[str, object] = {"movies": movies}
    if "/" in campaign.decode.model:
        model = str(folder / campaign.decode.model)
        update["decode"] = campaign.decode.model_copy(update={"model": model})
    if Path(campaign.site).suffix in (".yaml", ".yml"):
        update["site"] = str(folder / campaign.site)
    return campaign.model_copy(update=update)


def with_movies(campaign: Campaign, paths: tuple[Path, ...], pixel_size_A: float | None) -> Campaign:
    """Return a campaign that takes these movies instead of its own or a simulated one.

    Parameters
    ----------
    campaign
        What to do.
    paths
        The movies.
    pixel_size_A
        Pixel size of all of them [Å]; the files' own by default.

    Raises
    ------
    ConfigError
        Two movies have the same name, or the pixel size is not positive.
    """
    value = campaign.model_dump(mode="json")
    value["simulate"] = None
    value["movies"] = [{"path": str(path.resolve()), "pixel_size_A": pixel_size_A} for path in paths]
    return checked(Campaign, value, "movies on the command line")
