"""What the stages write as JSON, read back and checked once.

A value that a stage did not know is null and reads as None; a key that this version does not know is passed
over, so that a report can be made of a run by a later version.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, model_validator

from hpcstem.errors import HpcstemError
from hpcstem.files import read_json

T = TypeVar("T")
_Rows = Annotated[list[T], BeforeValidator(lambda value: [] if value is None else value)]
_Named = Annotated[dict[str, T], BeforeValidator(lambda value: {} if value is None else value)]


class Record(BaseModel):
    """Base of all records."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class InputFile(Record):
    """A file that the run read."""

    path: str
    sha256: str | None = None


class StageTime(Record):
    """How long a stage took and how it ended."""

    name: str
    seconds: float | None = None
    status: str | None = None


class Provenance(Record):
    """Content of `provenance.json`."""

    hpcstem: str | None = None
    git: str | None = None
    python: str | None = None
    packages: _Named[str | None] = {}
    hosts: _Rows[str] = []
    seed: int | None = None
    campaign_sha256: str | None = None
    inputs: _Rows[InputFile] = []
    started: str | None = None
    finished: str | None = None
    stages: _Rows[StageTime] = []


class Fault(Record):
    """A frame that could not be used as it is."""

    movie: str | None = None
    frame: int | None = None
    kind: str | None = None
    detail: str | None = None


class Movie(Record):
    """One movie of `frames/frames.json`."""

    name: str
    path: str | None = None
    n_frames: int | None = None
    shape: tuple[int, int] | None = None
    pixel_size_A: float | None = None
    frame_time_s: float | None = None
    beam_current_pA: float | None = None
    voltage_kV: float | None = None
    dwell_time_us: float | None = None
    dose_e_per_A2_per_frame: float | None = None
    accumulated_dose_e_per_A2: list[float | None] | None = None
    dose_unknown_because: str | None = None
    source: str | None = None
    faults: list[Fault] | None = None


class Frames(Record):
    """Content of `frames/frames.json`."""

    movies: _Rows[Movie] = []


class Training(Record):
    """Content of `training/training.json`."""

    seconds: float | None = None
    steps: int | None = None
    step: _Rows[int] = []
    loss: _Rows[float] = []
    n_parameters: int | None = None
    note: str | None = None


class Model(Record):
    """The ensemble that decoded the movies."""

    name: str | None = None
    sha256: str | None = None
    n_members: int | None = None
    pixel_size_A: float | None = None


class Match(Record):
    """Decoded atoms of one species against the true ones."""

    precision: float | None = None
    recall: float | None = None
    n_true: int | None = None


