"""Frames that lie uncompressed in a file, one after another: NPY, members of a zip, contiguous TIFF."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

import numpy as np

from hpcstem.errors import MovieError
from hpcstem.frames.found import Found
from hpcstem.frames.readers.layout import FrameLayout


class RawFrames:
    """Frames mapped from a part of a file.

    Parameters
    ----------
    path
        The file.
    offset
        Where the array begins [byte].
    dtype
        Type of its values, byte order included.
    layout
        Its axes.
    found
        What the file says of the frames.
    fortran
        The first axis runs fastest.
    dataset
        Name of the array in the file.

    Raises
    ------
    MovieError
        The file ends before the first frame does.
    """

    def __init__(
        self,
        path: Path,
        offset: int,
        dtype: np.dtype,
        layout: FrameLayout,
        found: Found,
        fortran: bool = False,
        dataset: str | None = None,
    ) -> None:
        self.path, self.found, self.dataset = path, found, dataset
        self.shape, self.dtype, self._layout = layout.shape, dtype, layout
        shape = list(layout.array_shape)
        available = (os.path.getsize(path) - offset) // dtype.itemsize
        self._whole = self.shape[0]
        if available < np.prod(shape, dtype=np.int64):
            self._whole = 0
            if layout.frame_axis == 0 and not fortran:
                self._whole = max(0, available) // int(np.prod(shape[1:], dtype=np.int64))
                shape[0] = self._whole
        if self._whole == 0:
            got = f"{max(0, available)} of {np.prod(layout.array_shape, dtype=np.int64)} values"
            raise MovieError(f"{path} is truncated before its first frame ends", got, "a whole file; copy it again")
        order = "F" if fortran else "C"
        self._map = np.memmap(path, dtype, "r", offset, tuple(shape), order)  # type: ignore[call-overload]

    def read(self, start: int, stop: int) -> np.ndarray:
        """Read frames."""
        return np.array(self._layout.arrange(np.asarray(self._map[self._layout.index(start, stop)])))

    def missing(self, start: int, stop: int) -> range:
        """Frames behind the end of the file."""
        return range(max(start, self._whole), stop)

    def close(self) -> None:
        """Drop the map; the system unmaps it with the last array that looks into it."""
        del self._map


def read_npy_header(stream: BinaryIO, thing: object) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Read shape, Fortran order and dtype, and leave `stream` at the first value.

    Raises
    ------
    MovieError
        Not an NPY array, or one of pickled objects, which are never read.
    """
    try:
        version = np.lib.format.read_magic(stream)
        if version == (1, 0):
            shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
        else:
            shape, fortran, dtype = np.lib.format.read_array_header_2_0(stream)
    except ValueError as error:
        raise MovieError(f"{thing} is not an NPY array", error, "a file written by numpy.save") from error
    if dtype.hasobject:
        raise MovieError(f"{thing} holds pickled objects, which are never read", dtype, "an array of real numbers")
    return shape, fortran, dtype
