"""The variational autoencoder that tells what is in a sub-image from how it is turned and shifted.

The decoder draws a pixel from its coordinates, turned and shifted by three of the latents [1]_, as in [2]_. The encoder
sees the image on rings, where a turn by a whole number of steps is a shift. Of the evenly spaced starts one is chosen
for each image, as that with the best evidence; the encoder, which then sees the image turned back by it, gives the rest
of the angle, with the narrow prior of [2]_.

References
----------
.. [1] T. Bepler et al., Explicitly disentangling image content from translation and rotation with spatial-VAE,
   NeurIPS 32 (2019), https://arxiv.org/abs/1909.11663
.. [2] S. V. Kalinin et al., Disentangling rotational dynamics and ordering transitions in a system of self-organizing
   protein nanorods via rotationally invariant latent representations; M. Ziatdinov et al., Science Advances 7, eabd5084
   (2021), https://doi.org/10.1126/sciadv.abd5084
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch.nn import functional

from hpcstem.latent.decoder import CoordinateDecoder, pixel_grid
from hpcstem.latent.encoder import ConvolutionEncoder, DenseEncoder
from hpcstem.latent.model import Draws, Scaled
from hpcstem.latent.polar import PolarGrid
from hpcstem.latent.settings import RotationalConfig

_TEMPLATE_CONTENT = 1.5
"""Content of the templates besides that of the prior's mean, standard deviations of the prior."""
_SCORED_IN_TRAINING = 64
_SCORED_AT_LAST = 256
_ROWS_IN_CACHE = 5120
"""Pixels whose hidden layers stay in the cache of a core."""


@dataclass(frozen=True, eq=False)
class Posterior:
    """What the encoder says of some images.

    Parameters
    ----------
    angle_rad
        Counter-clockwise turn, as shown, in (-π, π] [rad], with shape (n,), float32.
    angle_deviation_rad
        Its standard deviation [rad], with shape (n,), float32.
    shift
        Displacement (x, y) of the content, y down, half widths of the window, with shape (n, 2), float32.
    content, content_deviation
        Content latents and their standard deviations, with shape (n, n_content), float32.
    label
        Class, with shape (n,), int64.
    negative_elbo
        Loss at the mean of the latents, over all pixels, with shape (n,), float32.
    """

    angle_rad: np.ndarray
    angle_deviation_rad: np.ndarray
    shift: np.ndarray
    content: np.ndarray
    content_deviation: np.ndarray
    label: np.ndarray
    negative_elbo: np.ndarray


