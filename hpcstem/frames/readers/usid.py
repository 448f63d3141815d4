"""USID in HDF5: every pixel is a row of a table, and two small tables say where each row and column lies.

Somnath et al., "USID and Pyroscopy: open frameworks for storing and analyzing imaging and spectroscopy data",
Microsc. Microanal. 25 (2019), doi:10.1017/S1431927619001831.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hpcstem.errors import MovieError
from hpcstem.frames.found import Axis, Found
from hpcstem.frames.readers.hdf5_storage import missing_frames
from hpcstem.frames.readers.layout import layout_of

_TABLES = ("Position_Indices", "Position_Values", "Spectroscopic_Indices", "Spectroscopic_Values")


@dataclass(frozen=True)
class _Dimension:
    """One dimension of a side of the table that has more than one value."""

    name: str
    indices: np.ndarray
    step: Axis


def is_usid(array: Any) -> bool:
    """Say whether a dataset is a main dataset of USID."""
    return len(array.shape) == 2 and all(name in array.attrs for name in _TABLES)


class UsidFrames:
    """Frames of a USID main dataset.

    The side of the table with two dimensions holds the pixels, the other one the frames.

    Parameters
    ----------
    array
        The open h5py dataset; its file is closed with the reader.
    path
        The file.

    Raises
    ------
    MovieError
        The dimensions are not those of images, or a pixel is lacking or there twice.
    """

    def __init__(self, array: Any, path: Path) -> None:
        thing = f"{array.name.strip('/')} in {path}"
        positions = _dimensions(array, "Position", 0)
        spectra = _dimensions(array, "Spectroscopic", 1)
        pixels, times, self._frame_axis = (positions, spectra, 1) if len(positions) == 2 else (spectra, positions, 0)
        if len(pixels) != 2 or len(times) > 1:
            names = ", ".join(dimension.name for dimension in [*positions, *spectra])
            raise MovieError(
                f"{thing} is not a movie of images", f"dimensions {names}", "two of pixels and one of frames"
            )
        columns, rows = _by_name(pixels)
        self._rows, self._columns = rows.indices, columns.indices
        shape = array.shape[self._frame_axis], int(rows.indices.max()) + 1, int(columns.indices.max()) + 1
        n_pixels = len(np.unique(rows.indices * shape[2] + columns.indices))
        if not n_pixels == len(rows.indices) == shape[1] * shape[2]:
            raise MovieError(f"{thing}", f"{n_pixels} pixels", f"{shape[1]}×{shape[2]} of a whole image, each once")
        self.shape = layout_of(shape, array.dtype, thing, ("frame", "y", "x")).shape
        self.dtype, self.dataset = array.dtype, array.name.strip("/")
        self.found = Found("USID HDF5", rows.step, columns.step, times[0].step if times else None)
        self._array, self._path = array, path

    def read(self, start: int, stop: int) -> np.ndarray:
        """Read frames."""
        block = self._array[:, start:stop].T if self._frame_axis == 1 else self._array[start:stop]
        frames = np.empty((stop - start, *self.shape[1:]), self.dtype)
        frames[:, self._rows, self._columns] = block
        return frames

    def missing(self, start: int, stop: int) -> set[int]:
        """Frames of which bytes are not in the file."""
        return missing_frames(self._array, self._frame_axis, range(start, stop), self._path)

    def close(self) -> None:
        """Close the file."""
        self._array.file.close()


def _by_name(pixels: list[_Dimension]) -> tuple[_Dimension, _Dimension]:
    """Columns and rows: by name where the first is y, else the first runs fastest and counts columns."""
    first, second = pixels
    return (second, first) if first.name.casefold()[:1] == "y" else (first, second)


def _dimensions(array: Any, side: str, long_axis: int) -> list[_Dimension]:
    """Dimensions of one side of the table that have more than one value."""
    indices = array.file[array.attrs[f"{side}_Indices"]]
    values = array.file[array.attrs[f"{side}_Values"]]
    labels = [_text(label) for label in np.ravel(indices.attrs.get("labels", []))]
    units = [_text(unit) for unit in np.ravel(values.attrs.get("units", []))]
    index_table, value_table = np.array(indices), np.array(values, np.float64)
    if long_axis == 0:
        index_table, value_table = index_table.T, value_table.T
    dimensions = []
    for number, (index, value) in enumerate(zip(index_table, value_table, strict=True)):
        if (n_steps := int(index.max()) - int(index.min())) > 0:
            name = labels[number] if number < len(labels) else ""
            unit = units[number] if number < len(units) else ""
            step = Axis(float(value.max() - value.min()) / n_steps, unit)
            dimensions.append(_Dimension(name, index.astype(np.int64), step))
    return dimensions


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
