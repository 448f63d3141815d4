"""Training of one member: cross-entropy, Adam, random symmetry and contrast of every image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from hpcstem.imaging.training import TrainingRecipe
from hpcstem.segmentation.architecture import LAYERS, Layers

if TYPE_CHECKING:
    import torch


class TrainingConfig(BaseModel):
    """What `hpcstem train` reads.

    Attributes
    ----------
    recipe
        What the training images are drawn from.
    n_samples, n_validation
        Training images, and simulated images held out for metrics.
    members
        Networks in the ensemble.
    steps, batch_size, learning_rate
        Of Adam; the rate falls to zero by a half cosine.
    silicon_weight
        Weight of Si pixels in the cross-entropy; Si is rare.
    seed
        Gives every random stream.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    recipe: TrainingRecipe = TrainingRecipe()
    n_samples: int = Field(2000, ge=8)
    n_validation: int = Field(64, ge=4)
    members: int = Field(3, ge=1, le=100)
    filters: int = Field(16, ge=2, le=256)
    layers: Layers = LAYERS
    steps: int = Field(2000, ge=1)
    batch_size: int = Field(8, ge=1)
    learning_rate: float = Field(1e-3, gt=0)
    silicon_weight: float = Field(2.0, gt=0)
    seed: int = Field(0, ge=0)


@dataclass
class TrainingHistory:
    """Loss over the steps of one member; `step` counts optimiser steps, from 1."""

    step: list[int] = field(default_factory=list)
    loss: list[float] = field(default_factory=list)


def train_member(
    images: np.ndarray,
    masks: np.ndarray,
    config: TrainingConfig,
    seed: np.random.SeedSequence,
    on_step: Callable[[int, float], None] = lambda step, loss: None,
) -> tuple[dict[str, torch.Tensor], TrainingHistory]:
    """Train one network.

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
        Called with the step and its loss.

    Returns
    -------
    weights : dict
        State dictionary of the network.
    history : TrainingHistory
        Mean loss of every 20 steps.
    """
    import torch

    from hpcstem.imaging.masks import CLASSES
    from hpcstem.segmentation.unet import UNet

    weight_seed, order_seed = seed.spawn(2)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(weight_seed.generate_state(1)[0]))
        network = UNet(len(CLASSES), config.filters, config.layers).train()
    # Channels last is the layout in which CPUs and tensor cores convolve fastest.
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    rng = np.random.default_rng(order_seed)
    optimiser = torch.optim.Adam(network.parameters(), lr=config.learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, config.steps)
    loss_function = torch.nn.CrossEntropyLoss(torch.tensor([1.0, 1.0, config.silicon_weight]))
    history, recent = TrainingHistory(), []
    for step in range(1, config.steps + 1):
        batch, target = _augmented_batch(images, masks, config.batch_size, rng)
        optimiser.zero_grad()
        inputs = torch.from_numpy(batch)[:, None].to(memory_format=torch.channels_last)
        loss = loss_function(network(inputs), torch.from_numpy(target))
        loss.backward()
        optimiser.step()
        schedule.step()
        recent.append(float(loss.detach()))
        on_step(step, recent[-1])
        if step % 20 == 0 or step == config.steps:
            history.step.append(step)
            history.loss.append(float(np.mean(recent)))
            recent = []
    return network.eval().state_dict(), history


def _augmented_batch(
    images: np.ndarray, masks: np.ndarray, size: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Random images, each turned, mirrored, and changed a little in contrast and level."""
    batch = np.empty((size, *images.shape[1:]), np.float32)
    target = np.empty(batch.shape, np.int64)
    for i, index in enumerate(rng.integers(len(images), size=size)):
        turn = int(rng.integers(4))
        image, mask = np.rot90(images[index], turn), np.rot90(masks[index], turn)
        if rng.integers(2):
            image, mask = image[:, ::-1], mask[:, ::-1]
        batch[i] = image * np.exp(rng.uniform(-0.35, 0.35)) + rng.uniform(-0.2, 0.2)
        target[i] = mask
    return batch, target
