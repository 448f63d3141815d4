"""Training of one member: cross-entropy, Adam, random symmetry and contrast of every image.

The step is written for a group of processes. Each takes its share of every batch; losses, weights of pixels and
gradients are summed over the group and batch normalisation is over the whole batch, so that any number of processes
takes the same step as one.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hpcstem.device import CPU, Device
from hpcstem.errors import ModelError
from hpcstem.ownership import owned_block
from hpcstem.process_group import ProcessGroup, SingleProcess
from hpcstem.segmentation.batches import Images, augmented_batch
from hpcstem.segmentation.checkpoint import load_checkpoint, save_checkpoint
from hpcstem.segmentation.stop_request import TrainingStopped
from hpcstem.segmentation.training_config import TrainingConfig

if TYPE_CHECKING:
    import torch


@dataclass
class TrainingHistory:
    """Loss over the steps of one member; `step` counts optimiser steps, from 1."""

    step: list[int] = field(default_factory=list)
    loss: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Conduct:
    """How a member is trained: what changes the time that it takes and not what comes out.

    Parameters
    ----------
    group
        The processes that share each batch.
    device
        What this process computes on.
    checkpoint
        File to go on from, and to write to; None for neither.
    checkpoint_every_s
        Time between checkpoints [s].
    stop_requested
        Asked after each step; if it is true in any process, all stop, and rank 0 writes a checkpoint.
    """

    group: ProcessGroup = field(default_factory=SingleProcess)
    device: Device = CPU
    checkpoint: Path | None = None
    checkpoint_every_s: float = 300.0
    stop_requested: Callable[[], bool] = lambda: False


def train_member(
    images: Images,
    masks: Images,
    config: TrainingConfig,
    seed: np.random.SeedSequence,
    on_step: Callable[[int, float], None] = lambda step, loss: None,
    conduct: Conduct | None = None,
) -> tuple[dict[str, torch.Tensor], TrainingHistory]:
    """Train one network; every process of the group calls this with the same arguments but `on_step` and `conduct`.

    Parameters
    ----------
    images
        Normalised, with shape (n, rows, columns), float32.
    masks
        Class numbers, with shape (n, rows, columns), uint8.
    config
        Sizes and rates.
    seed
        Fixes weights, order and augmentation of this member.
    on_step
        Called with the step and its loss over the whole batch.
    conduct
        The processes, the device, the checkpoint; by default one process on the CPU, without.

    Returns
    -------
    weights : dict
        State dictionary of the network, on the CPU.
    history : TrainingHistory
        Mean loss of every 20 steps.

    Raises
    ------
    ModelError
        More processes than images in a batch, or a checkpoint that is damaged or of another training.
    TrainingStopped
        Stopped as asked; the checkpoint is written.
    """
    conduct = Conduct() if conduct is None else conduct
    if conduct.group.size > config.batch_size:
        raise ModelError(
            "processes that share a batch", conduct.group.size, f"at most batch_size, which is {config.batch_size}"
        )
    member = _Member(config, seed, conduct)
    member.resume()
    saved_s = time.monotonic()
    while member.step < config.steps:
        loss, stop = member.take_step(images, masks)
        on_step(member.step, loss)
        due = time.monotonic() - saved_s >= conduct.checkpoint_every_s
        if due or (stop and member.step < config.steps):
            member.save()
            saved_s = time.monotonic()
        if stop and member.step < config.steps:
            raise TrainingStopped(
                f"stopped as asked after step {member.step} of {config.steps}; the same command goes on from there"
            )
    weights = {name: tensor.detach().cpu() for name, tensor in member.network.eval().state_dict().items()}
    return weights, member.history


class _Member:
    """Network, optimiser, random stream and losses of one member in training."""

    def __init__(self, config: TrainingConfig, seed: np.random.SeedSequence, conduct: Conduct) -> None:
        import torch

        from hpcstem.imaging.masks import CLASSES
        from hpcstem.segmentation.unet import UNet

        self.config, self.conduct = config, conduct
        identity = f"{config.model_dump_json()} {seed.entropy} {seed.spawn_key}"
        self._identity = hashlib.sha256(identity.encode()).hexdigest()
        self._dtype = torch.float64 if config.precision == "float64" else torch.float32
        self._format = torch.channels_last if conduct.device.channels_last else torch.contiguous_format
        weight_seed, order_seed = seed.spawn(2)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(weight_seed.generate_state(1)[0]))
            network = UNet(len(CLASSES), config.filters, config.layers).train()
        if conduct.group.size > 1:
            from hpcstem.segmentation.synchronised_norm import synchronise

            synchronise(network, conduct.group)
        self.network = network.to(conduct.device.torch_name, self._dtype)
        self.network.to(memory_format=self._format)  # type: ignore[call-overload]
        self._parameters = [one for one in self.network.parameters() if one.requires_grad]
        self._optimiser = torch.optim.Adam(self._parameters, lr=config.learning_rate)
        self._class_weights = torch.tensor([1.0, 1.0, config.silicon_weight]).to(self._parameters[0])
        self._rng = np.random.default_rng(order_seed)
        self.step, self.history, self._recent = 0, TrainingHistory(), list[float]()

    def take_step(self, images: Images, masks: Images) -> tuple[float, bool]:
        """Take one step together; the loss over the whole batch, and whether any process asks to stop."""
        config, group = self.config, self.conduct.group
        share = owned_block(config.batch_size, group.size, group.rank)
        batch, target = augmented_batch(images, masks, config.batch_size, self._rng, share)
        self._optimiser.zero_grad()
        loss, weight = self._loss(batch, target)
        loss.backward()
        sums = loss.new_tensor([0.0, 0.0, float(self.conduct.stop_requested())])
        sums[0], sums[1] = loss.detach(), weight
        gradients = [parameter.grad for parameter in self._parameters if parameter.grad is not None]
        group.average([*gradients, sums])
        for gradient in gradients:
            gradient /= sums[1]
        for settings in self._optimiser.param_groups:
            settings["lr"] = config.learning_rate * 0.5 * (1 + math.cos(math.pi * self.step / config.steps))
        self._optimiser.step()
        self.step += 1
        mean_loss = float(sums[0] / sums[1])
        self._record(mean_loss)
        return mean_loss, bool(sums[2] > 0)

    def _loss(self, batch: np.ndarray, target: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Sum of the weighted cross-entropy over this process's pixels, and of their weights; both per pixel."""
        import torch

        device = self.conduct.device
        inputs = torch.from_numpy(batch)[:, None].to(device.torch_name, self._dtype)
        classes = torch.from_numpy(target).to(device.torch_name)
        mixed = self.config.precision == "mixed" and device.autocast is not None
        short = getattr(torch, device.autocast or "bfloat16")
        with torch.autocast(device.kind, dtype=short, enabled=mixed):
            logits = self.network(inputs.contiguous(memory_format=self._format))
        losses = torch.nn.functional.cross_entropy(
            logits.to(self._dtype), classes, self._class_weights, reduction="sum"
        )
        # One scale for all processes, so that sums stay near 1 whatever the size of the images.
        n_pixels = self.config.batch_size * target.shape[1] * target.shape[2]
        return losses / n_pixels, self._class_weights[classes].sum() / n_pixels

    def _record(self, loss: float) -> None:
        self._recent.append(loss)
        if self.step % 20 == 0 or self.step == self.config.steps:
            self.history.step.append(self.step)
            self.history.loss.append(float(np.mean(self._recent)))
            self._recent = []

    def save(self) -> None:
        """Write the checkpoint, in rank 0; all processes are in the same state."""
        if self.conduct.checkpoint is None or self.conduct.group.rank != 0:
            return
        tensors = {f"network.{name}": tensor for name, tensor in self.network.state_dict().items()}
        for i, parameter in enumerate(self._parameters):
            for name, moment in self._optimiser.state[parameter].items():
                tensors[f"optimiser.{i}.{name}"] = moment
        values = {
            "identity": self._identity,
            "step": self.step,
            "history": [self.history.step, self.history.loss],
            "recent": self._recent,
            "random_stream": self._rng.bit_generator.state,
        }
        save_checkpoint(self.conduct.checkpoint, tensors, values)

    def resume(self) -> None:
        """Go on from the checkpoint, or begin with the weights of rank 0."""
        device = self.conduct.device.torch_name
        path = self.conduct.checkpoint
        found = None if path is None else load_checkpoint(path, self.conduct.group, device)
        if found is None:
            self.conduct.group.broadcast(self.network.state_dict().values())
            return
        tensors, values = found
        if values["identity"] != self._identity:
            raise ModelError(f"{path} is of another training", wanted="the file deleted, to begin anew")
        network = {key.removeprefix("network."): value for key, value in tensors.items() if key.startswith("network.")}
        self.network.load_state_dict(network)
        for i, parameter in enumerate(self._parameters):
            self._optimiser.state[parameter] = self._moments(i, parameter, tensors)
        self.step, self._recent = values["step"], values["recent"]
        self.history = TrainingHistory(*values["history"])
        self._rng.bit_generator.state = values["random_stream"]

    @staticmethod
    def _moments(number: int, parameter: torch.Tensor, tensors: dict[str, torch.Tensor]) -> dict[str, Any]:
        """Adam's state of one parameter, laid out in memory as it was, so that it goes on to the last bit."""
        import torch

        state: dict[str, Any] = {}
        for name in ("step", "exp_avg", "exp_avg_sq"):
            saved = tensors[f"optimiser.{number}.{name}"]
            state[name] = saved.clone() if name == "step" else torch.empty_like(parameter).copy_(saved)
        return {name: value.requires_grad_(False) for name, value in state.items()}
