"""Training images on disk: shards that any number of workers write, the same for any number, and that ranks map.

A folder holds `shard-NNNNN.images.npy` (normalised, float32), `shard-NNNNN.masks.npy` (class numbers, uint8) and
`shard-NNNNN.json` with their hashes, which is written last; `training-set.json` names them all.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hpcstem.analysis import Analysis
from hpcstem.errors import HpcstemError, ModelError
from hpcstem.files import read_json, sha256, whole_file, write_json
from hpcstem.imaging.defect_library import load_library
from hpcstem.imaging.training import TrainingRecipe, training_sample
from hpcstem.segmentation.normalise import normalise

IMAGES_PER_SHARD = 64
_INDEX = "training-set.json"

Run = Callable[[Analysis[Any, Any, Any], Sequence[Any], Callable[[int], None]], Any]
"""What runs an analysis: the `run` of an executor."""


def run_here(analysis: Analysis[Any, Any, Any], batches: Sequence[Any], on_batch: Callable[[int], None]) -> Any:
    """Run an analysis in this process, one batch after another."""
    merged: Any = None
    for i, batch in enumerate(batches):
        partial = analysis.process(batch)
        merged = partial if i == 0 else analysis.merge(merged, partial)
        on_batch(i + 1)
    return analysis.finish(merged)


@dataclass(frozen=True)
class ShardWriter:
    """Draws the images of a shard and writes them; an analysis whose batches are numbers of shards.

    Parameters
    ----------
    folder
        Where shards go; on a cluster, on a file system that all workers see.
    recipe
        What images are drawn from.
    n_samples
        Images in all shards.
    entropy, spawn_key
        Of the seed; image i has the i-th seed that it spawns, whoever draws it.
    """

    folder: Path
    recipe: TrainingRecipe
    n_samples: int
    entropy: int
    spawn_key: tuple[int, ...]

    @property
    def identity(self) -> str:
        """Digest of all that decides the images."""
        structures = [sha256(path) for path in self.recipe.structures]
        value = [self.recipe.model_dump(mode="json"), structures, self.n_samples, self.entropy, self.spawn_key]
        return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()

    def process(self, shard: int) -> tuple[dict[str, Any], ...]:
        """Write one shard, unless it is there whole; return its record."""
        record_file = self.folder / f"shard-{shard:05d}.json"
        if record_file.is_file():
            record = read_json(record_file)
            if record["identity"] == self.identity and self._is_whole(record):
                return (record,)
        numbers = range(shard * IMAGES_PER_SHARD, min((shard + 1) * IMAGES_PER_SHARD, self.n_samples))
        images = np.empty((len(numbers), self.recipe.n_pixels, self.recipe.n_pixels), np.float32)
        masks = np.empty(images.shape, np.uint8)
        for i, number in enumerate(numbers):
            seed = np.random.SeedSequence(self.entropy, spawn_key=(*self.spawn_key, number))
            sample = training_sample(self.recipe, seed)
            images[i] = normalise(sample.image[None], self.recipe.pixel_size_A)[0]
            masks[i] = sample.mask
        record = write_shard(self.folder, shard, images, masks, self.identity)
        return (record,)

    def merge(self, left: tuple[dict[str, Any], ...], right: tuple[dict[str, Any], ...]) -> tuple[dict[str, Any], ...]:
        """Join the records of two runs of shards."""
        return left + right

    def finish(self, partial: tuple[dict[str, Any], ...]) -> tuple[dict[str, Any], ...]:
        """Return the records of all shards."""
        return partial

    def _is_whole(self, record: dict[str, Any]) -> bool:
        try:
            return all(sha256(self.folder / name) == digest for name, digest in record["sha256"].items())
        except OSError:
            return False


def write_shard(folder: Path, shard: int, images: np.ndarray, masks: np.ndarray, identity: str) -> dict[str, Any]:
    """Write one shard, each file whole, its record last; return the record.

    Parameters
    ----------
    folder
        Of the set.
    shard
        Number of the shard.
    images
        Normalised, with shape (n, rows, columns), float32.
    masks
        Class numbers, with shape (n, rows, columns), uint8.
    identity
        Digest of what decides them.
    """
    digests = {}
    for kind, array in (("images", images), ("masks", masks)):
        name = f"shard-{shard:05d}.{kind}.npy"
        with whole_file(folder / name) as temporary, open(temporary, "wb") as file:
            np.save(file, array, allow_pickle=False)
        digests[name] = sha256(folder / name)
    record = {"identity": identity, "shard": shard, "n_images": len(images), "sha256": digests}
    write_json(folder / f"shard-{shard:05d}.json", record)
    return record


def write_index(folder: Path, records: Sequence[dict[str, Any]], about: dict[str, Any]) -> None:
    """Write `training-set.json`, which makes the set whole; its digest is over the hashes of all shards."""
    digest = hashlib.sha256(json.dumps([record["sha256"] for record in records], sort_keys=True).encode()).hexdigest()
    shards = [{"shard": record["shard"], "n_images": record["n_images"]} for record in records]
    write_json(folder / _INDEX, {**about, "shards": shards, "sha256": digest})


def write_training_set(
    folder: Path,
    recipe: TrainingRecipe,
    n_samples: int,
    seed: np.random.SeedSequence,
    on_images: Callable[[int], None] = lambda done: None,
    run: Run = run_here,
) -> str:
    """Draw training images into a folder; shards that are there whole stay.

    Parameters
    ----------
    folder
        Where they go.
    recipe
        What to draw from.
    n_samples
        How many.
    seed
        Fixes all of them.
    on_images
        Called with the number of images done.
    run
        Runs the work: the `run` of an executor.

    Returns
    -------
    str
        SHA-256 over the hashes of all shards.
    """
    entropy = seed.entropy
    if not isinstance(entropy, int):
        raise ModelError("entropy of the seed of a training set", type(entropy).__name__, "one integer")
    load_library(recipe.structures)  # a mistake in them is said here, before any worker meets it
    writer = ShardWriter(folder, recipe, n_samples, entropy, tuple(seed.spawn_key))
    n_shards = -(-n_samples // IMAGES_PER_SHARD)
    records = run(writer, range(n_shards), lambda done: on_images(min(done * IMAGES_PER_SHARD, n_samples)))
    write_index(folder, records, {"recipe": recipe.model_dump(mode="json"), "pixel_size_A": recipe.pixel_size_A})
    return training_set_digest(folder)


def is_training_set(folder: Path) -> bool:
    """Whether a folder holds a set that was written to its end."""
    return (folder / _INDEX).is_file()


class ShardedImages:
    """Arrays of images in one row; those of files stay on disk until they are asked for."""

    def __init__(self, arrays: Sequence[np.ndarray]) -> None:
        self._arrays = list(arrays)
        self._ends = np.cumsum([len(array) for array in arrays])
        self.shape = (int(self._ends[-1]), *arrays[0].shape[1:])

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: int) -> np.ndarray:
        if not 0 <= index < len(self):
            raise IndexError(index)
        shard = int(np.searchsorted(self._ends, index, side="right"))
        return self._arrays[shard][index - int(self._ends[shard])]


def open_training_set(
    folder: Path, mix: Sequence[Path] = (), mix_share: float = 0.25
) -> tuple[ShardedImages, ShardedImages]:
    """Images and masks of a set, mapped from its files, and of further sets in its company.

    Parameters
    ----------
    folder
        Of the set.
    mix
        Folders of further sets, with images of the same size.
    mix_share
        Share of the images that are of the further sets, as nearly as whole repetitions of them give it.

    Raises
    ------
    ModelError
        There is no whole set in a folder, or its images have another size.
    """
    images, masks = _mapped(folder)
    more_images, more_masks = list[np.ndarray](), list[np.ndarray]()
    for other in mix:
        found = _mapped(other)
        if found[0][0].shape[1:] != images[0].shape[1:]:
            size, wanted = found[0][0].shape[1:], images[0].shape[1:]
            raise ModelError(f"images in {other}", f"{size[0]} × {size[1]}", f"{wanted[0]} × {wanted[1]}")
        more_images += found[0]
        more_masks += found[1]
    n_more, n_images = sum(map(len, more_images)), sum(map(len, images))
    repeats = max(1, round(mix_share / (1 - mix_share) * n_images / n_more)) if n_more else 0
    return ShardedImages(images + more_images * repeats), ShardedImages(masks + more_masks * repeats)


def training_set_digest(folder: Path) -> str:
    """SHA-256 over the hashes of all shards of a set."""
    return str(read_json(folder / _INDEX)["sha256"])


def _mapped(folder: Path) -> tuple[list[np.ndarray], list[np.ndarray]]:
    try:
        numbers = [int(one["shard"]) for one in read_json(folder / _INDEX)["shards"]]
        images, masks = (
            [np.load(folder / f"shard-{n:05d}.{kind}.npy", mmap_mode="r", allow_pickle=False) for n in numbers]
            for kind in ("images", "masks")
        )
        if not images or any(a.shape != b.shape or a.ndim != 3 for a, b in zip(images, masks, strict=True)):
            raise ModelError("shards without images, or with masks of another shape")
        return images, masks
    except (HpcstemError, OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"no training set in {folder}", error, "a folder written by `hpcstem train`") from error
