"""What is known of a movie besides its pixels: sizes, times, beam."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from hpcstem.errors import MovieError


@dataclass(frozen=True)
class MovieMetadata:
    """Calibration and acquisition of a movie; None where unknown.

    Parameters
    ----------
    pixel_size_A
        Side of a square pixel [Å].
    dwell_time_us
        Time of the beam on one pixel [µs].
    frame_time_s
        Time from the start of one frame to the start of the next, flyback included [s].
    beam_current_pA
        Current of the probe [pA].
    voltage_kV
        Acceleration voltage [kV].
    convergence_angle_mrad
        Convergence semi-angle of the probe [mrad].
    source
        Where the values come from, free text.

    Raises
    ------
    MovieError
        A value is not a positive, finite number.
    """

    pixel_size_A: float | None = None
    dwell_time_us: float | None = None
    frame_time_s: float | None = None
    beam_current_pA: float | None = None
    voltage_kV: float | None = None
    convergence_angle_mrad: float | None = None
    source: str = ""

    def __post_init__(self) -> None:
        for name in QUANTITIES:
            value = getattr(self, name)
            if value is None:
                continue
            try:
                number = float(value)
            except (TypeError, ValueError) as error:
                raise MovieError(f"{name} of the movie", repr(value), "a positive number") from error
            if not (math.isfinite(number) and number > 0):
                raise MovieError(f"{name} of the movie", number, "a positive, finite number")
            object.__setattr__(self, name, number)


QUANTITIES = tuple(field.name for field in fields(MovieMetadata) if field.name != "source")
"""Names of the numbers in `MovieMetadata`, units included."""
