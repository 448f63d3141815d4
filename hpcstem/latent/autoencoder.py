"""The convolutional autoencoder of [1]_, plain or variational, which does not know of turns.

References
----------
.. [1] M. Ziatdinov et al., Science Advances 7, eabd5084 (2021), https://doi.org/10.1126/sciadv.abd5084
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from hpcstem.errors import HpcstemError
from hpcstem.latent.model import Draws, Scaled
from hpcstem.latent.settings import AutoencoderConfig


class ConvolutionalAutoencoder(Scaled):
    """Convolutions of 32 and 64 filters with stride 2, a dense layer to the latents, and the same way back.

    Parameters
    ----------
    n_pixels
        Side of the images [px], a multiple of 4.
    settings
        Latents, and whether they are variational.

    Raises
    ------
    HpcstemError
        `n_pixels` is no multiple of 4.
    """

    at_once = 50

    def __init__(self, n_pixels: int, settings: AutoencoderConfig) -> None:
        super().__init__()
        if n_pixels % 4:
            raise HpcstemError("pixels of a sub-image", n_pixels, "a multiple of 4")
        self.n_pixels, self.settings = n_pixels, settings
        n_outputs = settings.n_content * (2 if settings.variational else 1)
        quarter = n_pixels // 4
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 32, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 64, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(64 * quarter**2, n_outputs),
        )
        self.decoder = nn.Sequential(
            nn.Linear(settings.n_content, 64 * quarter**2),
            nn.ReLU(),
            nn.Unflatten(1, (64, quarter, quarter)),
            nn.ConvTranspose2d(64, 32, 3, stride=2, padding=1, output_padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(32, 1, 3, stride=2, padding=1, output_padding=1),
        )

    def draw(self, n: int, generator: torch.Generator) -> Draws:
        """Draw what is random for `n` images."""
        normal = torch.randn(n, self.settings.n_content, generator=generator)
        none = torch.zeros(n, dtype=torch.int64)
        return Draws(normal, (0, 0), none[:0], none, none)

    def choose(self, images: torch.Tensor, draws: Draws) -> Draws:
        """Return the same draws: nothing is discrete."""
        return draws

    def negative_elbo(self, images: torch.Tensor, draws: Draws, kl_weight: float) -> torch.Tensor:
        """Loss of each image, with shape (n,): for the plain one, half its squared error over the noise's variance."""
        images = self.scaled(images)
        mean, log_deviation = self._latents(images)
        latents, divergence = mean, torch.zeros(len(images))
        if self.settings.variational:
            latents = mean + draws.normal * log_deviation.exp()
            divergence = 0.5 * (mean.square() + (2.0 * log_deviation).exp() - 1.0 - 2.0 * log_deviation).sum(dim=1)
        misfit = (self.decoder(latents)[:, 0] - images).square().sum(dim=(1, 2)) / (2.0 * self.settings.noise**2)
        return misfit + kl_weight * divergence

    @torch.no_grad()
    def encode(self, images: torch.Tensor) -> np.ndarray:
        """Mean of the latents of images: (n, n_content), float32."""
        return np.asarray(self._latents(self.scaled(images))[0].numpy())

    @torch.no_grad()
    def decode(self, content: torch.Tensor) -> torch.Tensor:
        """Draw contents (n, n_content): (n, n_pixels, n_pixels), as the images were."""
        return self.unscaled(self.decoder(content)[:, 0])

    def _latents(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        found = self.encoder(images[:, None])
        if not self.settings.variational:
            return found, torch.zeros_like(found)
        mean, log_deviation = found.chunk(2, dim=1)
        return mean, log_deviation.clamp(-10.0, 3.0)
