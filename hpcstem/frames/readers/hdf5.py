"""HDF5 files: hpcstem's own, plain ones, Nion Swift .h5 and .nhdf, NSID, USID, and EMD by NCEM and Velox."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hpcstem.errors import MovieError
from hpcstem.frames.readers import Reader
from hpcstem.frames.readers.choice import choose, several_images
from hpcstem.frames.readers.hdf5_layouts import describe, is_ncem
from hpcstem.frames.readers.hdf5_storage import missing_frames, open_file
from hpcstem.frames.readers.usid import UsidFrames, is_usid
from hpcstem.frames.readers.velox import VELOX_IMAGES, velox_images


class Hdf5Frames:
    """Frames of one HDF5 dataset.

    Parameters
    ----------
    array
        The open h5py dataset; its file is closed with the reader.
    name
        Name under which it was chosen.
    path
        The file.
    """

    dataset: str | None

    def __init__(self, array: Any, name: str, path: Path) -> None:
        self._layout, self.found = describe(array, path)
        self.shape, self.dtype, self.dataset = self._layout.shape, array.dtype, name
        self._array, self._path = array, path

    def read(self, start: int, stop: int) -> np.ndarray:
        """Read frames."""
        return self._layout.arrange(self._array[self._layout.index(start, stop)])

    def missing(self, start: int, stop: int) -> set[int]:
        """Frames of which bytes are not in the file."""
        return missing_frames(self._array, self._layout.frame_axis, range(start, stop), self._path)

    def close(self) -> None:
        """Close the file."""
        self._array.file.close()


def open_frames(path: Path, dataset: str | None) -> Reader:
    """Open the dataset named `dataset`, or the obvious one."""
    file = open_file(path)
    try:
        name, array = _chosen(file, path, dataset)
        if array.is_virtual:
            _require_sources(array, path)
        return UsidFrames(array, path) if is_usid(array) else Hdf5Frames(array, name, path)
    except BaseException:
        file.close()
        raise


def _chosen(file: Any, path: Path, dataset: str | None) -> tuple[str, Any]:
    """Choose among the datasets; USID, NCEM and Velox files mark the ones that hold measurements."""
    if VELOX_IMAGES in file:
        arrays = velox_images(file)
        frames_first = {key: (array.shape[2:] + array.shape[:2], array.dtype) for key, array in arrays.items()}
        name = choose(frames_first, dataset, path)
        return name, arrays[name]
    arrays = _arrays(file)
    measured = {name: array for name, array in arrays.items() if is_usid(array)}
    if dataset is None and measured:
        if len(measured) > 1:
            raise several_images({name: array.shape for name, array in measured.items()}, path)
        return next(iter(measured.items()))
    groups = {name: array for name, array in arrays.items() if is_ncem(array)}
    pool = groups if dataset is None and groups else arrays
    name = choose({key: (array.shape, array.dtype) for key, array in pool.items()}, dataset, path)
    return name, arrays[name]


def _arrays(file: Any) -> dict[str, Any]:
    """All datasets that are not the scale of an axis, by path."""
    import h5py

    arrays: dict[str, Any] = {}

    def keep(name: str, node: Any) -> None:
        if isinstance(node, h5py.Dataset) and node.shape is not None and not node.is_scale:
            arrays[name] = node

    file.visititems(keep)
    return arrays


def _require_sources(array: Any, path: Path) -> None:
    """Refuse a virtual dataset whose files are not there: HDF5 would give fill values for them.

    Raises
    ------
    MovieError
        A source is absent.
    """
    for source in array.virtual_sources():
        if source.file_name != "." and not (path.parent / source.file_name).is_file():
            got = f"no file {source.file_name} beside it"
            raise MovieError(f"virtual dataset {array.name} of {path}", got, "all files that it is made of")
