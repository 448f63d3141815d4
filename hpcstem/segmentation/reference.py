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
from hpcstem.segmentation.confidence import fit_confidence
from hpcstem.segmentation.ensemble import CARD_FORMAT, Ensemble, EnsembleCard, save_card
from hpcstem.segmentation.frame_statistics import NAMES, frame_statistics, patches
from hpcstem.segmentation.held_out import HeldOutImage, held_out_images, recipe_of
from hpcstem.segmentation.inference import ProbabilityMaps, predict

N_IMAGES, N_HELD_OUT, N_FAINT = 600, 400, 400
"""Images that mean and covariance are taken of, further ones that set the limit, and others at low doses."""

TOO_SMALL = "field too small to tell"
_FILE = "reference.json"
_QUANTILE = 0.995
_LEAST_VARIANCE = 1e-6  # networks that see nothing anywhere give statistics that do not vary
_PATCHES = 16
_MIDDLE_PATCHES = 2  # along each axis: enough for a median, and a part of the cost of decoding a frame
_REASONS = 3
_FAINTEST = 0.25
SMALLEST_FIELD_A = 14.0
"""Fields that are smaller have no score: the edge of a hole among their few atoms is unlike most training images.

Of simulated sheets with silicon and a hole, 18 % at 8 Å, 8 % at 10 and 7 % at 12 had a score above 1, none at 16 [Å].
"""


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
        Distance over threshold; above 1 the movie is out of the distribution that the ensemble knows. None where the
        field is too small to tell.
    reasons
        The statistics that are farthest off, with their distance in standard deviations, the farthest first.
    """

    score: float | None
    reasons: tuple[tuple[str, float], ...]

    @property
    def because(self) -> str:
        """The reasons as one line."""
        if self.score is None:
            return TOO_SMALL
        return ", ".join(f"{statistic} {deviation:+.0f} σ" for statistic, deviation in self.reasons)

    @property
    def out_of_distribution(self) -> bool:
        """Whether what the ensemble says of the movie cannot be relied on."""
        return self.score is not None and self.score > 1


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
    if _too_small(*frames[0][:2]):
        return Likeness(None, ())
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


def frame_likeness(frame: np.ndarray, pixel_size_A: float, ensemble: Ensemble, to: Reference) -> Likeness:
    """Compare the middle of one frame, four patches at most, with the training images.

    Parameters
    ----------
    frame
        With shape (rows, columns), finite.
    pixel_size_A
        Pixel size of the frame [Å].
    ensemble
        The networks.
    to
        The training images.
    """
    if _too_small(frame, pixel_size_A):
        return Likeness(None, ())
    side = round(_MIDDLE_PATCHES * to.n_pixels * ensemble.card.pixel_size_A / pixel_size_A)
    first_row, first_column = (max((n - side) // 2, 0) for n in frame.shape)
    middle = frame[first_row : first_row + side, first_column : first_column + side]
    return likeness([(middle, pixel_size_A, predict(middle, pixel_size_A, ensemble))], ensemble.card, to)


def examine(
    folder: Path,
    n_images: int = N_IMAGES,
    n_held_out: int = N_HELD_OUT,
    n_faint: int = N_FAINT,
    progress: Callable[[int], None] = lambda done: None,
) -> tuple[Ensemble, Reference]:
    """Look at images drawn from the recipe on an ensemble's card, and keep what they tell of it.

    Beside the ensemble, what its training images look like; on its card, where that does not say it yet, the chance
    that an atom of some probability is there, which makes it another ensemble: its digest changes.

    Parameters
    ----------
    folder
        Of the ensemble.
    n_images, n_held_out
        Images for mean and covariance, and for the threshold.
    n_faint
        Images at doses below those of the recipe, down to a quarter, which add to all others where the chance is
        fitted: in bright ones, hardly an atom is found that is not there.
    progress
        Called with the number of images done.

    Returns
    -------
    ensemble : Ensemble
        With the chance on its card.
    reference : Reference
        What was written beside it.

    Raises
    ------
    ModelError
        The card does not say what the ensemble was trained on.
    """
    ensemble = Ensemble.load(folder)
    recipe, _ = recipe_of(ensemble)
    lowest = recipe.electrons_per_carbon[0]
    seen: list[HeldOutImage] = []
    for image in held_out_images(ensemble, n_images + n_held_out):
        seen.append(image)
        progress(len(seen))
    if ensemble.card.confidence is None:
        both = list(seen)
        for image in held_out_images(ensemble, n_faint, "faint", (_FAINTEST * lowest, lowest)):
            both.append(image)
            progress(len(both))
        probability, there = (np.concatenate([getattr(one, key) for one in both]) for key in ("probability", "there"))
        confidence = fit_confidence(probability, there, len(both))
        save_card(folder, ensemble.card.model_copy(update={"format": CARD_FORMAT, "confidence": confidence}))
        ensemble = Ensemble.load(folder)
    statistics = np.array([one.statistics for one in seen])
    known, held_out = statistics[:n_images], statistics[n_images:]
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
    threshold = float(np.quantile(_distance(held_out, reference), _QUANTILE))
    reference = reference.model_copy(update={"threshold": threshold})
    write_json(folder / _FILE, json.loads(reference.model_dump_json()))
    return ensemble, reference


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


def _too_small(frame: np.ndarray, pixel_size_A: float) -> bool:
    return min(frame.shape) * pixel_size_A < SMALLEST_FIELD_A


def _distance(statistics: np.ndarray, to: Reference) -> np.ndarray:
    """Mahalanobis distances, with shape (n,), of statistics with shape (n, n_statistics)."""
    deviation = statistics - np.array(to.mean)
    covariance = np.array(to.covariance) + _LEAST_VARIANCE * np.eye(len(to.mean))
    return np.sqrt(np.einsum("ij,ij->i", deviation @ np.linalg.inv(covariance), deviation))
