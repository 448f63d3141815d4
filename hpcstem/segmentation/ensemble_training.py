"""Training of an ensemble, from a recipe to a folder that `Ensemble.load` reads."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from scipy import optimize

import hpcstem
from hpcstem.errors import ModelError
from hpcstem.files import read_json, sha256, write_json
from hpcstem.imaging.masks import CLASSES
from hpcstem.imaging.training import TrainingSample, training_samples
from hpcstem.segmentation.decoding import decode_frame
from hpcstem.segmentation.ensemble import Ensemble, EnsembleCard, save_card, save_member
from hpcstem.segmentation.normalise import normalise
from hpcstem.segmentation.score import Score, away_from_edge, match, score
from hpcstem.segmentation.training import TrainingConfig, train_member

Progress = Callable[[str, int, int, float], None]
"""Called with what is being done, steps done, steps in all, and the loss (NaN where there is none)."""


def train_ensemble(
    config: TrainingConfig,
    folder: Path,
    progress: Progress = lambda task, done, total, loss: None,
    mapper: Callable[..., Iterator[TrainingSample]] = map,
) -> Ensemble:
    """Train the members that are missing in `folder`, measure the ensemble, write its card.

    A member that is there already and was trained from the same configuration is kept, so that a broken run goes on
    where it stopped.

    Parameters
    ----------
    config
        What to train.
    folder
        Where the ensemble goes.
    progress
        Follows the work.
    mapper
        Replaces `map` for drawing training images, such as `Pool.imap`.

    Raises
    ------
    ModelError
        `folder` holds an ensemble of another configuration, or the ensemble finds none of the held-out atoms.
    """
    from safetensors.torch import load_file

    members = [f"member-{i:02d}.safetensors" for i in range(config.members)]
    folder = Path(folder)
    _claim(folder, config)
    data_seed, validation_seed, *member_seeds = np.random.SeedSequence(config.seed).spawn(2 + config.members)
    files = [(folder / name, (folder / name).with_suffix(".json")) for name in members]
    missing = [i for i, of_member in enumerate(files) if not all(path.is_file() for path in of_member)]
    if missing:
        images, masks = _training_images(config, data_seed, progress, mapper)
    for i in missing:

        def follow(step: int, loss: float, task: str = f"member {i + 1} of {config.members}") -> None:
            progress(task, step, config.steps, loss)

        weights, history = train_member(images, masks, config, member_seeds[i], follow)
        save_member(folder / members[i], weights)
        write_json((folder / members[i]).with_suffix(".json"), {"step": history.step, "loss": history.loss})
    samples = list(training_samples(config.recipe, config.n_validation, validation_seed, mapper))
    unmeasured = Ensemble(
        folder.name, _unmeasured_card(config, folder, members), tuple(load_file(folder / name) for name in members)
    )
    save_card(folder, _measured(unmeasured, samples))
    return Ensemble.load(folder)


def _claim(folder: Path, config: TrainingConfig) -> None:
    """Record what the folder is for, or refuse it."""
    path = folder / "training.json"
    value = config.model_dump(mode="json")
    if not path.exists():
        write_json(path, value)
    elif read_json(path) != value:
        raise ModelError(f"{folder} holds members of another training configuration", wanted="another --out folder")


def _unmeasured_card(config: TrainingConfig, folder: Path, members: list[str]) -> EnsembleCard:
    return EnsembleCard(
        classes=CLASSES,
        filters=config.filters,
        layers=config.layers,
        pixel_size_A=config.recipe.pixel_size_A,
        atom_radius_A=config.recipe.atom_radius_A,
        sigma_floor_A=0.05,
        sigma_scale=1.0,
        members=tuple(members),
        training={
            "config": config.model_dump(mode="json"),
            "versions": _versions(),
            "weights_sha256": [sha256(folder / name) for name in members],
        },
    )


def _training_images(
    config: TrainingConfig, seed: np.random.SeedSequence, progress: Progress, mapper: Callable[..., Any]
) -> tuple[np.ndarray, np.ndarray]:
    n = config.recipe.n_pixels
    images = np.empty((config.n_samples, n, n), np.float32)
    masks = np.empty(images.shape, np.uint8)
    for i, sample in enumerate(training_samples(config.recipe, config.n_samples, seed, mapper)):
        images[i] = normalise(sample.image[None], config.recipe.pixel_size_A)[0]
        masks[i] = sample.mask
        progress("training images", i + 1, config.n_samples, float("nan"))
    return images, masks


def _measured(ensemble: Ensemble, samples: list[TrainingSample]) -> EnsembleCard:
    """Card with metrics on held-out images, and the position uncertainty fitted on them."""
    card, pixel_A = ensemble.card, ensemble.card.pixel_size_A
    totals: dict[str, Score] = {}
    errors, spreads = [], []
    for sample in samples:
        found = decode_frame(sample.image, pixel_A, ensemble, refine=False)
        true_A = sample.positions_px * pixel_A
        field_A = (sample.image.shape[1] * pixel_A, sample.image.shape[0] * pixel_A)
        for symbol, one in score(found.positions_A, found.species, true_A, sample.species, field_A).items():
            totals[symbol] = totals.get(symbol, Score()) + one
        pairs = match(found.positions_A, true_A)
        pairs = pairs[away_from_edge(true_A[pairs[:, 1]], field_A)]
        errors.append(found.positions_A[pairs[:, 0]] - true_A[pairs[:, 1]])
        spreads.append(found.spread_A[pairs[:, 0]])
    if not any(len(one) for one in errors):
        raise ModelError("the ensemble finds no atom of the held-out images", wanted="more `steps` or `n_samples`")
    floor_A, scale = fit_sigma(np.concatenate(errors), np.concatenate(spreads))
    metrics = {
        symbol: {"precision": total.precision, "recall": total.recall, "rmse_A": total.rmse_A, "n_true": total.n_true}
        for symbol, total in totals.items()
        if total.n_matched
    }
    return card.model_copy(update={"sigma_floor_A": floor_A, "sigma_scale": scale, "metrics": metrics})


def fit_sigma(errors_A: np.ndarray, spread_A: np.ndarray) -> tuple[float, float]:
    """Maximum-likelihood floor and scale of sigma² = floor² + (scale * spread)².

    Parameters
    ----------
    errors_A
        Errors (x, y) of found positions [Å], with shape (n, 2).
    spread_A
        Spread of the members per axis [Å], with shape (n,).

    Returns
    -------
    floor_A : float
        Uncertainty that all members share [Å].
    scale : float
        Factor on the spread.
    """
    squared = (np.asarray(errors_A) ** 2).mean(axis=1)

    def loss(logarithms: np.ndarray) -> float:
        floor, scale = np.exp(logarithms)
        variance = floor**2 + (scale * spread_A) ** 2
        return float(np.mean(np.log(variance) + squared / variance))

    best = optimize.minimize(loss, np.log([0.05, 1.0]), method="Nelder-Mead")
    return tuple(float(x) for x in np.exp(best.x))  # type: ignore[return-value]


def _versions() -> dict[str, str]:
    import torch

    return {
        "hpcstem": hpcstem.__version__,
        "torch": torch.__version__,
        "torch_threads": str(torch.get_num_threads()),
        "numpy": np.__version__,
        "python": platform.python_version(),
    }
