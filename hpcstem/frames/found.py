"""What a file says of its frames, before the caller's own values are put over it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hpcstem.errors import MovieError
from hpcstem.frames.metadata import MovieMetadata
from hpcstem.frames.units import UnitKind, kind_of_unit, length_A, time_s

SQUARE_TOLERANCE = 1e-3
"""Largest relative difference of the two sides of a pixel that still counts as square."""


@dataclass(frozen=True)
class Axis:
    """Step along one axis of an array, in the file's own unit.

    Parameters
    ----------
    scale
        Length or time from one index to the next, in `unit`.
    unit
        As the file spells it; empty where it says nothing.
    """

    scale: float
    unit: str


@dataclass(frozen=True)
class Found:
    """What a file says of its frames.

    Parameters
    ----------
    source
        Which layout of which format said so.
    rows, columns, frames
        Steps along the axes; None where the file has none.
    field_of_view_A
        Longer side of a frame [Å]; used where the axes say nothing.
    values
        Fields of `MovieMetadata` that the file states.
    """

    source: str
    rows: Axis | None = None
    columns: Axis | None = None
    frames: Axis | None = None
    field_of_view_A: float | None = None
    values: Mapping[str, float] = field(default_factory=dict)

    def metadata(self, shape: tuple[int, int], overrides: Mapping[str, float | None], thing: object) -> MovieMetadata:
        """Put the caller's values over the file's.

        Parameters
        ----------
        shape
            Rows and columns of a frame.
        overrides
            Fields of `MovieMetadata`; None leaves the file's value.
        thing
            The file, for errors.

        Raises
        ------
        MovieError
            An axis is no axis of an image, pixels are not square, or a value is not positive.
        """
        if self.frames is not None and kind_of_unit(self.frames.unit) in (
            UnitKind.SPECTRAL,
            UnitKind.RECIPROCAL,
        ):
            what = f"a third axis in {self.frames.unit!r}: a spectrum image or a diffraction stack"
            raise MovieError(f"{thing} is not a movie of images", what, "frames that follow in time, or a single image")
        values = {name: value for name, value in self.values.items() if math.isfinite(value) and value > 0}
        step_s = None if self.frames is None else time_s(self.frames.scale, self.frames.unit)
        if step_s is not None and step_s > 0:
            values.setdefault("frame_time_s", step_s)
        given = {name: value for name, value in overrides.items() if value is not None}
        pixel_size_A = self._pixel_size_A(shape, thing, square="pixel_size_A" not in given)
        if pixel_size_A is not None:
            values["pixel_size_A"] = pixel_size_A
        source = "; ".join([self.source, *(f"{name} as given" for name in sorted(given))])
        return MovieMetadata(**{**values, **given}, source=source)

    def _pixel_size_A(self, shape: tuple[int, int], thing: object, square: bool) -> float | None:
        """Side of a pixel [Å] from the axes, or else from a stated size or field of view."""
        sides = [length_A(axis.scale, axis.unit, thing) for axis in (self.rows, self.columns) if axis is not None]
        known = [abs(side) for side in sides if side]
        if not square:
            return None
        if len(known) == 2 and abs(known[0] - known[1]) > SQUARE_TOLERANCE * max(known):
            got = f"{known[0]:.6g} Å along the rows' axis (y) and {known[1]:.6g} Å along the columns' (x)"
            raise MovieError(
                f"pixels of {thing} are not square", got, "one size; if the file is wrong, " + GIVE_PIXEL_SIZE
            )
        size = sum(known) / len(known) if known else self.values.get("pixel_size_A")
        if size is None and self.field_of_view_A:
            size = self.field_of_view_A / max(shape)
        if size is not None and not (math.isfinite(size) and size > 0):
            raise MovieError(f"pixel size in {thing}", f"{size} Å", "a positive number; " + GIVE_PIXEL_SIZE)
        return size


GIVE_PIXEL_SIZE = "give --pixel-size-A 0.1 (or in the campaign `pixel_size_A: 0.1`) with the right number"
"""What to write where a file does not say its pixel size."""


def number(value: Any) -> float | None:
    """Return a finite number from a number or its text; None from anything else, such as "NA" or a list."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, bool):
        return None
    try:
        result = float(value)
    except (TypeError, ValueError):
        return None
    return result if math.isfinite(result) else None


def pick(tree: Mapping[str, Any], rules: Iterable[tuple[str, str, float]]) -> dict[str, float]:
    """Values of `MovieMetadata` from a nested mapping.

    Parameters
    ----------
    tree
        Nested metadata of a file.
    rules
        Triples of a path of keys joined by "/", a field of `MovieMetadata`, and the factor to its unit. The
        first positive number for a field counts: instruments write zero for what they did not measure.
    """
    values: dict[str, float] = {}
    for path, name, factor in rules:
        node: Any = tree
        for key in path.split("/"):
            node = node.get(key) if isinstance(node, Mapping) else None
        found = number(node)
        if found is not None and found > 0:
            values.setdefault(name, found * factor)
    return values
