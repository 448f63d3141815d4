"""Square images on rings around their middle, where a turn is a shift."""

from __future__ import annotations

import numpy as np
import torch


class PolarGrid:
    """Samples images on rings, so that turns by whole steps lose nothing.

    Parameters
    ----------
    n_pixels
        Side of the images [px].
    n_turns
        Evenly spaced angles by which samples can be turned.

    Attributes
    ----------
    n_rings, n_angles
        Rings, and samples on each, a multiple of `n_turns`. Rings end at the image's edge; its corners are not seen.
    coordinates
        Homogeneous coordinates (x, y, 1) of the samples as of the decoder's pixels, (n_rings * n_angles, 3).
    """

    def __init__(self, n_pixels: int, n_turns: int) -> None:
        radius = (n_pixels - 1) / 2.0
        self.n_rings = max(n_pixels // 2, 2)
        self.n_turns = n_turns
        self.n_angles = n_turns * max(1, round(1.5 * n_pixels / n_turns))
        ring = (np.arange(self.n_rings) + 0.5) * radius / self.n_rings
        angle = 2.0 * np.pi * np.arange(self.n_angles) / self.n_angles
        # Counter-clockwise as shown: rows go down.
        row = radius - ring[:, None] * np.sin(angle)
        column = radius + ring[:, None] * np.cos(angle)
        index, weight = _bilinear(row.ravel(), column.ravel(), n_pixels)
        # Each sample stands for an area that grows with its ring.
        area = np.repeat(np.sqrt(ring / ring.mean()), self.n_angles)
        weight *= area
        self._area = torch.from_numpy(area.astype(np.float32))
        x, y = (ring[:, None] * np.cos(angle)).ravel() / radius, (ring[:, None] * np.sin(angle)).ravel() / radius
        self.coordinates = torch.from_numpy(np.stack([x, y, np.ones_like(x)], axis=1).astype(np.float32))
        self._index = torch.from_numpy(index)
        self._weight = torch.from_numpy(weight.astype(np.float32))
        shift = np.arange(n_turns)[:, None] * (self.n_angles // n_turns)
        self._turned = torch.from_numpy((shift + np.arange(self.n_angles)) % self.n_angles)

    def sample(self, images: torch.Tensor) -> torch.Tensor:
        """Sample images (n, n_pixels, n_pixels) on the rings: (n, n_rings, n_angles)."""
        flat = images.reshape(len(images), -1)
        corners = [flat[:, index] * weight for index, weight in zip(self._index, self._weight, strict=True)]
        return sum(corners[1:], corners[0]).reshape(len(images), self.n_rings, self.n_angles)

    def weighted(self, values: torch.Tensor) -> torch.Tensor:
        """Give values at `coordinates`, (n, n_rings * n_angles), the weights that samples have."""
        return (values * self._area).reshape(len(values), self.n_rings, self.n_angles)

    def turned_back(self, samples: torch.Tensor, turns: torch.Tensor) -> torch.Tensor:
        """Turn samples (n, n_rings, n_angles) clockwise, each by its own number of steps (n,)."""
        index = self._turned[turns][:, None, :].expand(-1, self.n_rings, -1)
        return samples.gather(2, index)

    def all_turned(self, samples: torch.Tensor) -> torch.Tensor:
        """Turn samples counter-clockwise by every number of steps: (n, n_turns, n_rings * n_angles)."""
        turned = samples[:, :, self._turned[-torch.arange(self.n_turns) % self.n_turns]]
        return turned.transpose(1, 2).flatten(2)


def _bilinear(row: np.ndarray, column: np.ndarray, n_pixels: int) -> tuple[np.ndarray, np.ndarray]:
    """Flat index and weight of the four pixels around each point, with shapes (4, n_points)."""
    first_row = np.clip(np.floor(row).astype(np.int64), 0, n_pixels - 2)
    first_column = np.clip(np.floor(column).astype(np.int64), 0, n_pixels - 2)
    down, right = row - first_row, column - first_column
    index = [(first_row + i) * n_pixels + first_column + j for i in (0, 1) for j in (0, 1)]
    weight = [(down if i else 1.0 - down) * (right if j else 1.0 - right) for i in (0, 1) for j in (0, 1)]
    return np.array(index), np.array(weight)
