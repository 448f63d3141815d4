"""Training images: random structures, seen through random microscopes, with their class masks.

The ranges are wide enough to hold 60 and 100 kV movies of graphene with Si, from a few tens of detected electrons
per carbon atom to several thousand [1]_.

References
----------
.. [1] M. Ziatdinov et al., ACS Nano 11 (2017) 12742. doi:10.1021/acsnano.7b07504
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat

from hpcstem.imaging.acquisition import Acquisition, ImageModel, acquire
from hpcstem.imaging.defect_library import library_sheet, load_library
from hpcstem.imaging.linear import ideal_image
from hpcstem.imaging.masks import class_mask
from hpcstem.imaging.probe import Probe, annular_cross_section_A2
from hpcstem.imaging.resample import resample, to_pixels
from hpcstem.structure.building import MAX_STRAIN, random_graphene

OBSCURING = 2.5
"""Contamination this many times brighter than the sheet hides its atoms."""


def _ascending(value: tuple[float, float]) -> tuple[float, float]:
    if not value[0] <= value[1]:
        raise ValueError("the lowest value comes first")
    return value


Range = Annotated[tuple[float, float], AfterValidator(_ascending)]
NonNegativeRange = Annotated[tuple[NonNegativeFloat, NonNegativeFloat], AfterValidator(_ascending)]
PositiveRange = Annotated[tuple[PositiveFloat, PositiveFloat], AfterValidator(_ascending)]
"""A range that is drawn from in the logarithm, or of a quantity that is positive."""


class TrainingRecipe(BaseModel):
    """What training images are drawn from. Ranges are uniform; those marked so are uniform in the logarithm.

    Attributes
    ----------
    n_pixels
        Rows and columns of a training image.
    pixel_size_A
        Pixel size of a training image, and of the network's input [Å].
    native_pixel_size_A
        Pixel size of the simulated movie before it is resampled [Å], logarithmic.
    electrons_per_carbon
        Detected electrons per carbon atom in one frame, logarithmic.
    strain
        Largest element of the strain of a sheet.
    displacement_A
        Standard deviation per axis of random displacements of the atoms of one image [Å]. Networks that have seen
        atoms on their sites only put atoms there.
    structures
        Extended XYZ files of structures to draw from besides, such as relaxed defects.
    structures_share
        Share of the images that show one of them, where there are any.
    image_model
        `linear`, or `multislice` by abTEM, from the extra of that name.
    atom_radius_A
        Radius of the discs in the mask [Å].
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    n_pixels: int = Field(128, ge=32, multiple_of=8)
    pixel_size_A: float = Field(0.16, gt=0.02, lt=0.5)
    native_pixel_size_A: PositiveRange = (0.06, 0.32)
    electrons_per_carbon: PositiveRange = (60.0, 4000.0)
    voltage_kV: PositiveRange = (60.0, 100.0)
    convergence_mrad: PositiveRange = (25.0, 35.0)
    source_sigma_A: NonNegativeRange = (0.15, 0.4)
    defocus_A: Range = (-25.0, 25.0)
    astigmatism_A: Range = (0.0, 20.0)
    coma_A: Range = (-400.0, 400.0)
    background: NonNegativeRange = (0.0, 2.0)
    contamination: NonNegativeRange = (0.3, 4.0)
    contamination_probability: float = Field(0.3, ge=0, le=1)
    row_jitter_A: NonNegativeRange = (0.0, 0.12)
    scan_distortion: float = Field(0.03, ge=0, lt=0.2)
    readout: NonNegativeRange = (0.0, 0.5)
    strain: float = Field(MAX_STRAIN, ge=0, le=0.1)
    displacement_A: NonNegativeRange = (0.0, 0.0)
    structures: tuple[Path, ...] = ()
    structures_share: float = Field(0.5, ge=0, le=1)
    image_model: Literal["linear", "multislice"] = "linear"
    atom_radius_A: float = Field(0.48, gt=0.1, lt=0.7)


@dataclass(frozen=True)
class TrainingSample:
    """One training image with all that is known about it.

    Parameters
    ----------
    image
        Detected electrons per native pixel, resampled, with shape (n_pixels, n_pixels), float32.
    mask
        Class numbers, with shape (n_pixels, n_pixels), uint8.
    positions_px
        (x, y) of the atoms that the mask shows, with shape (n_atoms, 2), float64.
    species
        Their symbols, with shape (n_atoms,).
    hidden_px
        (x, y) of the atoms that contamination hides, with shape (n_hidden, 2), float64.
    """

    image: np.ndarray
    mask: np.ndarray
    positions_px: np.ndarray
    species: np.ndarray
    hidden_px: np.ndarray


