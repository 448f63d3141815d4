"""Training of an ensemble, from a recipe to a folder that `Ensemble.load` reads."""

from __future__ import annotations

import platform
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
from pydantic import ValidationError
from scipy import optimize

import hpcstem
from hpcstem.device import find_device
from hpcstem.errors import HpcstemError, ModelError
from hpcstem.files import read_json, sha256, write_json
from hpcstem.imaging.masks import CLASSES
from hpcstem.imaging.training import TrainingSample, training_samples
from hpcstem.process_group import SingleProcess
from hpcstem.segmentation.decoding import decode_frame
from hpcstem.segmentation.ensemble import Ensemble, EnsembleCard, save_card, save_member
from hpcstem.segmentation.score import Score, away_from_edge, match, score
from hpcstem.segmentation.training import Conduct, train_member
from hpcstem.segmentation.training_config import TrainingConfig
from hpcstem.segmentation.training_set import (
    Run,
    is_training_set,
    open_training_set,
    run_here,
    training_set_digest,
    write_training_set,
)

Progress = Callable[[str, int, int, float], None]
"""Called with what is being done, steps done, steps in all, and the loss (NaN where there is none)."""

_TRAINING_SET = "training-set"


def train_ensemble(
    config: TrainingConfig,
    folder: Path,
    progress: Progress = lambda task, done, total, loss: None,
    run: Run = run_here,
    stop_requested: Callable[[], bool] = lambda: False,
) -> Ensemble:
    """Train the members that are missing in `folder`, one after another in this process; measure; write the card.

    A member that is there already and was trained from the same configuration is kept, and one that was broken off
    goes on from its checkpoint.

    Parameters
    ----------
    config
        What to train.
    folder
        Where the ensemble goes.
    progress
        Follows the work.
    run
        Runs the drawing of training images: the `run` of an executor.
    stop_requested
        Asked after each step; true ends the training with a checkpoint.

    Raises
    ------
    ModelError
        `folder` holds an ensemble of another configuration, or the ensemble finds none of the held-out atoms.
    TrainingStopped
        Stopped as asked.
    """
    folder = Path(folder)
    device = find_device()
    for member in prepare(config, folder, progress, run):

        def follow(step: int, loss: float, task: str = member_task(config, member)) -> None:
            progress(task, step, config.steps, loss)

        conduct = Conduct(SingleProcess(), device, checkpoint_path(folder, member), stop_requested=stop_requested)
        train_one(config, folder, member, follow, conduct)
    return measure(config, folder)


def member_task(config: TrainingConfig, member: int) -> str:
    """What progress calls the training of a member, which counts from 0."""
    return f"member {member + 1} of {config.members}"


def prepare(
    config: TrainingConfig,
    folder: Path,
    progress: Progress = lambda task, done, total, loss: None,
    run: Run = run_here,
) -> list[int]:
    """Claim a folder, draw the training images if a member or they are missing; return the numbers of missing members.

    Raises
    ------
    ModelError
        `folder` holds an ensemble of another configuration.
    """
    _claim(folder, config)
    files = [_member_path(folder, member) for member in range(config.members)]
    missing = [i for i, path in enumerate(files) if not (path.is_file() and path.with_suffix(".json").is_file())]
    if missing or not is_training_set(folder / _TRAINING_SET):
        write_training_set(
            folder / _TRAINING_SET,
            config.recipe,
            config.n_samples,
            _seeds(config)[0],
            lambda done: progress("training images", done, config.n_samples, float("nan")),
            run,
        )
    return missing


def train_one(
    config: TrainingConfig, folder: Path, member: int, on_step: Callable[[int, float], None], conduct: Conduct
) -> None:
    """Train one member on the images that `prepare` drew; rank 0 writes its files."""
    images, masks = open_training_set(folder / _TRAINING_SET, config.mix, config.mix_share)
    weights, history = train_member(images, masks, config, _seeds(config)[2 + member], on_step, conduct)
    if conduct.group.rank == 0:
        path = _member_path(folder, member)
        save_member(path, weights)
        write_json(path.with_suffix(".json"), {"step": history.step, "loss": history.loss})
        checkpoint_path(folder, member).unlink(missing_ok=True)


def measure(config: TrainingConfig, folder: Path) -> Ensemble:
    """Measure the ensemble of all members on held-out images, and write its card; one that is of them already stays.

    Raises
    ------
    ModelError
        It finds none of their atoms.
    """
    from safetensors.torch import load_file

    paths = [_member_path(folder, member) for member in range(config.members)]
    card = _unmeasured_card(config, folder, [path.name for path in paths])
    with suppress(ModelError):
        there = Ensemble.load(folder)
        if there.card.training == card.training:
            return there
    samples = list(training_samples(config.recipe, config.n_validation, _seeds(config)[1]))
    unmeasured = Ensemble(folder.name, card, tuple(load_file(path) for path in paths))
    save_card(folder, _measured(unmeasured, samples))
    return Ensemble.load(folder)


def checkpoint_path(folder: Path, member: int) -> Path:
    """Where a member that is not done goes on from."""
    return folder / f"member-{member:02d}.checkpoint"


def _member_path(folder: Path, member: int) -> Path:
    return folder / f"member-{member:02d}.safetensors"


def _seeds(config: TrainingConfig) -> list[np.random.SeedSequence]:
    """Seeds of the training images, of the held-out images, and of each member."""
    return np.random.SeedSequence(config.seed).spawn(2 + config.members)


def _claim(folder: Path, config: TrainingConfig) -> None:
    """Record what the folder is for, or refuse it."""
    path = folder / "training.json"
    if not path.exists():
        write_json(path, config.model_dump(mode="json"))
    elif not is_trained_from(folder, config):
        raise ModelError(f"{folder} holds members of another training configuration", wanted="another --out folder")


def is_trained_from(folder: Path, config: TrainingConfig) -> bool:
    """Whether a folder is for an ensemble of this configuration; keys that it does not state have their defaults."""
    try:
        return TrainingConfig.model_validate(read_json(folder / "training.json")) == config
    except (ValidationError, HpcstemError):
        return False


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
            "training_set_sha256": training_set_digest(folder / _TRAINING_SET),
            "mix_sha256": [training_set_digest(other) for other in config.mix],
        },
    )


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
