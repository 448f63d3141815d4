"""Batches of training images, turned, mirrored and changed in contrast, the same for any number of processes."""

from __future__ import annotations

from typing import Protocol

import numpy as np


class Images(Protocol):
    """Images of one size: an array of them, or files that are read one at a time."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, rows, columns)."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> np.ndarray: ...


def augmented_batch(
    images: Images, masks: Images, size: int, rng: np.random.Generator, share: range | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Random images, each turned, mirrored, and changed a little in contrast and level.

    Parameters
    ----------
    images
        Normalised, with shape (n, rows, columns), float32.
    masks
        Class numbers, with shape (n, rows, columns), uint8.
    size
        Images in the whole batch.
    rng
        Draws for the whole batch, whatever the share, so that it goes on alike in every process.
    share
        Which images of the batch to return; all by default.

    Returns
    -------
    batch : numpy.ndarray
        With shape (len(share), rows, columns), float32.
    target : numpy.ndarray
        With the same shape, int64.
    """
    share = range(size) if share is None else share
    batch = np.empty((len(share), *images.shape[1:]), np.float32)
    target = np.empty(batch.shape, np.int64)
    for i, index in enumerate(rng.integers(len(images), size=size)):
        turn, mirrored = int(rng.integers(4)), bool(rng.integers(2))
        gain, level = np.exp(rng.uniform(-0.35, 0.35)), rng.uniform(-0.2, 0.2)
        if i not in share:
            continue
        image, mask = np.rot90(images[int(index)], turn), np.rot90(masks[int(index)], turn)
        if mirrored:
            image, mask = image[:, ::-1], mask[:, ::-1]
        batch[i - share.start] = image * gain + level
        target[i - share.start] = mask
    return batch, target
