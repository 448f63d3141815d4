"""Numbers as a person reads them: units, plain decimals, a dash for what is not known."""

from __future__ import annotations

import math

UNKNOWN = "–"
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_SPACE = "\u00a0"


def quantity(value: float | None, decimals: int, unit: str = "") -> str:
    """Write a number with fixed decimals and its unit.

    Examples
    --------
    >>> quantity(None, 2)
    '–'
    >>> quantity(0.14226, 3)
    '0.142'
    """
    if value is None or not math.isfinite(value):
        return UNKNOWN
    text = f"{value:,.{decimals}f}"
    if float(text.replace(",", "")) == 0:
        text = text.lstrip("-")
    return (f"{text}{_SPACE}{unit}" if unit else text).replace("-", "−")


def count(value: int | None) -> str:
    """Write a whole number with thousands set apart."""
    return UNKNOWN if value is None else f"{value:,}"


def counted(n: int, thing: str) -> str:
    """Write how many there are of a thing.

    Examples
    --------
    >>> counted(1, "movie"), counted(2000, "frame")
    ('1 movie', '2,000 frames')
    """
    return f"{n:,} {thing}" if n == 1 else f"{n:,} {thing}s"


def plus_minus(mean: float | None, deviation: float | None, decimals: int, unit: str = "") -> str:
    """Write a mean and its standard deviation; the mean alone where the deviation is not known."""
    if deviation is None or not math.isfinite(deviation) or mean is None:
        return quantity(mean, decimals, unit)
    return f"{quantity(mean, decimals)} ± {quantity(deviation, decimals, unit)}"


def scientific(value: float | None, unit: str = "") -> str:
    """Write a number that spans decades: two significant digits and a power of ten, plainly from 0.1 to 1000.

    Examples
    --------
    >>> scientific(123456.0)
    '1.2×10⁵'
    """
    if value is None or not math.isfinite(value):
        return UNKNOWN
    if value == 0 or 0.1 <= abs(value) < 999.5:
        text = f"{value:.3g}".replace("-", "−")
    else:
        mantissa, exponent = f"{value:.1e}".split("e")
        text = f"{mantissa.replace('-', '−')}×10{str(int(exponent)).translate(_SUPERSCRIPTS)}"
    return f"{text}{_SPACE}{unit}" if unit else text


def duration(seconds: float | None) -> str:
    """Write a time in the unit that a person would use.

    Examples
    --------
    >>> duration(4000.0)
    '1 h 7 min'
    """
    if seconds is None or not math.isfinite(seconds):
        return UNKNOWN
    if seconds < 10:
        return f"{seconds:.2g} s" if seconds < 1 else f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    if round(seconds / 60) < 60:
        return f"{seconds / 60:.0f} min"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min"


def yes_no(value: bool | None) -> str:
    """Write a truth value in words."""
    return UNKNOWN if value is None else ("yes" if value else "no")


def pair_label(pair: str) -> str:
    """Write a pair of species with an en dash.

    Examples
    --------
    >>> pair_label("C-Si")
    'C–Si'
    """
    return pair.replace("-", "–")