def training_sample(recipe: TrainingRecipe, seed: np.random.SeedSequence) -> TrainingSample:
    """Draw one structure and one microscope, and take the image.

    Parameters
    ----------
    recipe
        What to draw from.
    seed
        Fixes the sample.
    """
    rng = np.random.default_rng(seed)
    native_A = _log_uniform(rng, recipe.native_pixel_size_A)
    # Two spare pixels: resampling drops a part of a pixel at the end.
    n_native = int(np.ceil((recipe.n_pixels + 2) * recipe.pixel_size_A / native_A))
    width_A = n_native * native_A
    positions_A, species = _draw_specimen(recipe, width_A, rng)
    positions_A = _distort(positions_A, width_A, recipe.scan_distortion, rng)
    probe, acquisition = _draw_microscope(recipe, rng)
    counts, contamination = acquire(
        positions_A, species, (n_native, n_native), native_A, probe, acquisition, rng, _image_model(recipe)
    )
    crop = (slice(recipe.n_pixels), slice(recipe.n_pixels))
    image = resample(counts, native_A, recipe.pixel_size_A)[crop]
    obscured = resample(contamination, native_A, recipe.pixel_size_A)[crop] > OBSCURING
    positions_px = to_pixels(positions_A / native_A, native_A, recipe.pixel_size_A)
    nearest = np.clip(np.rint(positions_px[:, ::-1]).astype(int), 0, recipe.n_pixels - 1)
    seen = ~obscured[nearest[:, 0], nearest[:, 1]]
    hidden_px, positions_px, species = positions_px[~seen], positions_px[seen], species[seen]
    mask = class_mask(positions_px, species, image.shape, recipe.atom_radius_A / recipe.pixel_size_A)
    return TrainingSample(image, mask, positions_px, species, hidden_px)


def training_samples(
    recipe: TrainingRecipe,
    n_samples: int,
    seed: np.random.SeedSequence,
    mapper: Callable[..., Iterator[TrainingSample]] = map,
) -> Iterator[TrainingSample]:
    """Many training samples, each from its own stream; sample i does not depend on `n_samples`.

    Parameters
    ----------
    recipe
        What to draw from.
    n_samples
        How many.
    seed
        Fixes all samples; spawns, so pass a fresh one.
    mapper
        Replaces `map`, such as `Pool.imap`.
    """
    yield from mapper(_Sampler(recipe), seed.spawn(n_samples))


class _Sampler:
    def __init__(self, recipe: TrainingRecipe) -> None:
        self.recipe = recipe

    def __call__(self, seed: np.random.SeedSequence) -> TrainingSample:
        return training_sample(self.recipe, seed)


def _draw_specimen(recipe: TrainingRecipe, width_A: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Atoms of a random sheet, or of a structure of the library; keys that are left out draw no random numbers."""
    if recipe.structures and rng.random() < recipe.structures_share:
        library = load_library(recipe.structures)
        positions_A, species = library_sheet(library, width_A, width_A, recipe.strain, rng)
    else:
        positions_A, species = random_graphene(width_A, width_A, rng, recipe.strain)
    if recipe.displacement_A[1] > 0:
        positions_A = positions_A + rng.normal(0.0, rng.uniform(*recipe.displacement_A), positions_A.shape)
    return positions_A, species


def _image_model(recipe: TrainingRecipe) -> ImageModel:
    if recipe.image_model == "linear":
        return ideal_image
    from hpcstem.imaging.multislice import multislice_image

    return multislice_image


def _draw_microscope(recipe: TrainingRecipe, rng: np.random.Generator) -> tuple[Probe, Acquisition]:
    voltage_kV = rng.uniform(*recipe.voltage_kV)
    probe = Probe(
        voltage_kV=voltage_kV,
        convergence_mrad=rng.uniform(*recipe.convergence_mrad),
        source_sigma_A=rng.uniform(*recipe.source_sigma_A),
        defocus_A=rng.uniform(*recipe.defocus_A),
        astigmatism_A=rng.uniform(*recipe.astigmatism_A),
        astigmatism_rad=rng.uniform(0, np.pi),
        coma_A=rng.uniform(*recipe.coma_A),
    )
    contaminated = rng.uniform() < recipe.contamination_probability
    acquisition = Acquisition(
        dose_e_per_A2=_log_uniform(rng, recipe.electrons_per_carbon) / annular_cross_section_A2(voltage_kV),
        background=rng.uniform(*recipe.background),
        contamination=rng.uniform(*recipe.contamination) if contaminated else 0.0,
        contamination_cover=rng.uniform(0.1, 0.7) if contaminated else 0.0,
        row_jitter_A=rng.uniform(*recipe.row_jitter_A),
        readout=rng.uniform(*recipe.readout),
    )
    return probe, acquisition


def _log_uniform(rng: np.random.Generator, bounds: tuple[float, float]) -> float:
    return float(np.exp(rng.uniform(*np.log(bounds))))


def _distort(positions_A: np.ndarray, width_A: float, largest: float, rng: np.random.Generator) -> np.ndarray:
    """Drift during the scan: a small affine map about the centre, as the beam sees the atoms."""
    centre = width_A / 2
    return (positions_A - centre) @ (np.eye(2) + rng.uniform(-largest, largest, (2, 2))) + centre