class RotationalVAE(Scaled):
    """A rotationally invariant variational autoencoder.

    Parameters
    ----------
    n_pixels
        Side of the images [px].
    settings
        Sizes and priors.
    """

    def __init__(self, n_pixels: int, settings: RotationalConfig) -> None:
        super().__init__()
        self.n_pixels, self.settings = n_pixels, settings
        self.rings = PolarGrid(n_pixels, settings.n_turns)
        n_latents = 3 + settings.n_content
        encoder = DenseEncoder if settings.encoder == "dense" else ConvolutionEncoder
        self.encoder = encoder(
            self.rings.n_rings, self.rings.n_angles, settings.n_classes, n_latents, settings.n_hidden
        )
        self.decoder = CoordinateDecoder(settings.n_content + settings.n_classes, settings.n_hidden)
        self.grid = pixel_grid(n_pixels)
        self.disc = (self.grid[..., :2].norm(dim=-1) <= 1.0).flatten().nonzero()[:, 0]
        spread = [settings.angle_sigma_rad, *[settings.shift_sigma] * 2, *[1.0] * settings.n_content]
        self.prior = torch.tensor(spread)
        self.at_once = max(1, _ROWS_IN_CACHE * settings.pixel_stride**2 // n_pixels**2)

    def draw(self, n: int, generator: torch.Generator) -> Draws:
        """Draw what is random for `n` images."""
        normal = torch.randn(n, len(self.prior), generator=generator)
        row, column = torch.randint(self.settings.pixel_stride, (2,), generator=generator).tolist()
        order = torch.randperm(len(self.disc), generator=generator)
        unchosen = torch.zeros(n, dtype=torch.int64)
        return Draws(normal, (row, column), self.disc[order[:_SCORED_IN_TRAINING]], unchosen, unchosen)

    @torch.no_grad()
    def choose(self, images: torch.Tensor, draws: Draws) -> Draws:
        """Choose the start of the angle, and the class, of each image."""
        settings = self.settings
        n_starts = settings.n_turns * settings.n_classes
        if n_starts == 1:
            return draws
        images = self.scaled(images)
        samples = self.rings.sample(images)
        n_candidates = min(settings.n_candidates, n_starts)
        candidates = self._template_misfit(samples).topk(n_candidates, dim=1, largest=False).indices
        if n_candidates > 1:
            rows = max(1, _ROWS_IN_CACHE // (n_candidates * len(draws.scored)))
            parts = zip(images.split(rows), samples.split(rows), candidates.split(rows), strict=True)
            best = torch.cat([self._loss_of(*part, draws.scored).argmin(dim=1) for part in parts])
            candidates = candidates.gather(1, best[:, None])
        chosen = candidates[:, 0]
        return replace(draws, turn=chosen % settings.n_turns, label=chosen // settings.n_turns)

    def negative_elbo(self, images: torch.Tensor, draws: Draws, kl_weight: float) -> torch.Tensor:
        """Loss of each image, with shape (n,), from the pixels of one phase and one draw of the latents."""
        images = self.scaled(images)
        mean, log_deviation = self._latents(self.rings.sample(images), draws.turn, draws.label)
        latents = mean + draws.normal * log_deviation.exp()
        stride, (row, column) = self.settings.pixel_stride, draws.phase
        pixels = images[:, row::stride, column::stride].flatten(1)
        drawn = self._decoded(self.grid[row::stride, column::stride].reshape(-1, 3), latents, draws.turn, draws.label)
        return stride**2 * self._misfit(drawn, pixels) + kl_weight * self._divergence(mean, log_deviation)

    @torch.no_grad()
    def encode(self, images: torch.Tensor) -> Posterior:
        """Latents of images (n, n_pixels, n_pixels)."""
        steps = torch.linspace(0, len(self.disc) - 1, min(_SCORED_AT_LAST, len(self.disc))).long()
        none = torch.zeros(len(images), dtype=torch.int64)
        chosen = self.choose(images, Draws(torch.empty(0), (0, 0), self.disc[steps], none, none))
        scaled = self.scaled(images)
        mean, log_deviation = self._latents(self.rings.sample(scaled), chosen.turn, chosen.label)
        angle = mean[:, 0] + chosen.turn * (2.0 * math.pi / self.settings.n_turns)
        rows = max(1, _ROWS_IN_CACHE // self.n_pixels**2)
        loss = []
        for part in range(0, len(images), rows):
            here = slice(part, part + rows)
            drawn = self._decoded(self.grid.reshape(-1, 3), mean[here], chosen.turn[here], chosen.label[here])
            misfit = self._misfit(drawn, scaled[here].flatten(1))
            loss.append(misfit + self._divergence(mean[here], log_deviation[here]))
        x, y = mean[:, 1], mean[:, 2]
        right = torch.cos(angle) * x - torch.sin(angle) * y
        up = torch.sin(angle) * x + torch.cos(angle) * y
        deviation = log_deviation.exp()
        return Posterior(
            torch.atan2(torch.sin(angle), torch.cos(angle)).numpy(),
            deviation[:, 0].numpy(),
            torch.stack([right, -up], dim=1).numpy(),
            mean[:, 3:].numpy(),
            deviation[:, 3:].numpy(),
            chosen.label.numpy(),
            torch.cat(loss).numpy(),
        )

    @torch.no_grad()
    def decode(self, content: torch.Tensor, label: torch.Tensor, angle_rad: torch.Tensor) -> torch.Tensor:
        """Draw contents (n, n_content) of classes (n,) at angles (n,): (n, n_pixels, n_pixels), as the images were."""
        hot = functional.one_hot(label, self.settings.n_classes).to(content.dtype)
        drawn = [
            self.decoder(self.grid.reshape(-1, 3), angle[None], torch.zeros(1, 2), inside[None])
            for angle, inside in zip(angle_rad, torch.cat([content, hot], dim=1), strict=True)
        ]
        return self.unscaled(torch.cat(drawn).reshape(-1, self.n_pixels, self.n_pixels))

    def _latents(
        self, samples: torch.Tensor, turn: torch.Tensor, label: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Means and logarithms of standard deviations, from samples turned back by their starts."""
        hot = functional.one_hot(label, self.settings.n_classes).to(samples.dtype)
        mean, deviation = self.encoder(self.rings.turned_back(samples, turn), hot)
        # In units of the prior, so that an untrained encoder says what the prior says.
        return mean * self.prior, (deviation + self.prior.log()).clamp(-10.0, 3.0)

    def _decoded(
        self, grid: torch.Tensor, latents: torch.Tensor, turn: torch.Tensor, label: torch.Tensor
    ) -> torch.Tensor:
        angle = latents[:, 0] + turn * (2.0 * math.pi / self.settings.n_turns)
        hot = functional.one_hot(label, self.settings.n_classes).to(latents.dtype)
        drawn: torch.Tensor = self.decoder(grid, angle, latents[:, 1:3], torch.cat([latents[:, 3:], hot], dim=1))
        return drawn

    def _misfit(self, drawn: torch.Tensor, pixels: torch.Tensor) -> torch.Tensor:
        """Half the squared error over the variance of the noise, summed over pixels."""
        return (drawn - pixels).square().sum(dim=-1) / (2.0 * self.settings.noise**2)

    def _divergence(self, mean: torch.Tensor, log_deviation: torch.Tensor) -> torch.Tensor:
        """Kullback-Leibler divergence from the prior, that of the chosen start and class from even odds included."""
        log_ratio = log_deviation - self.prior.log()
        continuous = 0.5 * ((mean / self.prior).square() + (2.0 * log_ratio).exp() - 1.0) - log_ratio
        return continuous.sum(dim=-1) + math.log(self.settings.n_turns * self.settings.n_classes)

    def _loss_of(
        self, images: torch.Tensor, samples: torch.Tensor, candidates: torch.Tensor, scored: torch.Tensor
    ) -> torch.Tensor:
        """Loss of each image with each of its candidates, from some pixels, with shape (n, n_candidates)."""
        n_candidates = candidates.shape[1]
        starts = candidates.flatten()
        turn, label = starts % self.settings.n_turns, starts // self.settings.n_turns
        mean, log_deviation = self._latents(samples.repeat_interleave(n_candidates, 0), turn, label)
        drawn = self._decoded(self.grid.reshape(-1, 3)[scored], mean, turn, label)
        pixels = images.flatten(1)[:, scored].repeat_interleave(n_candidates, 0)
        misfit = self._misfit(drawn, pixels) * (self.n_pixels**2 / len(scored))
        return (misfit + self._divergence(mean, log_deviation)).reshape(-1, n_candidates)

    def _template_misfit(self, samples: torch.Tensor) -> torch.Tensor:
        """Squared error of samples (n, n_rings, n_angles) to the best template at each start: (n, n_starts).

        A template is what the decoder draws at the middle of the prior, or out along one of the content latents.
        """
        n_content, n_classes = self.settings.n_content, self.settings.n_classes
        steps = torch.eye(n_content) * _TEMPLATE_CONTENT
        content = torch.cat([torch.zeros(1, n_content), steps, -steps])
        hot = torch.eye(n_classes)
        inside = torch.cat([content.repeat(n_classes, 1), hot.repeat_interleave(len(content), 0)], dim=1)
        still = torch.zeros(len(inside))
        drawn = self.decoder(self.rings.coordinates, still, torch.zeros(len(inside), 2), inside)
        templates = self.rings.all_turned(self.rings.weighted(drawn))
        squares = templates.square().sum(dim=-1).flatten()
        misfit = squares - 2.0 * samples.flatten(1) @ templates.flatten(0, 1).T
        misfit = misfit.reshape(len(samples), n_classes, len(content), self.settings.n_turns)
        return misfit.amin(dim=2).flatten(1)
