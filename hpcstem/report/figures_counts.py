"""Counts over the frames of one movie: atoms, rings, defects, one row each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from hpcstem.report.style import INK, LINE, MUTED, house_style, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MARKED_FRAMES = 60


@house_style
def counts_over_frames(
    frame: np.ndarray,
    counts: Mapping[str, np.ndarray],
    colors: Mapping[str, str],
    frame_time_s: float | None = None,
    accumulated_dose_e_per_A2: np.ndarray | None = None,
) -> Figure:
    """Draw one row per counted thing over a shared axis of frames.

    Parameters
    ----------
    frame
        Index of each frame, ascending, with shape (n_frames,), int.
    counts
        By name, the count in each frame, with shape (n_frames,), float; NaN where it is not known.
    colors
        By name, the colour of its row; a name that is not in it has the colour of lines.
    frame_time_s
        Time from one frame to the next [s], for the label.
    accumulated_dose_e_per_A2
        Dose up to and with each frame [e⁻/Å²], with shape (n_frames,), for a second axis on top.

    Returns
    -------
    Figure
        The ticks of a row are its least and its largest count; its scale starts at zero unless the counts
        change by less than half.
    """
    figure = new_figure(9.15, 0.62 * len(counts) + 0.95)
    grid = figure.subplots(len(counts), 1, sharex=True, squeeze=False).ravel()
    marker = "o" if len(frame) <= _MARKED_FRAMES else ""
    for axes, (name, values) in zip(grid, counts.items(), strict=True):
        axes.plot(frame, values, drawstyle="steps-mid", color=colors.get(name, LINE), linewidth=1.1)
        axes.plot(frame, values, linestyle="none", marker=marker, markersize=2.8, color=colors.get(name, LINE))
        axes.set_ylabel(name, rotation=0, ha="right", va="center", labelpad=8, color=INK, parse_math=False)
        _scale_row(axes, values)
    grid[-1].set_xlabel("Frame" if frame_time_s is None else f"Frame, one every {frame_time_s:g} s")
    figure.align_ylabels(list(grid))
    if accumulated_dose_e_per_A2 is not None:
        _draw_dose_axis(grid[0], frame, accumulated_dose_e_per_A2)
    return figure


def _scale_row(axes: Axes, values: np.ndarray) -> None:
    from matplotlib.ticker import MaxNLocator

    known = values[np.isfinite(values)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    if low <= high / 2:
        low = 0.0
    margin = max(0.15 * (high - low), 0.4)
    axes.set_ylim(low - margin, high + margin)
    axes.set_yticks(sorted({low, high}), [f"{tick:,.0f}" for tick in sorted({low, high})])
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(axis="y", color="#E8E8E8", linewidth=0.6)
    axes.set_axisbelow(True)


def _draw_dose_axis(axes: Axes, frame: np.ndarray, dose: np.ndarray) -> None:
    """Add the dose as a second scale, where both rise so that each frame has one dose."""
    usable = len(frame) > 1 and np.isfinite(dose).all() and (np.diff(dose) > 0).all() and (np.diff(frame) > 0).all()
    if not usable:
        return
    # The scales must go on beyond the outermost frames, into the margins of the axes.
    slopes = np.diff(dose) / np.diff(frame)

    def extended(x: np.ndarray, known: np.ndarray, wanted: np.ndarray, first: float, last: float) -> np.ndarray:
        inner = np.interp(x, known, wanted)
        below, above = np.minimum(x - known[0], 0), np.maximum(x - known[-1], 0)
        return inner + below * first + above * last

    top = axes.secondary_xaxis(
        "top",
        functions=(
            lambda x: extended(np.asarray(x, float), frame, dose, slopes[0], slopes[-1]),
            lambda x: extended(np.asarray(x, float), dose, frame, 1 / slopes[0], 1 / slopes[-1]),
        ),
    )
    top.set_xlabel("Accumulated dose [e⁻/Å²]")
    top.tick_params(labelsize=8.5, width=0.7, length=3, color=MUTED, labelcolor=INK)
    top.ticklabel_format(axis="x", style="sci", scilimits=(-2, 4), useMathText=True)
