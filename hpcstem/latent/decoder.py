"""The decoder that draws an image pixel by pixel from coordinates, of which all images share one grid.

Turning and shifting the coordinates of an image is an affine map of three numbers, and so is the first layer: both are
one small matrix for each image, multiplied with the shared grid.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.nn import functional

_STEEPNESS = 16.0
"""Factor on the first weights of the first layer as PyTorch makes them."""


class CoordinateDecoder(nn.Module):
    """Two hidden layers of tanh from coordinates and content to the value of a pixel.

    Parameters
    ----------
    n_content
        Latents that say what is in an image.
    n_hidden
        Neurons in each hidden layer.
    """

    def __init__(self, n_content: int, n_hidden: int) -> None:
        super().__init__()
        self.coordinates = nn.Linear(2, n_hidden)
        self.content = nn.Linear(n_content, n_hidden, bias=False)
        self.hidden = nn.Linear(n_hidden, n_hidden)
        self.value = nn.Linear(n_hidden, 1)
        with torch.no_grad():
            # Steps as wide as an atom and not as the window, from which atoms are learned many times as fast.
            self.coordinates.weight.mul_(_STEEPNESS)
            self.coordinates.bias.mul_(_STEEPNESS)

    def forward(
        self, grid: torch.Tensor, angle: torch.Tensor, shift: torch.Tensor, content: torch.Tensor
    ) -> torch.Tensor:
        """Draw images.

        Parameters
        ----------
        grid
            Homogeneous coordinates (x, y, 1) of the pixels, shared by all images, with shape (n_pixels, 3).
        angle
            Counter-clockwise turn of the content [rad], with shape (n,).
        shift
            Displacement of the content before it is turned, half widths of the window, with shape (n, 2).
        content
            With shape (n, n_content).

        Returns
        -------
        torch.Tensor
            With shape (n, n_pixels).
        """
        weight = self.coordinates.weight
        cosine, sine = torch.cos(angle)[:, None], torch.sin(angle)[:, None]
        # Rows of `turned` are what x and y of the image count in the first layer, once turned back by the angle.
        turned = (cosine * weight[:, 0] - sine * weight[:, 1], sine * weight[:, 0] + cosine * weight[:, 1])
        constant = self.coordinates.bias + self.content(content) - shift @ weight.T
        # tanh(x) is 2 s(2 x) - 1 with s the logistic function, which takes a tenth of the time of tanh; the factors
        # and the constant go into the weights on either side.
        hidden, value = self.hidden, self.value
        lit = torch.sigmoid(torch.matmul(grid, 2.0 * torch.stack([*turned, constant], dim=1)))
        weight = 2.0 * hidden.weight
        lit = torch.sigmoid(functional.linear(lit, 2.0 * weight, 2.0 * hidden.bias - weight.sum(dim=1)))
        weight = 2.0 * value.weight
        return functional.linear(lit, weight, value.bias - weight.sum(dim=1) / 2.0)[..., 0]


def pixel_grid(n_pixels: int) -> torch.Tensor:
    """Homogeneous coordinates (x, y, 1) of the pixels of a square image, with shape (n_pixels, n_pixels, 3).

    x goes right and y up, from -1 to 1 between the centres of the outermost pixels.
    """
    step = np.linspace(-1.0, 1.0, n_pixels, dtype=np.float32)
    y, x = np.meshgrid(-step, step, indexing="ij")
    return torch.from_numpy(np.stack([x, y, np.ones_like(x)], axis=-1))
