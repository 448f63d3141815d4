"""Training of a model by a group of processes, kept after every epoch.

What is random in a step is drawn for the whole batch, from the seed, the epoch and the step. So the answer is the same,
but for rounding, for any number of processes, and training that goes on after a kill ends where it would have ended.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hpcstem.errors import HpcstemError
from hpcstem.latent.checkpoints import LossCurve, load_checkpoint, save_checkpoint
from hpcstem.latent.settings import TrainingConfig
from hpcstem.latent.sub_images import SubImages
from hpcstem.process_group import ProcessGroup, SingleProcess

_SCALE_SAMPLE = 2000
"""Images from which mean and variance of all are estimated."""
_SPLIT, _SCALE, _ORDER, _STEP, _HELD_OUT = range(5)
"""Streams of the seed."""

OnEpoch = Callable[[int, float, float], None]
"""Called with the epochs done, and the losses of the last one on learned and on held-out images."""


def split(n_images: int, held_out: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the images that are learned from, and of those that are held out, both ascending.

    Raises
    ------
    HpcstemError
        One of both would be empty.
    """
    n_held_out = round(held_out * n_images)
    if not 0 < n_held_out < n_images:
        raise HpcstemError("sub-images to train on", n_images, f"enough to hold out {held_out:g} of them")
    order = np.random.default_rng([seed, _SPLIT]).permutation(n_images)
    return np.sort(order[n_held_out:]), np.sort(order[:n_held_out])


def train(
    model: Any,
    images: SubImages,
    config: TrainingConfig,
    seed: int,
    checkpoint: Path | None = None,
    group: ProcessGroup | None = None,
    on_epoch: OnEpoch = lambda epoch, training, held_out: None,
) -> LossCurve:
    """Train a model; it is left with the weights of the epoch that was best on held-out images.

    Parameters
    ----------
    model
        A `hpcstem.latent.model.LatentModel`, with weights as they were made; those of rank 0 count.
    images
        What it learns from; every process reads its share.
    config
        Sizes, rates and schedule.
    seed
        Fixes everything that is drawn but the first weights.
    checkpoint
        File in which rank 0 keeps the state after every epoch, and from which training goes on.
    group
        Processes that train together; one by default.
    on_epoch
        Called after every epoch.

    Raises
    ------
    HpcstemError
        Too few images, or a checkpoint of something else.
    """
    group = SingleProcess() if group is None else group
    run = _Run(model, images, config, seed, group)
    run.start(checkpoint)
    while not run.finished:
        run.epoch()
        if checkpoint is not None and group.rank == 0:
            save_checkpoint(checkpoint, run.tensors(), run.curve, run.fingerprint)
        on_epoch(run.curve.n_epochs, run.curve.training[-1], run.curve.held_out[-1])
    model.load_state_dict(run.best)
    group.barrier()
    return run.curve


