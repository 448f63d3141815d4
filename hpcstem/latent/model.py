"""What training asks of a model, and what the models share."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import nn

from hpcstem.config import Section


@dataclass(frozen=True, eq=False)
class Draws:
    """What is random in a step of training, and which discrete latents were chosen.

    Parameters
    ----------
    normal
        Standard normal numbers for the latents, with shape (n, n_latents).
    phase
        First row and column of the pixels that are drawn.
    scored
        Numbers of the pixels on which candidates are weighed, with shape (n_scored,).
    turn, label
        Start of the angle and class of each image, with shape (n,), int64.
    """

    normal: torch.Tensor
    phase: tuple[int, int]
    scored: torch.Tensor
    turn: torch.Tensor
    label: torch.Tensor

    def part(self, rows: slice) -> Draws:
        """Those of some images."""
        return replace(self, normal=self.normal[rows], turn=self.turn[rows], label=self.label[rows])


class LatentModel(Protocol):
    """What a network has besides, to be trained; see `Scaled`."""

    settings: Section
    """How it was made."""
    at_once: int
    """Images whose gradient is best taken at once, so that what is in between stays in a core's cache."""

    def draw(self, n: int, generator: torch.Generator) -> Draws:
        """Draw what is random for `n` images."""
        ...

    def choose(self, images: torch.Tensor, draws: Draws) -> Draws:
        """Choose the discrete latents of images, without a gradient."""
        ...

    def negative_elbo(self, images: torch.Tensor, draws: Draws, kl_weight: float) -> torch.Tensor:
        """Loss of each image, with shape (n,)."""
        ...


class Scaled(nn.Module):
    """A network that brings its images to mean 0 and variance 1, by numbers that are part of its weights."""

    level: torch.Tensor
    contrast: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("level", torch.zeros(()))
        self.register_buffer("contrast", torch.ones(()))

    def set_scale(self, level: float, contrast: float) -> None:
        """Set the mean and the standard deviation of the values of all images."""
        self.level.fill_(level)
        self.contrast.fill_(contrast)

    def scaled(self, images: torch.Tensor) -> torch.Tensor:
        """Images with mean 0 and variance 1."""
        return (images - self.level) / self.contrast

    def unscaled(self, images: torch.Tensor) -> torch.Tensor:
        """Images as they were before."""
        return images * self.contrast + self.level
