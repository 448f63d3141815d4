"""Units as files spell them: lengths to Å, times to s, and what is not an axis of an image."""

from __future__ import annotations

import enum
import math
import re

from hpcstem.errors import MovieError

_LENGTHS_A = {
    "å": 1.0,
    "a": 1.0,
    "ang": 1.0,
    "angstrom": 1.0,
    "angstroms": 1.0,
    "ångström": 1.0,
    "pm": 1e-2,
    "nm": 10.0,
    "nanometer": 10.0,
    "um": 1e4,
    "µm": 1e4,
    "micron": 1e4,
    "microns": 1e4,
    "mm": 1e7,
    "cm": 1e8,
    "inch": 2.54e8,
    "m": 1e10,
}
_TIMES_S = {"s": 1.0, "sec": 1.0, "seconds": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "min": 60.0}
_SPECTRAL = {"ev", "kev", "mev", "v", "mv", "hz", "khz", "mhz"}
_ANGLES = {"rad", "mrad", "deg", "°"}
_RECIPROCAL = re.compile(r"^1?/|\^?\{?\(?-1\)?\}?$|⁻¹$")


class UnitKind(enum.StrEnum):
    """What an axis with a unit runs over."""

    LENGTH = "length"
    """Real space: an axis of an image."""
    TIME = "time"
    """Time: an axis along which frames follow each other."""
    RECIPROCAL = "reciprocal"
    """Reciprocal length or scattering angle: an axis of a diffraction pattern."""
    SPECTRAL = "spectral"
    """Energy, voltage or frequency: an axis of a spectrum."""
    UNKNOWN = "unknown"
    """No unit, pixels, or a word that is not a unit."""


def _plain(unit: str) -> str:
    """Return the unit in one spelling: no case, blanks or underscores, one micro sign, one ångström sign."""
    plain = unit.strip().strip("[]()").replace(" ", "").replace("_", "").replace("\\u00b5", "µ").replace("\\u00B5", "µ")
    return plain.casefold().replace("μ", "µ").replace("\u212b", "å").replace("a\u030a", "å")


def kind_of_unit(unit: str) -> UnitKind:
    """Say what an axis with this unit runs over."""
    plain = _plain(unit)
    if plain in _LENGTHS_A:
        return UnitKind.LENGTH
    if plain in _TIMES_S:
        return UnitKind.TIME
    if plain in _SPECTRAL:
        return UnitKind.SPECTRAL
    if plain in _ANGLES or _RECIPROCAL.search(plain):
        return UnitKind.RECIPROCAL
    return UnitKind.UNKNOWN


def length_A(value: float, unit: str, thing: object) -> float | None:
    """Convert a length to Å; None where the unit says nothing (none, pixels, an unknown word).

    Parameters
    ----------
    value
        The length, in `unit`.
    unit
        As the file spells it: nm, pm, Å, angstrom, um, µm, m …
    thing
        What has this length, for the error.

    Raises
    ------
    MovieError
        The unit is no length: a reciprocal length, an angle, an energy or a time.
    """
    kind = kind_of_unit(unit)
    if kind is UnitKind.UNKNOWN:
        return None
    if kind is not UnitKind.LENGTH:
        what = {UnitKind.RECIPROCAL: "a diffraction pattern", UnitKind.SPECTRAL: "a spectrum"}.get(
            kind, "a time series"
        )
        raise MovieError(
            f"{thing} is not an image", f"an axis in {unit!r}: {what}", "axes that are lengths, such as nm"
        )
    return value * _LENGTHS_A[_plain(unit)]


def time_s(value: float, unit: str) -> float | None:
    """Convert a time to s; None where the unit is no time."""
    factor = _TIMES_S.get(_plain(unit))
    return None if factor is None or not math.isfinite(value) else value * factor