class _Run:
    """State of one training."""

    def __init__(self, model: Any, images: SubImages, config: TrainingConfig, seed: int, group: ProcessGroup) -> None:
        self.model, self.images, self.config, self.seed, self.group = model, images, config, seed, group
        self.learned, self.held_out = split(len(images), config.held_out, seed)
        self.parameters = list(model.parameters())
        self.optimiser = torch.optim.Adam(self.parameters, lr=config.learning_rate)
        self.curve = LossCurve()
        self.best: dict[str, torch.Tensor] = {}
        self.fingerprint = ""

    def start(self, checkpoint: Path | None) -> None:
        """Take the state from a checkpoint if there is one, or begin; then rank 0 gives its state to all."""
        sample = np.random.default_rng([self.seed, _SCALE]).choice(
            self.learned, min(_SCALE_SAMPLE, len(self.learned)), replace=False
        )
        values = self.images.read(np.sort(sample))
        if not values.std() > 0:
            raise HpcstemError("sub-images", "one value throughout", "images")
        scale = float(values.mean()), float(values.std())
        self.model.set_scale(*scale)
        self.fingerprint = self._fingerprint(scale)
        for parameter in self.parameters:
            # Adam makes these at its first step; here they have to be there to be read or received.
            zeros = {key: torch.zeros_like(parameter) for key in ("exp_avg", "exp_avg_sq")}
            self.optimiser.state[parameter] = {"step": torch.zeros(()), **zeros}
        self.best = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}
        curve = LossCurve()
        if checkpoint is not None and self.group.rank == 0 and checkpoint.is_file():
            stored, curve = load_checkpoint(checkpoint, self.fingerprint)
            for name, tensor in self.tensors().items():
                tensor.copy_(stored[name])
        n_epochs = torch.tensor([curve.n_epochs])
        self.group.broadcast([*self.tensors().values(), n_epochs])
        losses = torch.zeros(2, int(n_epochs), dtype=torch.float64)
        if self.group.rank == 0:
            losses = torch.tensor([curve.training, curve.held_out], dtype=losses.dtype)
        if losses.numel():
            self.group.broadcast([losses])
        self.curve = LossCurve(*losses.tolist())

    def _fingerprint(self, scale: tuple[float, float]) -> str:
        """Hash of what is trained on what and how; the number of epochs may change."""
        shapes = {name: list(tensor.shape) for name, tensor in self.model.state_dict().items()}
        settings = self.config.model_dump(exclude={"epochs"})
        images = [len(self.images), self.images.n_pixels, *scale]
        described = [type(self.model).__name__, repr(self.model.settings), shapes, settings, self.seed, images]
        return hashlib.sha256(json.dumps(described).encode()).hexdigest()

    def tensors(self) -> dict[str, torch.Tensor]:
        """All that training changes, by name; the tensors themselves."""
        found = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        found |= {f"best.{name}": tensor for name, tensor in self.best.items()}
        for number, parameter in enumerate(self.parameters):
            found |= {f"adam.{number}.{key}": value for key, value in self.optimiser.state[parameter].items()}
        return found

    @property
    def finished(self) -> bool:
        """Whether the last epoch is done, or none of the last few was better on held-out images."""
        losses, config = self.curve.held_out, self.config
        if len(losses) >= config.epochs:
            return True
        since = min(config.kl_epochs, len(losses))
        counted = losses[since:]
        return bool(counted) and len(counted) - 1 - int(np.argmin(counted)) >= config.patience

    def epoch(self) -> None:
        """Go once over the images that are learned from, and measure the loss on the others."""
        number, config = self.curve.n_epochs, self.config
        order = np.random.default_rng([self.seed, _ORDER, number]).permutation(self.learned)
        weight = config.kl_weight(number)
        total = torch.zeros((), dtype=torch.float64)
        for images, draws, n_batch in self._shares(order, _STEP, number):
            self.optimiser.zero_grad(set_to_none=False)
            for begin in range(0, len(images), self.model.at_once):
                rows = slice(begin, begin + self.model.at_once)
                loss = self.model.negative_elbo(images[rows], draws.part(rows), weight).sum()
                total += loss.detach()
                # The mean over processes of their sums, times their number, is the sum over the batch.
                (loss * (self.group.size / n_batch)).backward()
            for parameter in self.parameters:
                if parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)
            self.group.average([parameter.grad for parameter in self.parameters if parameter.grad is not None])
            self.optimiser.step()
        held_out = self._held_out_loss()
        losses = torch.stack([total * self.group.size, held_out * self.group.size])
        self.group.average([losses])
        training, held_out_mean = float(losses[0]) / len(order), float(losses[1]) / len(self.held_out)
        if not np.isfinite([training, held_out_mean]).all():
            raise HpcstemError(f"loss of epoch {number + 1}", training, "a finite number: a lower `learning_rate`")
        counted = self.curve.held_out[min(config.kl_epochs, number) :]
        self.curve.training.append(training)
        self.curve.held_out.append(held_out_mean)
        if not counted or held_out_mean < min(counted):
            self.best = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}

    @torch.no_grad()
    def _held_out_loss(self) -> torch.Tensor:
        """Sum of the loss over this process's share of the held-out images, drawn alike in every epoch."""
        total = torch.zeros((), dtype=torch.float64)
        for images, draws, _ in self._shares(self.held_out, _HELD_OUT, 0):
            for begin in range(0, len(images), self.model.at_once):
                rows = slice(begin, begin + self.model.at_once)
                total += self.model.negative_elbo(images[rows], draws.part(rows), 1.0).sum()
        return total

    def _shares(self, order: np.ndarray, stream: int, number: int) -> Iterator[tuple[torch.Tensor, Any, int]]:
        """Images of this process in each batch, what is drawn for them, and the number of images in the batch."""
        size, group = self.config.batch_size, self.group
        for step, begin in enumerate(range(0, len(order), size)):
            batch = order[begin : begin + size]
            rows = slice(group.rank * len(batch) // group.size, (group.rank + 1) * len(batch) // group.size)
            state = np.random.SeedSequence([self.seed, stream, number, step]).generate_state(1, np.uint64)
            generator = torch.Generator().manual_seed(int(state[0] >> 1))
            draws = self.model.draw(len(batch), generator).part(rows)
            images = torch.from_numpy(self.images.read(batch[rows]))
            # The last batch may have fewer images than there are processes.
            yield images, self.model.choose(images, draws) if len(images) else draws, len(batch)
