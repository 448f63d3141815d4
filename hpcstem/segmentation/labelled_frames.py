"""Frames with known atoms as training images: real ones that were labelled, or images of given structures."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hpcstem.errors import ModelError
from hpcstem.imaging.masks import class_mask
from hpcstem.imaging.resample import resample, to_pixels
from hpcstem.imaging.training import TrainingRecipe
from hpcstem.segmentation.normalise import normalise
from hpcstem.segmentation.training_set import IMAGES_PER_SHARD, write_index, write_shard


@dataclass(frozen=True)
class LabelledFrame:
    """One frame and its atoms.

    Parameters
    ----------
    image
        With shape (rows, columns), finite.
    pixel_size_A
        Pixel size [Å].
    positions_px
        (x, y) of the atoms [px], with shape (n_atoms, 2).
    species
        'C' or 'Si', with shape (n_atoms,).
    """

    image: np.ndarray
    pixel_size_A: float
    positions_px: np.ndarray
    species: np.ndarray


def write_labelled_frames(folder: Path, frames: Iterable[LabelledFrame], recipe: TrainingRecipe) -> int:
    """Cut labelled frames into training images, and write them as a training set for `hpcstem train --mix`.

    Each frame is resampled and normalised as a whole, and cut into images that overlap by half, the last of each row
    and column at the edge. Frames are taken one at a time.

    Parameters
    ----------
    folder
        Where the set goes.
    frames
        The frames.
    recipe
        Of the training that they are for: size and pixel size of an image, radius of an atom.

    Returns
    -------
    int
        Number of images.

    Raises
    ------
    ModelError
        No frame, or one that is smaller than an image.
    """
    records: list[dict[str, Any]] = []
    images: list[np.ndarray] = []
    masks: list[np.ndarray] = []
    for number, frame in enumerate(frames):
        for image, mask in _cut(frame, recipe, number):
            images.append(image)
            masks.append(mask)
            if len(images) == IMAGES_PER_SHARD:
                records.append(_written(folder, len(records), images, masks))
                images, masks = [], []
    if images:
        records.append(_written(folder, len(records), images, masks))
    if not records:
        raise ModelError("labelled frames", "none", "at least one")
    write_index(folder, records, {"pixel_size_A": recipe.pixel_size_A})
    return sum(record["n_images"] for record in records)


def _written(folder: Path, shard: int, images: list[np.ndarray], masks: list[np.ndarray]) -> dict[str, Any]:
    stacked = np.stack(images).astype(np.float32), np.stack(masks)
    identity = hashlib.sha256(b"".join(array.tobytes() for array in stacked)).hexdigest()
    return write_shard(folder, shard, *stacked, identity)


def _cut(frame: LabelledFrame, recipe: TrainingRecipe, number: int) -> Iterable[tuple[np.ndarray, np.ndarray]]:
    target_A, size = recipe.pixel_size_A, recipe.n_pixels
    image = normalise(resample(frame.image, frame.pixel_size_A, target_A)[None], target_A)[0]
    if min(image.shape) < size:
        raise ModelError(
            f"labelled frame {number}",
            f"{image.shape[0]} × {image.shape[1]} pixels of {target_A} Å",
            f"at least {size} × {size}",
        )
    positions_px = to_pixels(frame.positions_px, frame.pixel_size_A, target_A)
    mask = class_mask(positions_px, frame.species, image.shape, recipe.atom_radius_A / target_A)
    for row in _starts(image.shape[0], size):
        for column in _starts(image.shape[1], size):
            part = (slice(row, row + size), slice(column, column + size))
            yield image[part], mask[part]


def _starts(length: int, size: int) -> list[int]:
    return sorted({*range(0, length - size + 1, size // 2), length - size})
