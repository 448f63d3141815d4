"""A run directory, read part by part; a part whose stage has not run is None or empty."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from hpcstem.atoms import AtomTable
from hpcstem.errors import HpcstemError
from hpcstem.files import inside
from hpcstem.report.records import (
    Decode,
    Fault,
    Fits,
    Frames,
    KineticsSummary,
    Movie,
    MovieStructure,
    Provenance,
    RdfSummary,
    Simulation,
    Structure,
    Training,
    read_record,
)

if TYPE_CHECKING:
    from hpcstem.kinetics.study import StudyResult
    from hpcstem.kinetics.study_config import StudyConfig
    from hpcstem.potentials.fitted import FittedPotential


@dataclass(frozen=True)
class SampleMaps:
    """Sample frames of one movie with the ensemble's output.

    Parameters
    ----------
    frame
        Index of each frame in its movie, with shape (k,), int.
    image
        The frames as read, with shape (k, rows, columns), float32.
    probability
        Mean probability of each class (background first), with shape (k, n_classes, map rows, map columns).
    spread
        Standard deviation over the ensemble of 1 − background, with shape (k, map rows, map columns).
    map_pixel_size_A, pixel_size_A
        Pixel size of the maps and of the frames [Å].
    """

    frame: np.ndarray
    image: np.ndarray
    probability: np.ndarray
    spread: np.ndarray
    map_pixel_size_A: float
    pixel_size_A: float


@dataclass(frozen=True)
class SampleBonds:
    """Bonds and rings of the sample frames of one movie; indices are rows of the frame's atoms.

    Parameters
    ----------
    edges
        By frame index: bonded pairs, with shape (n_bonds, 2), int.
    rings
        By frame index: for each ring, its atoms in order, with shape (size,), int.
    """

    edges: dict[int, np.ndarray]
    rings: dict[int, list[np.ndarray]]


class Run:
    """Reader of one run directory.

    Parameters
    ----------
    folder
        The run directory.

    Raises
    ------
    HpcstemError
        No such folder, or it was not made by a run.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self._atoms: dict[str, AtomTable | None] = {}
        if not self.folder.is_dir():
            raise HpcstemError(f"{self.folder} is not a folder", wanted="a run directory, as made by `hpcstem run`")
        if not any((self.folder / name).exists() for name in ("campaign.yaml", "provenance.json")):
            raise HpcstemError(
                f"{self.folder} is not a run directory",
                "a folder without campaign.yaml and provenance.json",
                "a run directory, as made by `hpcstem run`",
            )

    @property
    def name(self) -> str:
        """Name of the campaign; of the folder where the campaign has none."""
        named = self._campaign.get("name")
        return str(named) if named else self.folder.resolve().name

    @cached_property
    def _campaign(self) -> dict[str, Any]:
        try:
            campaign = yaml.safe_load(self.campaign_text or "")
        except yaml.YAMLError:
            campaign = None
        return campaign if isinstance(campaign, dict) else {}

    @cached_property
    def campaign_text(self) -> str | None:
        """The campaign as it was run."""
        path = self.folder / "campaign.yaml"
        try:
            return path.read_text(encoding="utf-8") if path.exists() else None
        except (OSError, ValueError) as error:
            raise HpcstemError(f"cannot read {path}", error, "a YAML file in UTF-8") from error

    @cached_property
    def provenance(self) -> Provenance | None:
        """Versions, hosts, inputs and stages."""
        return read_record(self.folder / "provenance.json", Provenance)

    @cached_property
    def frames(self) -> Frames | None:
        """What the stage `frames` found in the movies."""
        return read_record(self.folder / "frames" / "frames.json", Frames)

    @cached_property
    def training(self) -> Training | None:
        """How the small member was trained."""
        return read_record(self.folder / "training" / "training.json", Training)

    @cached_property
    def decode(self) -> Decode | None:
        """What was decoded, how fast and how well."""
        return read_record(self.folder / "decode" / "decode.json", Decode)

    @cached_property
    def structure(self) -> Structure | None:
        """Rings, defects, calibration and the region for simulation."""
        return read_record(self.folder / "structure" / "structure.json", Structure)

    @cached_property
    def rdf_summary(self) -> RdfSummary | None:
        """What the radial distribution functions were made of."""
        return read_record(self.folder / "potentials" / "rdf.json", RdfSummary)

    @cached_property
    def rdf(self) -> dict[str, np.ndarray] | None:
        """Arrays of `potentials/rdf.npz` by name."""
        path = self.folder / "potentials" / "rdf.npz"
        if not path.exists():
            return None
        arrays = read_arrays(path)
        if "r_A" not in arrays:
            raise HpcstemError(f"{path}", "no array r_A", "the centres of the bins [Å]")
        return arrays

    @cached_property
    def fits(self) -> Fits | None:
        """What the motion in each movie says of the forces."""
        return read_record(self.folder / "potentials" / "fits.json", Fits)

    def potential(self, movie: str) -> FittedPotential:
        """Potential fitted to the motion in one movie of `fits`."""
        from hpcstem.potentials.export import read_potential

        return read_potential(inside(self.folder / "potentials" / "fits", f"{movie}/potential.npz"))

    @cached_property
    def kinetics_summary(self) -> KineticsSummary | None:
        """Whether the stage `kinetics` could find transitions; None where the campaign leaves it out."""
        if "kinetics" in self._campaign and self._campaign["kinetics"] is None:
            return None  # what an earlier version of the campaign found may not be of these atoms
        return read_record(self.folder / "kinetics" / "kinetics.json", KineticsSummary)

    @cached_property
    def kinetics(self) -> tuple[StudyConfig, StudyResult] | None:
        """Settings and results of the study of defect kinetics; None where there is none."""
        from hpcstem.kinetics.study import analyse, read_study

        if self.kinetics_summary is None or self.kinetics_summary.because is not None:
            return None
        config, found = read_study(self.folder / "kinetics")
        return config, analyse(config, found)

    @cached_property
    def simulation(self) -> Simulation | None:
        """Jobs of the simulation and the comparison with the decoded structure."""
        return read_record(self.folder / "simulation" / "simulation.json", Simulation)

    def movie(self, name: str) -> Movie | None:
        """Record of one movie by the stage `frames`, None where it has none."""
        movies = self.frames.movies if self.frames else []
        return next((movie for movie in movies if movie.name == name), None)

    def movie_structure(self, name: str) -> MovieStructure | None:
        """Record of one movie by the stage `structure`, None where it has none."""
        movies = self.structure.movies if self.structure else []
        return next((movie for movie in movies if movie.name == name), None)

    def pixel_size_A(self, name: str) -> float | None:
        """Pixel size of a movie [Å]: calibrated on its own lattice where that was done, else as recorded."""
        structure = self.movie_structure(name)
        if structure and structure.calibration and structure.calibration.pixel_size_A:
            return structure.calibration.pixel_size_A
        movie = self.movie(name)
        return movie.pixel_size_A if movie else None

    @cached_property
    def sampled_movies(self) -> list[str]:
        """Names of the movies with sample frames, sorted."""
        paths = sorted((self.folder / "decode" / "maps").glob("*.npz"))
        return [path.stem for path in paths if read_arrays(path, ("frame",))["frame"].size]

    def faults(self, movie: str) -> list[Fault] | None:
        """Faulty frames of one movie, found on reading or decoding; None where no stage has looked."""
        record = self.movie(movie)
        found = [record.faults if record else None]
        if self.decode and self.decode.faults is not None:
            found.append([fault for fault in self.decode.faults if fault.movie == movie])
        known = [faults for faults in found if faults is not None]
        return [fault for faults in known for fault in faults] if known else None

    def maps(self, movie: str) -> SampleMaps:
        """Sample frames of one movie of `sampled_movies`."""
        path = inside(self.folder / "decode" / "maps", f"{movie}.npz")
        names = ("frame", "image", "probability", "spread", "map_pixel_size_A", "pixel_size_A")
        arrays = read_arrays(path, names)
        n_frames = len(np.atleast_1d(arrays["frame"]))
        for name, dimensions in (("frame", 1), ("image", 3), ("probability", 4), ("spread", 3)):
            shape = arrays[name].shape
            if len(shape) != dimensions or shape[0] != n_frames:
                wanted = f"{dimensions} dimensions, the first of length {n_frames}"
                raise HpcstemError(f"{path}, array {name}", f"shape {shape}", wanted)
        map_pixel_size_A, pixel_size_A = (_scalar(path, name, arrays[name]) for name in names[4:])
        frame, image, probability, spread = (arrays[name] for name in names[:4])
        return SampleMaps(frame, image, probability, spread, map_pixel_size_A, pixel_size_A)

    def atoms(self, movie: str) -> AtomTable | None:
        """Atoms of one movie: with tracks where the stage `structure` has run, else as decoded."""
        if movie not in self._atoms:
            linked = inside(self.folder / "structure" / "atoms", f"{movie}.parquet")
            decoded = inside(self.folder / "decode" / "atoms", movie)
            path = linked if linked.exists() else decoded
            self._atoms[movie] = AtomTable.read(path) if path.exists() else None
        return self._atoms[movie]

    def bonds(self, movie: str) -> SampleBonds | None:
        """Bonds and rings of the sample frames of one movie."""
        path = inside(self.folder / "structure" / "bonds", f"{movie}.npz")
        if not path.exists():
            return None
        frames = [int(frame) for frame in read_arrays(path, ("frame",))["frame"]]
        parts = ("edges", "ring_members", "ring_sizes")
        arrays = read_arrays(path, [f"{part}_{i}" for i in range(len(frames)) for part in parts])
        edges, rings = {}, {}
        for i, frame in enumerate(frames):
            sizes, members = arrays[f"ring_sizes_{i}"], arrays[f"ring_members_{i}"]
            if sizes.sum() != len(members):
                raise HpcstemError(f"{path}, frame {frame}", f"{len(members)} ring members", f"{sizes.sum()}")
            edges[frame] = arrays[f"edges_{i}"].reshape(-1, 2).astype(int)
            rings[frame] = np.split(members.astype(int), np.cumsum(sizes.astype(int))[:-1]) if len(sizes) else []
        return SampleBonds(edges, rings)


def _scalar(path: Path, name: str, value: np.ndarray) -> float:
    if value.size != 1 or not np.issubdtype(value.dtype, np.number) or not float(value.item()) > 0:
        raise HpcstemError(f"{path}, array {name}", repr(value)[:80], "one positive number")
    return float(value.item())


def read_arrays(path: Path, names: Sequence[str] | None = None) -> dict[str, np.ndarray]:
    """Arrays of an `.npz` file, those in `names` or all if None; nothing is unpickled.

    Raises
    ------
    HpcstemError
        The file is damaged, or lacks one of `names`.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            present = archive.files
            arrays = {name: archive[name] for name in names or present if name in present}
    except (OSError, ValueError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise HpcstemError(f"cannot read {path}", error, "an .npz file written by hpcstem") from error
    missing = [name for name in names or () if name not in arrays]
    if missing:
        raise HpcstemError(f"{path}", f"no array {missing[0]}", f"the arrays {', '.join(names or ())}")
    return arrays
