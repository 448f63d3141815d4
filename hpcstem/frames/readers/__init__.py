"""One reader per format behind one protocol; the choice by suffix is made here and nowhere else."""

from __future__ import annotations

import importlib
import os
from collections.abc import Collection
from pathlib import Path
from typing import Protocol

import numpy as np

from hpcstem.errors import MovieError
from hpcstem.frames.found import Found

_MODULES = {
    ".npy": "npy",
    ".npz": "npz",
    ".ndata": "ndata",
    ".h5": "hdf5",
    ".hdf5": "hdf5",
    ".hdf": "hdf5",
    ".nhdf": "hdf5",
    ".emd": "hdf5",
    ".tif": "tiff",
    ".tiff": "tiff",
    ".zarr": "zarr_store",
    ".dm3": "rosetta",
    ".dm4": "rosetta",
    ".mrc": "rosetta",
    ".mrcs": "rosetta",
    ".hspy": "rosetta",
}
SUFFIXES = tuple(_MODULES)
"""Suffixes of the formats that can be opened, in lower case."""
_ZARR_MARKS = ("zarr.json", ".zarray", ".zgroup")


class Reader(Protocol):
    """Frames of one open file.

    `shape` is (n_frames, rows, columns) as the file announces it, `dtype` the type of its pixels, `found` what
    it says of them, `dataset` the name under which to open the same frames again.
    """

    shape: tuple[int, int, int]
    dtype: np.dtype
    found: Found
    dataset: str | None

    def read(self, start: int, stop: int) -> np.ndarray:
        """Read only these frames, with shape (stop - start, rows, columns), of the file's dtype."""
        ...

    def missing(self, start: int, stop: int) -> Collection[int]:
        """Frames of the range whose bytes are not all in the file."""
        ...

    def close(self) -> None:
        """Close the file."""
        ...


def open_reader(path: Path, dataset: str | None) -> Reader:
    """Open a file with the reader of its format.

    Parameters
    ----------
    path
        A file, or the folder of a Zarr store.
    dataset
        Name of the dataset inside; None chooses the obvious one.

    Raises
    ------
    MovieError
        No such file, no permission, an unknown format, or a file that is damaged or holds no frames.
    """
    try:
        module = _module_for(path)
        with_reader = importlib.import_module(f"{__name__}.{module}")
        reader: Reader = with_reader.open_frames(path, dataset)
    except (MovieError, MemoryError):
        raise
    except FileNotFoundError as error:
        raise MovieError(f"{path} does not exist") from error
    except PermissionError as error:
        raise MovieError(f"{path} cannot be read", "permission denied", f"read permission for {_user()}") from error
    except Exception as error:  # every format's library raises its own kinds, and each means a damaged file
        raise MovieError(f"{path} cannot be opened", _one_line(error), f"a whole {path.suffix} file") from error
    return reader


def _module_for(path: Path) -> str:
    """Name of the module that reads this path.

    Raises
    ------
    MovieError
        Not a file of a known format.
    """
    if path.is_dir():
        if any((path / mark).is_file() for mark in _ZARR_MARKS):
            return "zarr_store"
        raise MovieError(
            f"{path} is a folder", wanted="a movie file, or a Zarr store with zarr.json, .zarray or .zgroup"
        )
    path.stat()
    module = _MODULES.get(path.suffix.casefold())
    if module is None or module == "zarr_store":
        raise MovieError(f"format of {path}", f"suffix {path.suffix!r}", "one of " + " ".join(SUFFIXES))
    with open(path, "rb"):
        pass
    return module


def _user() -> str:
    return f"user {os.geteuid()}"


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 300 else text[:300] + " …"
