"""Settings of the force fit and of the toy system: what their YAML files may say."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from hpcstem.config import Section
from hpcstem.errors import StructureError
from hpcstem.potentials.bases import GaussianBasis, PairBasis, SplineBasis
from hpcstem.potentials.three_body import ThreeBodyBasis


class ThreeBodySettings(Section):
    """Functions of triples of atoms: see `hpcstem.potentials.three_body.ThreeBodyBasis`."""

    cutoff_A: float = Field(gt=0)
    radial: int = Field(1, ge=1, le=8)
    angular: int = Field(5, ge=1, le=16)


class FitMethod(Section):
    """How to fit pair potentials to a trajectory, whatever its frames.

    Attributes
    ----------
    species
        Chemical symbols, the first of which sets the unit of mobility.
    mobility
        Mobility of each species relative to the first's; None for one.
    estimator
        'auto' is the trapezoid, at lag 1 where the localisation noise asks for it.
    search_functions, search_width_A, search_repulsion_radius_A
        Other values of the three settings of the basis to try, each with each; the evidence for Euler's rule chooses.
    three_body
        Functions of triples of atoms; None for pairs alone.
    localisation_A
        Standard deviation of the localisation noise per axis [Å]; None to estimate it.
    blocks
        Parts of the trajectory for errors and held-out tests; each is read by one rank.
    piece
        Frames in memory at a time.
    checkpoint_every_s
        Seconds between two checkpoints of the partial sums.
    depth_meV
        Depth of the first species pair that sets the unit of energy [meV].
    steps_per_interval
        Of the simulations of indirect inference.
    """

    species: tuple[str, ...] = Field(("C", "Si"), min_length=1)
    mobility: tuple[float, ...] | None = None
    estimator: Literal["auto", "euler", "trapezoid", "simpson", "lag1", "indirect"] = "auto"
    basis: Literal["splines", "gaussians"] = "splines"
    functions: int = Field(32, ge=4, le=512)
    low_A: float = Field(1.0, gt=0)
    cutoff_A: float = Field(8.0, gt=0)
    width_A: float | None = Field(None, gt=0)
    repulsion_radius_A: float | None = Field(None, gt=0)
    search_functions: tuple[int, ...] = ()
    search_width_A: tuple[float, ...] = ()
    search_repulsion_radius_A: tuple[float, ...] = ()
    three_body: ThreeBodySettings | None = None
    localisation_A: float | None = Field(None, ge=0)
    blocks: int = Field(32, ge=2)
    piece: int = Field(64, ge=1)
    checkpoint_every_s: float = Field(60.0, gt=0)
    depth_meV: float = Field(4.55, gt=0)
    steps_per_interval: int = Field(100, ge=1)

    @model_validator(mode="after")
    def _can_be_fitted(self) -> Self:
        if self.mobility is not None and (len(self.mobility) != len(self.species) or min(self.mobility) <= 0):
            raise ValueError(f"mobility of {len(self.species)} species: one number above 0 for each")
        if self.three_body is not None and self.estimator == "indirect":
            raise ValueError("three_body is not simulated: leave it out, or take another estimator than indirect")
        try:
            self.make_bases()
        except StructureError as error:
            raise ValueError(str(error)) from error
        return self

    def make_three_body(self) -> ThreeBodyBasis | None:
        """Functions of triples."""
        asked = self.three_body
        return None if asked is None else ThreeBodyBasis(asked.cutoff_A, asked.radial, asked.angular)

    def make_bases(self) -> list[PairBasis]:
        """Functions of the distance: the one asked for, and those to try beside it."""
        radii_A = (self.repulsion_radius_A, *self.search_repulsion_radius_A)
        counts = (self.functions, *self.search_functions)
        if self.basis == "splines":
            return [SplineBasis(self.low_A, self.cutoff_A, n, radius_A) for n in counts for radius_A in radii_A]
        widths_A = (self.width_A, *self.search_width_A)
        return [
            GaussianBasis(self.low_A, self.cutoff_A, n, width_A, radius_A)
            for n in counts
            for width_A in widths_A
            for radius_A in radii_A
        ]


class FitSettings(FitMethod):
    """How to fit pair potentials to one trajectory.

    Attributes
    ----------
    interval_s
        Time between frames [s]; for a toy, in its own unit of time.
    window_A
        (x0, y0, x1, y1) of the field of view [Å]; None for the range of the atoms. Atoms nearer to its edges than
        the cut-off are neighbours only.
    seed
        Of the simulations of indirect inference.
    """

    interval_s: float = Field(gt=0)
    window_A: tuple[float, float, float, float] | None = None
    seed: int = Field(0, ge=0)


class ToySettings(Section):
    """A toy trajectory and the fit that should find its forces again.

    Attributes
    ----------
    first_frame
        Parquet file of atoms whose first frame is the start; None for a periodic honeycomb.
    cells
        Rectangular cells of four atoms of the honeycomb in x and y.
    bond_A
        Distance of neighbours in the honeycomb [Å].
    share_of_second
        Fraction of the second species.
    frames
        Snapshots.
    kT
        Thermal energy in units of the first pair's depth.
    noise_A
        Localisation noise added to each coordinate [Å].
    fit
        How to fit; its interval is that of the snapshots.
    """

    seed: int = Field(0, ge=0)
    first_frame: str | None = None
    cells: tuple[int, int] = (16, 12)
    bond_A: float = Field(1.42, gt=0)
    share_of_second: float = Field(0.2, ge=0, le=1)
    frames: int = Field(800, ge=3)
    kT: float = Field(0.5, gt=0)
    noise_A: float = Field(0.0, ge=0)
    fit: FitSettings
