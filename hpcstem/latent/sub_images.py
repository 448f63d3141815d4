"""Sub-images in memory or on disk, read a batch at a time.

On disk they are one `.npy` file for each frame, mapped into memory, beside the table of the atoms in their middles; a
JSON file lists them. However many there are, only what is being read has to fit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np

from hpcstem.atoms import AtomTable
from hpcstem.errors import HpcstemError
from hpcstem.files import inside, read_json, write_json

LIST_FILE = "sub-images.json"
_BATCH = 4096


class SubImages(Protocol):
    """Square sub-images that are asked for by number."""

    def __len__(self) -> int: ...

    @property
    def n_pixels(self) -> int:
        """Side of a sub-image [px]."""
        ...

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Sub-images of these numbers, with shape (n_rows, n_pixels, n_pixels), float32."""
        ...


@dataclass(frozen=True, eq=False)
class ImagesInMemory:
    """Sub-images that are an array.

    Parameters
    ----------
    images
        With shape (n, n_pixels, n_pixels), finite.

    Raises
    ------
    HpcstemError
        Another shape, or values that are not finite.
    """

    images: np.ndarray

    def __post_init__(self) -> None:
        images = np.asarray(self.images, np.float32)
        if images.ndim != 3 or images.shape[1] != images.shape[2] or not np.isfinite(images).all():
            raise HpcstemError("sub-images", f"shape {images.shape}", "finite values of shape (n, n_pixels, n_pixels)")
        object.__setattr__(self, "images", images)

    def __len__(self) -> int:
        return len(self.images)

    @property
    def n_pixels(self) -> int:
        """Side of a sub-image [px]."""
        return self.images.shape[1]

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Sub-images of these numbers, with shape (n_rows, n_pixels, n_pixels), float32."""
        return self.images[rows]


@dataclass(frozen=True, eq=False)
class ImagesOnDisk:
    """Sub-images cut from frames, and the atoms in their middles.

    Parameters
    ----------
    folder
        Folder of the files.
    names
        Stem of each file, in order.
    counts
        Sub-images in each file.
    n_pixels
        Side of a sub-image [px].
    half_width_A
        Half the width of a sub-image, between the centres of its outermost pixels [Å].
    n_left_out
        Atoms without a sub-image, because it would reach beyond the frame.
    """

    folder: Path
    names: tuple[str, ...]
    counts: tuple[int, ...]
    n_pixels: int
    half_width_A: float
    n_left_out: int

    def __len__(self) -> int:
        return sum(self.counts)

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Sub-images of these numbers, with shape (n_rows, n_pixels, n_pixels), float32."""
        rows = np.asarray(rows, np.int64)
        out = np.empty((len(rows), self.n_pixels, self.n_pixels), np.float32)
        file = np.searchsorted(self._starts, rows, side="right") - 1
        for number in np.unique(file):
            here = file == number
            out[here] = self._maps[number][rows[here] - self._starts[number]]
        return out

    @cached_property
    def atoms(self) -> AtomTable:
        """The atoms in the middles, row by row."""
        return AtomTable.concatenate(AtomTable.read(inside(self.folder, f"{name}.parquet")) for name in self.names)

    @cached_property
    def _starts(self) -> np.ndarray:
        return np.concatenate([[0], np.cumsum(self.counts)[:-1]]).astype(np.int64)

    @cached_property
    def _maps(self) -> list[np.ndarray]:
        maps = []
        for name, count in zip(self.names, self.counts, strict=True):
            path = inside(self.folder, f"{name}.npy")
            try:
                values = np.load(path, mmap_mode="r", allow_pickle=False)
            except (OSError, ValueError) as error:
                raise HpcstemError(f"cannot read {path}", error, "sub-images written by hpcstem") from error
            if values.shape != (count, self.n_pixels, self.n_pixels):
                raise HpcstemError(f"{path}", f"shape {values.shape}", f"{(count, self.n_pixels, self.n_pixels)}")
            maps.append(values)
        return maps

    def save_list(self) -> None:
        """Write the list of the files."""
        files = [{"name": name, "count": count} for name, count in zip(self.names, self.counts, strict=True)]
        write_json(
            self.folder / LIST_FILE,
            {
                "files": files,
                "n_pixels": self.n_pixels,
                "half_width_A": self.half_width_A,
                "n_left_out": self.n_left_out,
            },
        )

    @classmethod
    def open(cls, folder: Path) -> ImagesOnDisk:
        """Open sub-images by their list.

        Raises
        ------
        HpcstemError
            There is none, or it is not one of sub-images.
        """
        listed = read_json(Path(folder) / LIST_FILE)
        try:
            names, counts = zip(*((file["name"], file["count"]) for file in listed["files"]), strict=True)
            return cls(Path(folder), names, counts, listed["n_pixels"], listed["half_width_A"], listed["n_left_out"])
        except (KeyError, TypeError, ValueError) as error:
            raise HpcstemError(f"{folder}/{LIST_FILE}", repr(error), "a list of sub-images") from error


def batches(images: SubImages, size: int = _BATCH) -> Iterator[np.ndarray]:
    """All sub-images in order, at most `size` at a time."""
    for start in range(0, len(images), size):
        yield images.read(np.arange(start, min(start + size, len(images))))
