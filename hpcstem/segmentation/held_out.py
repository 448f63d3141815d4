"""An ensemble on images of its own recipe that it was not trained on: how they look, and which atoms are there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hpcstem.errors import ModelError
from hpcstem.imaging.training import TrainingRecipe, TrainingSample, training_samples
from hpcstem.segmentation.ensemble import Ensemble, EnsembleCard
from hpcstem.segmentation.frame_statistics import frame_statistics
from hpcstem.segmentation.inference import ProbabilityMaps, predict
from hpcstem.segmentation.locate import locate
from hpcstem.segmentation.score import away_from_edge, match


@dataclass(frozen=True)
class HeldOutImage:
    """What an ensemble makes of one image whose atoms are known.

    Parameters
    ----------
    statistics
        As `hpcstem.segmentation.frame_statistics` gives them, with shape (n_statistics,), float64.
    probability
        Mean probability of the species over the disc of each found atom, with shape (n,), float64.
    there
        Whether such an atom is within 0.5 Å, with shape (n,), bool. Atoms nearer than 1 Å to the edge are left out,
        and those that contamination hides.
    """

    statistics: np.ndarray
    probability: np.ndarray
    there: np.ndarray


def recipe_of(ensemble: Ensemble) -> tuple[TrainingRecipe, int]:
    """Recipe and seed that an ensemble was trained from.

    Raises
    ------
    ModelError
        The card does not say.
    """
    try:
        config = ensemble.card.training["config"]
        return TrainingRecipe.model_validate(config["recipe"]), int(config["seed"])
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"the recipe of ensemble {ensemble.name}", error, "an ensemble made by `hpcstem train`"
        ) from error


def held_out_images(
    ensemble: Ensemble,
    n_images: int,
    stream: str = "reference",
    electrons_per_carbon: tuple[float, float] | None = None,
) -> Iterator[HeldOutImage]:
    """Draw images from the recipe on an ensemble's card, and look at them.

    Parameters
    ----------
    ensemble
        The networks.
    n_images
        How many; image i does not depend on it.
    stream
        Names the stream of random numbers; none of them is that of the training.
    electrons_per_carbon
        Range of doses in place of that of the recipe.

    Raises
    ------
    ModelError
        The card does not say what the ensemble was trained on.
    """
    card = ensemble.card
    recipe, seed = recipe_of(ensemble)
    if electrons_per_carbon is not None:
        recipe = recipe.model_copy(update={"electrons_per_carbon": electrons_per_carbon})
    for sample in training_samples(recipe, n_images, np.random.SeedSequence([seed, *stream.encode()])):
        maps = predict(sample.image, card.pixel_size_A, ensemble)
        yield HeldOutImage(frame_statistics(sample.image, maps, card.atom_radius_A), *_atoms_found(maps, card, sample))


def _atoms_found(maps: ProbabilityMaps, card: EnsembleCard, sample: TrainingSample) -> tuple[np.ndarray, np.ndarray]:
    """Probability of the atoms found, and whether they are there."""
    blobs = locate(maps, card.atom_radius_A)
    found_A, species = blobs.positions_px * card.pixel_size_A, np.array(card.classes)[blobs.classes]
    true_A = sample.positions_px * card.pixel_size_A
    there = np.zeros(len(found_A), bool)
    for symbol in np.unique(species):
        rows = np.flatnonzero(species == symbol)
        there[rows[match(found_A[rows], true_A[sample.species == symbol])[:, 0]]] = True
    counts = away_from_edge(found_A, tuple(np.array(sample.image.shape[::-1]) * card.pixel_size_A))
    counts[match(found_A, sample.hidden_px * card.pixel_size_A)[:, 0]] = False
    return blobs.probability[counts], there[counts]
