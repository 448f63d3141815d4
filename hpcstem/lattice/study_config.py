"""What `hpcstem lattice run` reads."""

from __future__ import annotations

import re
from math import sqrt
from pathlib import Path
from typing import Annotated, Literal, Self

from ase.data import atomic_numbers
from pydantic import Field, field_validator, model_validator

from hpcstem.config import Section, checked, read_yaml
from hpcstem.lattice.triangular import SMALLEST_SIDE

ModelName = Literal["pair-additive", "many-body"]
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,99}")
_Side = Annotated[int, Field(ge=SMALLEST_SIDE, le=4096)]
_Positive = Annotated[float, Field(gt=0)]
_Weights = tuple[Annotated[float, Field(ge=-20, le=20)], Annotated[float, Field(ge=-20, le=20)]]


class MadeAlloySection(Section):
    """An image whose truth is known.

    Attributes
    ----------
    fraction_B
        Fraction of the atoms that are of species B.
    model, weights
        What it is drawn from: energy of each motif over kT.
    n_side
        Sites per side.
    spacing_A
        Lattice spacing [Å].
    angle_deg
        Direction of the lattice from x towards y [°].
    sigma_A
        Standard uncertainty of each coordinate [Å].
    missed
        Fraction of the atoms that were not found.
    pairing_A
        Displacement of a site in rows that pair, all atoms around it being B [Å].
    n_domains
        Regions whose rows run along directions of their own.
    """

    fraction_B: float = Field(gt=0, lt=1)
    model: ModelName = "pair-additive"
    weights: _Weights = (0.25, -0.10)
    n_side: _Side = 64
    spacing_A: _Positive = 3.18
    angle_deg: float = 10.0
    sigma_A: float = Field(0.05, ge=0)
    missed: float = Field(0.0, ge=0, lt=1)
    pairing_A: float = Field(0.0, ge=0)
    n_domains: int = Field(1, ge=1)


class ImageSection(Section):
    """One image: atoms from a file, or made.

    Attributes
    ----------
    name
        What its results are called.
    atoms
        Parquet file or folder of decoded atoms; relative to the study's file.
    frame
        Which frame of it.
    made
        Instead of `atoms`.
    """

    name: str
    atoms: Path | None = None
    frame: int = Field(0, ge=0)
    made: MadeAlloySection | None = None

    @field_validator("name")
    @classmethod
    def _plain_name(cls, value: str) -> str:
        if not _NAME.fullmatch(value):
            raise ValueError("letters, digits, and . _ + - within")
        return value

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.atoms is None) == (self.made is None):
            raise ValueError("either `atoms:` or `made:`")
        return self


class FitSection(Section):
    """Weights of lattice models by the least statistical distance.

    Attributes
    ----------
    models
        Models to fit.
    classes
        Local configurations to compare: 'first rings' or 'shell counts'.
    n_side
        Sites per side of the model's lattice.
    n_chains, n_snapshots
        Independent chains, and snapshots of each, per round.
    """

    models: tuple[ModelName, ...] = Field(("pair-additive", "many-body"), min_length=1)
    classes: Literal["first rings", "shell counts"] = "first rings"
    n_side: _Side = 64
    n_chains: int = Field(4, ge=1)
    n_snapshots: int = Field(250, ge=10)


class ModesSection(Section):
    """Statistical normal modes of all images together.

    Attributes
    ----------
    n_dominant
        Modes to look at closely; whole multiplets.
    landau
        Whether to fit the local free energy of a doublet and a singlet, for each image.
    """

    n_dominant: int = Field(3, ge=1, le=12)
    landau: bool = True

    @model_validator(mode="after")
    def _three_components(self) -> Self:
        if self.landau and self.n_dominant != 3:
            raise ValueError("`landau: true` needs `n_dominant: 3`, a doublet and a singlet")
        return self


class MadeBoundarySection(Section):
    """A map of an order parameter whose truth is known: an antiphase boundary that meets an interface.

    Attributes
    ----------
    eta_bulk
        Order parameter far away.
    centre_A
        Place of the boundary [Å].
    correlation_length_A
        L_C, the half width of the boundary [Å].
    extrapolation_A
        λ, the extrapolation length at the interface [Å].
    step_A
        Distance of neighbouring points [Å].
    n_x, n_z
        Points across the boundary and away from the interface.
    sigma
        Standard error of each point.
    """

    eta_bulk: _Positive = 0.787
    centre_A: float = 3.0
    correlation_length_A: _Positive = 15.56
    extrapolation_A: _Positive = 11.0
    step_A: _Positive = 3.9
    n_x: int = Field(40, ge=8, le=4096)
    n_z: int = Field(20, ge=8, le=4096)
    sigma: _Positive = 0.03

    @property
    def recovery(self) -> dict[str, float]:
        """Parameters of `profiles.decay` that η has away from the interface."""
        length_A = self.correlation_length_A / sqrt(2)
        loss = 1 / (1 + self.extrapolation_A / length_A)
        return {"eta_bulk": self.eta_bulk, "loss": loss, "length_A": length_A}


class BoundarySection(Section):
    """Profiles of an order parameter across an antiphase boundary and away from an interface.

    Attributes
    ----------
    map
        NPZ file with x_A, z_A, eta of shape (n_z, n_x) and, where it is known, sigma; relative to the study's file.
    made
        Instead of `map`.
    """

    map: Path | None = None
    made: MadeBoundarySection | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.map is None) == (self.made is None):
            raise ValueError("either `map:` or `made:`")
        return self


class LatticeStudy(Section):
    """A study of images of alloys, of boundaries, or of both; a part that is left out is not done.

    Attributes
    ----------
    name
        What it is called.
    seed
        Gives every random stream.
    species
        Chemical symbols of A and B in files of atoms; others are left out.
    images
        Images of alloys.
    fit
        Lattice models of each image.
    modes
        Normal modes of all images.
    boundary
        Profiles of an order parameter.
    """

    name: str
    seed: int = Field(0, ge=0)
    species: tuple[str, str] = ("Mo", "Re")
    images: tuple[ImageSection, ...] = ()
    fit: FitSection | None = None
    modes: ModesSection | None = None
    boundary: BoundarySection | None = None

    @field_validator("species")
    @classmethod
    def _elements(cls, value: tuple[str, str]) -> tuple[str, str]:
        if value[0] == value[1] or not set(value) <= atomic_numbers.keys():
            raise ValueError("two different chemical symbols")
        return value

    @model_validator(mode="after")
    def _something_to_do(self) -> Self:
        names = [image.name for image in self.images]
        if len(set(names)) < len(names):
            raise ValueError("two images of one name")
        if (self.fit or self.modes) and not self.images:
            raise ValueError("`fit:` and `modes:` need `images:`")
        if not (self.fit or self.modes or self.boundary):
            raise ValueError("nothing to do: write `fit:`, `modes:` or `boundary:`")
        return self


def load_study(path: Path) -> LatticeStudy:
    """Read a study; paths in it are taken from its folder.

    Raises
    ------
    ConfigError
        It cannot be read, has an unknown key, or a value that cannot be used.
    """
    study = checked(LatticeStudy, read_yaml(path), str(path))
    folder = path.resolve().parent
    images = tuple(
        image.model_copy(update={"atoms": folder / image.atoms}) if image.atoms else image for image in study.images
    )
    boundary = study.boundary
    if boundary is not None and boundary.map is not None:
        boundary = boundary.model_copy(update={"map": folder / boundary.map})
    return study.model_copy(update={"images": images, "boundary": boundary})