class Truth(Record):
    """Decoded atoms against the true ones, where they are known."""

    species: dict[str, Match] = {}
    rmse_A: float | None = None
    crlb_A: float | None = None
    ratio_to_crlb: float | None = None
    tolerance_A: float | None = None

    @model_validator(mode="before")
    @classmethod
    def _gather_species(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {**value, "species": {key: item for key, item in value.items() if isinstance(item, dict)}}


class Deviation(Record):
    """How far one statistic of a movie is from that of the training images, in standard deviations."""

    statistic: str
    deviation: float | None = None


class Likeness(Record):
    """How far a movie is from the training images."""

    score: float | None = None
    flagged: bool | None = None
    reasons: _Rows[Deviation] = []
    hint: str | None = None


class DecodedMovie(Record):
    """What the ensemble makes of one movie as a whole."""

    name: str
    out_of_distribution: Likeness | None = None
    decoded_by: _Rows[str] = []


class Decode(Record):
    """Content of `decode/decode.json`."""

    model: Model | None = None
    seconds: float | None = None
    frames_per_second: float | None = None
    n_frames: int | None = None
    n_atoms: _Named[int | None] = {}
    executor: str | None = None
    faults: list[Fault] | None = None
    truth: Truth | None = None
    movies: _Rows[DecodedMovie] = []
    n_obscured: int | None = None
    n_candidates: int | None = None


class Calibration(Record):
    """Length calibration of one movie on its own C–C distance."""

    pixel_size_A: float | None = None
    standard_error_A: float | None = None
    first_peak_A: float | None = None


class FrameCounts(Record):
    """What one frame holds: atoms by species, rings by size, defects by name."""

    frame: int
    species: dict[str, int | None] = {}
    rings: _Named[int | None] = {}
    defects: _Named[int | None] = {}

    @model_validator(mode="before")
    @classmethod
    def _gather_species(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {**value, "species": {key[2:]: item for key, item in value.items() if key.startswith("n_")}}


class MovieStructure(Record):
    """One movie of `structure/structure.json`."""

    name: str
    calibration: Calibration | None = None
    frames: _Rows[FrameCounts] = []
    n_tracks: int | None = None
    drift_A: list[tuple[float, float]] | None = None


class Region(Record):
    """The region cut out for simulation."""

    movie: str | None = None
    frame: int | None = None
    centre_A: tuple[float, float] | None = None
    size_A: float | None = None
    n_atoms: int | None = None
    n_H: int | None = None
    formula: str | None = None
    reason: str | None = None
    mean_detection: float | None = None
    mean_sigma_A: float | None = None


class Structure(Record):
    """Content of `structure/structure.json`."""

    movies: _Rows[MovieStructure] = []
    region: Region | None = None


class RdfSummary(Record):
    """Content of `potentials/rdf.json`."""

    first_peak_A: float | dict[str, float | None] | None = None
    n_frames: int | None = None
    n_pairs: _Named[int | None] = {}
    bin_A: float | None = None
    warnings: _Named[_Rows[str]] = {}


class FittedPair(Record):
    """Well of one pair of species in the potential fitted to the motion in one movie."""

    identifiable: bool | None = None
    minimum_A: float | None = None
    depth_kT: float | None = None
    depth_error_kT: float | None = None
    depth_meV: float | None = None
    depth_error_meV: float | None = None


class Fit(Record):
    """What the motion in one movie says of the forces."""

    estimator: str | None = None
    frames: int | None = None
    kT: float | None = None
    localisation_A: float | None = None
    relaxation: float | None = None
    identifiable: bool | None = None
    pairs: _Named[FittedPair] = {}
    sentences: _Rows[str] = []


class FittedMovie(Record):
    """One movie of `potentials/fits.json`: its fit, or why there is none."""

    name: str
    because: str | None = None
    fit: Fit | None = None

    @property
    def is_identifiable(self) -> bool:
        """Whether its motion says something of pair forces, in units of kT."""
        return self.fit is not None and bool(self.fit.identifiable)


class Fits(Record):
    """Content of `potentials/fits.json`."""

    movies: _Rows[FittedMovie] = []
    depth_meV: float | None = None


class KineticsSummary(Record):
    """Content of `kinetics/kinetics.json`, as far as the study itself does not hold it; or why there is none."""

    because: str | None = None
    classes: _Rows[str] = []


class BondLength(Record):
    """Length of the bonds of one pair of species in one job."""

    mean_A: float | None = None
    std_A: float | None = None
    n: int | None = None


class Job(Record):
    """One job of `simulation/simulation.json`."""

    key: str
    kind: str | None = None
    temperature_K: float | None = None
    state: str | None = None
    energy_eV: float | None = None
    converged: bool | None = None
    n_steps: int | None = None
    temperature_mean_K: float | None = None
    temperature_std_K: float | None = None
    energy_drift_meV_per_atom_ps: float | None = None
    wall_s: float | None = None
    host: str | None = None
    bonds: _Named[BondLength] = {}

    @property
    def label(self) -> str:
        """Name of the job for a person: its kind, and its temperature if it has one."""
        kind = {"nvt": "NVT"}.get(self.kind or "", self.kind or self.key)
        return kind if self.temperature_K is None else f"{kind} {self.temperature_K:g} K"


class Comparison(Record):
    """Decoded against relaxed coordinates."""

    mean_error_x_percent: float | None = None
    mean_error_y_percent: float | None = None
    bond_error_x_percent: float | None = None
    bond_error_y_percent: float | None = None
    rms_displacement_A: float | None = None
    max_displacement_A: float | None = None


class Simulation(Record):
    """Content of `simulation/simulation.json`."""

    method: str | None = None
    jobs: _Rows[Job] = []
    comparison: Comparison | None = None


class RingRow(Record):
    """Bonds of the rings of one size."""

    size: int
    n_rings: int | None = None
    length_A: float | None = None
    length_spread_A: float | None = None


class Relaxation(Record):
    """One relaxation of a sheet in a queue."""

    name: str
    method: str | None = None
    converged: bool | None = None
    energy_eV: float | None = None
    given: _Rows[RingRow] = []
    relaxed: _Rows[RingRow] = []


class QueueAnalysis(Record):
    """Content of `analysis.json`, which `hpcstem queue analyse` writes, as far as a run shows it."""

    counts: _Named[int] = {}
    relaxations: _Rows[Relaxation] = []
    structures: str | None = None


AnyRecord = TypeVar("AnyRecord", bound=Record)


def read_record(path: Path, kind: type[AnyRecord]) -> AnyRecord | None:
    """Read and check one JSON file; None where the stage that writes it has not run.

    Raises
    ------
    HpcstemError
        The file is not JSON, or a key holds something else than the stage writes.
    """
    if not path.exists():
        return None
    value = read_json(path)
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the whole file"
        raise HpcstemError(f"{path}, key {place}", repr(first["input"])[:80], first["msg"]) from error
