"""Whether a movie is of the kind that an ensemble was trained on: its distance to the training images.

The statistics of `hpcstem.segmentation.frame_statistics` are taken of images drawn from the recipe that the ensemble
was trained on, and their mean and covariance kept beside it. A movie's score is its Mahalanobis distance to them over
the distance that 199 of 200 further images of the recipe stay below.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hpcstem.errors import ModelError
from hpcstem.files import read_json, write_json
from hpcstem.imaging.resample import resample
from hpcstem.imaging.training import TrainingRecipe, training_samples
from hpcstem.segmentation.ensemble import Ensemble, EnsembleCard
from hpcstem.segmentation.frame_statistics import NAMES, frame_statistics, patches
from hpcstem.segmentation.inference import ProbabilityMaps, predict

N_IMAGES, N_HELD_OUT = 600, 400
"""Images that mean and covariance are taken of, and further ones that set the limit."""

_FILE = "reference.json"
_QUANTILE = 0.995
_LEAST_VARIANCE = 1e-6  # networks that see nothing anywhere give statistics that do not vary
_PATCHES = 16
_REASONS = 3


class Reference(BaseModel):
    """Content of `reference.json`.

    Attributes
    ----------
    ensemble_sha256
        Digest of the ensemble whose networks the statistics depend on.
    names
        What each statistic is.
    mean, covariance
        Of the statistics over training images.
    threshold
        Mahalanobis distance that 199 of 200 held-out images stay below.
    n_images, n_held_out
        Images behind mean and covariance, and behind the threshold.
    n_pixels
        Rows and columns of an image, and of the patches that frames are looked at in.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    format: int = 1
    ensemble_sha256: str
    names: tuple[str, ...]
    mean: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]
    threshold: float = Field(gt=0)
    n_images: int
    n_held_out: int
    n_pixels: int = Field(gt=0)


@dataclass(frozen=True)
class Likeness:
    """How far frames are from the training images.

    Parameters
    ----------
    score
        Distance over threshold; above 1 the movie is out of the distribution that the ensemble knows.
    reasons
        The statistics that are farthest off, with their distance in standard deviations, the farthest first.
    """

    score: float
    reasons: tuple[tuple[str, float], ...]

    @property
    def out_of_distribution(self) -> bool:
        """Whether what the ensemble says of the movie cannot be relied on."""
        return self.score > 1


def likeness(
    frames: Sequence[tuple[np.ndarray, float, ProbabilityMaps]], card: EnsembleCard, to: Reference
) -> Likeness:
    """Compare frames of one movie with the training images.

    Half of the patches of half of the frames are at least as far as the score says. What is smaller than a training
    image scatters more, and its distance counts for less, by the square root of the area.

    Parameters
    ----------
    frames
        Frame with shape (rows, columns), its pixel size [Å], and what the ensemble sees in it; at least one.
    card
        Of the ensemble.
    to
        The training images.
    """
    statistics, distances = [], []
    for frame, pixel_size_A, maps in frames:
        image = resample(frame[None], pixel_size_A, maps.pixel_size_A)[0]
        parts = patches(image.shape, to.n_pixels, _PATCHES)
        of_parts = np.array([frame_statistics(image[part], maps.part(*part), card.atom_radius_A) for part in parts])
        share = np.array([min(image[part].size / to.n_pixels**2, 1.0) for part in parts])
        statistics.append(of_parts)
        distances.append(np.median(_distance(of_parts, to) * np.sqrt(share)))
    deviation = (np.median(np.concatenate(statistics), axis=0) - to.mean) / np.sqrt(
        np.diag(to.covariance) + _LEAST_VARIANCE
    )
    farthest = np.abs(deviation).argsort()[::-1][:_REASONS]
    reasons = tuple((to.names[i], float(deviation[i])) for i in farthest)
    return Likeness(float(np.median(distances)) / to.threshold, reasons)


def make_reference(
    ensemble: Ensemble,
    n_images: int = N_IMAGES,
    n_held_out: int = N_HELD_OUT,
    progress: Callable[[int], None] = lambda done: None,
) -> Reference:
    """Take the statistics of images that are drawn from the recipe on an ensemble's card.

    Parameters
    ----------
    ensemble
        The networks.
    n_images, n_held_out
        Images for mean and covariance, and for the threshold.
    progress
        Called with the number of images done.

    Raises
    ------
    ModelError
        The card does not say what the ensemble was trained on.
    """
    card = ensemble.card
    try:
        config = card.training["config"]
        recipe, seed = TrainingRecipe.model_validate(config["recipe"]), int(config["seed"])
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"the recipe of ensemble {ensemble.name}", error, "an ensemble made by `hpcstem train`"
        ) from error
    statistics = []
    stream = np.random.SeedSequence([seed, *b"reference"])
    for sample in training_samples(recipe, n_images + n_held_out, stream):
        maps = predict(sample.image, card.pixel_size_A, ensemble)
        statistics.append(frame_statistics(sample.image, maps, card.atom_radius_A))
        progress(len(statistics))
    known, held_out = np.array(statistics[:n_images]), np.array(statistics[n_images:])
    reference = Reference(
        ensemble_sha256=ensemble.digest,
        names=NAMES,
        mean=tuple(known.mean(axis=0)),
        covariance=tuple(tuple(row) for row in np.cov(known.T)),
        threshold=1.0,
        n_images=n_images,
        n_held_out=n_held_out,
        n_pixels=recipe.n_pixels,
    )
    return reference.model_copy(update={"threshold": float(np.quantile(_distance(held_out, reference), _QUANTILE))})


def save_reference(folder: Path, reference: Reference) -> Path:
    """Write `reference.json` beside an ensemble, and return its path."""
    write_json(folder / _FILE, json.loads(reference.model_dump_json()))
    return folder / _FILE


def load_reference(folder: Path, ensemble: Ensemble) -> Reference | None:
    """Read what is kept beside an ensemble; None where nothing is.

    Raises
    ------
    ModelError
        The file is damaged, or of other networks.
    """
    path = folder / _FILE
    if not path.is_file():
        return None
    try:
        reference = Reference.model_validate(read_json(path))
    except ValidationError as error:
        raise ModelError(f"cannot read {path}", error, "a file written by `hpcstem reference`") from error
    if reference.ensemble_sha256 != ensemble.digest or reference.names != NAMES:
        raise ModelError(
            f"{path} is of another ensemble",
            reference.ensemble_sha256[:12],
            f"`hpcstem reference {folder}` to renew it",
        )
    return reference


def _distance(statistics: np.ndarray, to: Reference) -> np.ndarray:
    """Mahalanobis distances, with shape (n,), of statistics with shape (n, n_statistics)."""
    deviation = statistics - np.array(to.mean)
    covariance = np.array(to.covariance) + _LEAST_VARIANCE * np.eye(len(to.mean))
    return np.sqrt(np.einsum("ij,ij->i", deviation @ np.linalg.inv(covariance), deviation))
