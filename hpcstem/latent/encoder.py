"""Encoders from images on rings to means and logarithms of standard deviations of the latents."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from hpcstem.latent.activation import Tanh


class DenseEncoder(nn.Module):
    """Two hidden layers of tanh, for decoded maps.

    Parameters
    ----------
    n_rings, n_angles
        Of the samples.
    n_classes
        Classes, which are further inputs; 1 without the joint model.
    n_latents
        Latents, each with a mean and a standard deviation.
    n_hidden
        Neurons in each hidden layer.
    """

    def __init__(self, n_rings: int, n_angles: int, n_classes: int, n_latents: int, n_hidden: int) -> None:
        super().__init__()
        self.samples = nn.Linear(n_rings * n_angles, n_hidden)
        self.classes = nn.Linear(n_classes, n_hidden, bias=False)
        self.rest = nn.Sequential(Tanh(), nn.Linear(n_hidden, n_hidden), Tanh(), nn.Linear(n_hidden, 2 * n_latents))

    def forward(self, samples: torch.Tensor, classes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Means and logarithms of standard deviations, (n, n_latents) each, from (n, n_rings, n_angles)."""
        mean, deviation = self.rest(self.samples(samples.flatten(1)) + self.classes(classes)).chunk(2, dim=1)
        return mean, deviation


class ConvolutionEncoder(nn.Module):
    """Two convolutions that go around the rings, and one hidden layer of tanh, for raw frames.

    Parameters
    ----------
    n_rings, n_angles, n_classes, n_latents, n_hidden
        As of `DenseEncoder`.
    """

    def __init__(self, n_rings: int, n_angles: int, n_classes: int, n_latents: int, n_hidden: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 32, 3, stride=2)
        self.second = nn.Conv2d(32, 64, 3, stride=2)
        n_features = 64 * (-(-n_rings // 4)) * (-(-n_angles // 4))
        self.samples = nn.Linear(n_features, n_hidden)
        self.classes = nn.Linear(n_classes, n_hidden, bias=False)
        self.rest = nn.Sequential(Tanh(), nn.Linear(n_hidden, 2 * n_latents))

    def forward(self, samples: torch.Tensor, classes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Means and logarithms of standard deviations, (n, n_latents) each, from (n, n_rings, n_angles)."""
        maps = samples[:, None]
        for convolution in (self.first, self.second):
            maps = functional.pad(maps, (1, 1, 0, 0), mode="circular")
            maps = torch.relu(convolution(functional.pad(maps, (0, 0, 1, 1))))
        mean, deviation = self.rest(self.samples(maps.flatten(1)) + self.classes(classes)).chunk(2, dim=1)
        return mean, deviation
