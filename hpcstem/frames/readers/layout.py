"""Which axis of an array counts frames, which rows and which columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hpcstem.errors import MovieError

_ROW_NAMES = {"y", "row", "rows", "height"}
_COLUMN_NAMES = {"x", "column", "columns", "col", "width"}
_COLOURS = (3, 4)
_SMALLEST_UNNAMED = 8
_WANTED = "a 2-D image or 3-D (frames, rows, columns)"


@dataclass(frozen=True)
class FrameLayout:
    """Axes of an array that holds frames. Axes not named here have length one.

    Parameters
    ----------
    array_shape
        Shape of the array.
    frame_axis
        Axis that counts frames; None for a single image.
    row_axis, column_axis
        Axes of an image.
    """

    array_shape: tuple[int, ...]
    frame_axis: int | None
    row_axis: int
    column_axis: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """Frames, rows and columns."""
        n_frames = 1 if self.frame_axis is None else self.array_shape[self.frame_axis]
        return n_frames, self.array_shape[self.row_axis], self.array_shape[self.column_axis]

    def index(self, start: int, stop: int) -> tuple[int | slice, ...]:
        """Index of the frames `start` to `stop - 1` in the array; axes of length one are dropped."""
        index: list[int | slice] = [0] * len(self.array_shape)
        index[self.row_axis] = index[self.column_axis] = slice(None)
        if self.frame_axis is not None:
            index[self.frame_axis] = slice(start, stop)
        return tuple(index)

    def arrange(self, block: np.ndarray) -> np.ndarray:
        """Bring what `index` picked into the order (frames, rows, columns), without a copy."""
        wanted = [self.row_axis, self.column_axis] if self.frame_axis is None else self.axes
        order = [sorted(wanted).index(axis) for axis in wanted]
        block = block.transpose(order)
        return block[np.newaxis] if self.frame_axis is None else block

    @property
    def axes(self) -> list[int]:
        """Axes of frames (where there is one), rows and columns."""
        frame = [] if self.frame_axis is None else [self.frame_axis]
        return [*frame, self.row_axis, self.column_axis]


def layout_of(shape: Sequence[int], dtype: np.dtype, thing: object, names: Sequence[str] | None = None) -> FrameLayout:
    """Find frames, rows and columns.

    Axes of length one beyond the third, and a last axis of length one, are dropped. Where the names of the axes
    tell x from y they decide, so that a file that keeps x first is turned; else the last two are rows and
    columns, and images smaller than 8 pixels are taken for tables of numbers.

    Parameters
    ----------
    shape
        Shape of the array.
    dtype
        Type of its values.
    thing
        File and dataset, for errors.
    names
        Name of each axis, where the file has them.

    Raises
    ------
    MovieError
        Not real numbers, not two or three dimensions, a colour image, no frames, or frames too small to be images.
    """
    shape = tuple(int(length) for length in shape)
    if dtype.kind not in "iuf":
        raise MovieError(f"pixels of {thing}", dtype, "real numbers, integer or floating")
    axes = list(range(len(shape)))
    if len(shape) > 3 or (len(shape) == 3 and shape[-1] == 1):
        axes = [axis for axis in axes if shape[axis] != 1]
    if len(axes) not in (2, 3):
        what = "a 4D-STEM stack or a spectrum image" if len(axes) > 3 else "a list or a spectrum"
        raise MovieError(f"{thing} is not a movie", f"shape {shape}, as of {what}", _WANTED)
    lengths = [shape[axis] for axis in axes]
    labels = [(names[axis] or "").strip().casefold() for axis in axes] if names is not None else []
    rows = [axis for axis, label in zip(axes, labels, strict=False) if label in _ROW_NAMES]
    columns = [axis for axis, label in zip(axes, labels, strict=False) if label in _COLUMN_NAMES]
    named = len(rows) == len(columns) == 1
    if named:
        row_axis, column_axis = rows[0], columns[0]
    elif len(axes) == 3 and lengths[2] in _COLOURS and min(lengths[:2]) > max(_COLOURS):
        raise MovieError(f"{thing} is a colour image", f"shape {shape}", f"grey values, {_WANTED}")
    else:
        row_axis, column_axis = axes[-2:]
    frame_axis = next((axis for axis in axes if axis not in (row_axis, column_axis)), None)
    layout = FrameLayout(shape, frame_axis, row_axis, column_axis)
    if layout.shape[0] == 0:
        raise MovieError(f"{thing}", "no frames", "at least one frame")
    if min(layout.shape[1:]) < (2 if named else _SMALLEST_UNNAMED):
        raise MovieError(f"{thing} is not a movie", f"frames of {layout.shape[1]}×{layout.shape[2]} pixels", _WANTED)
    return layout
