"""Figures of a study of defect kinetics: matplotlib figures, free of pyplot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from hpcstem.kinetics.chain_tests import ChapmanKolmogorov
from hpcstem.kinetics.diffusion import Diffusion
from hpcstem.kinetics.library import LibraryEntry
from hpcstem.kinetics.lifetimes import DwellCounts, Lifetime, survival
from hpcstem.kinetics.matrix import TransitionMatrix

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#8A6D3B", "#000000")
"""By state, of M. Okabe and K. Ito, https://jfly.uni-koeln.de/color/; states beyond go round again."""
_SPECIES_COLORS = {"C": "#56B4E9", "Si": "#D55E00"}
_OTHER_SPECIES = "#8A6D3B"
_PALE = "#9A9A9A"
_MOST_STATES = 8


def matrix_figure(matrix: TransitionMatrix, classes: Sequence[str], counts: np.ndarray) -> Figure:
    """Draw a transition matrix as a map, with the ends of the 95 % intervals.

    Parameters
    ----------
    matrix
        Over `classes`.
    classes
        Names of its states.
    counts
        Transitions out of each state, with shape (n_states,), for the labels.
    """
    low, high = matrix.interval
    n = len(classes)
    figure = _figure(2.9 + 1.15 * n, 1.5 + 0.75 * n)
    axes = figure.subplots()
    image = axes.imshow(matrix.estimate, cmap="Blues", vmin=0.0, vmax=1.0, aspect="auto")
    for i, j in np.ndindex(n, n):
        color = "white" if matrix.estimate[i, j] > 0.55 else "#222222"
        axes.text(j, i - 0.12, f"{matrix.estimate[i, j]:.3f}", ha="center", va="center", color=color)
        axes.text(j, i + 0.2, f"{low[i, j]:.3f} to {high[i, j]:.3f}", ha="center", va="center", color=color, fontsize=7)
    axes.set_xticks(range(n), [_wrapped(name) for name in classes], fontsize=8)
    rows = [f"{_wrapped(name)}\nn = {total:,}" for name, total in zip(classes, counts.tolist(), strict=True)]
    axes.set_yticks(range(n), rows, fontsize=8)
    axes.set_xlabel(f"Class {_frames(matrix.lag_frames)} later")
    axes.set_ylabel("Class")
    figure.colorbar(image, ax=axes, label="Transition probability")
    return figure


def survival_figure(
    dwells: DwellCounts, lifetimes: Sequence[Lifetime], classes: Sequence[str], frame_time_s: float
) -> Figure:
    """Draw the share of dwells that outlast a time, with the exponential of the lifetime."""
    figure = _figure(6.0, 3.8)
    axes = figure.subplots()
    longest = 0.0
    for state, (name, lifetime) in enumerate(zip(classes[:_MOST_STATES], lifetimes, strict=False)):
        found = survival(dwells, state)
        known = (found.share > 0) & np.isfinite(found.share)
        if known.sum() < 2 or not lifetime.events:
            continue
        color = _COLORS[state % len(_COLORS)]
        time_s, share = found.frames[known] * frame_time_s, found.share[known]
        low, high = (share + sign * 1.96 * found.standard_error[known] for sign in (-1, 1))
        label = (
            f"{name}: {lifetime.mean_frames * frame_time_s:.0f} s "
            f"({lifetime.low_frames * frame_time_s:.0f} to {lifetime.high_frames * frame_time_s:.0f} s)"
        )
        axes.plot(time_s, share, "o", markersize=3, color=color, label=label)
        axes.fill_between(time_s, np.clip(low, 1e-3, None), high, color=color, alpha=0.15, linewidth=0)
        axes.plot(time_s, (1.0 - 1.0 / lifetime.mean_frames) ** found.frames[known], color=color, linewidth=1)
        longest = max(longest, float(time_s[-1]))
    axes.set_yscale("log")
    axes.set_ylim(5e-3, 1.2)
    axes.set_xlim(0, max(longest, frame_time_s))
    axes.set_xlabel("Time since the class began [s]")
    axes.set_ylabel("Share that is still of the class")
    if axes.lines:
        axes.legend(frameon=False, fontsize=8, loc="best")
    else:
        axes.text(0.5, 0.5, "no class was seen to begin and to end", transform=axes.transAxes, ha="center")
    return figure


def chapman_kolmogorov_figure(
    short: TransitionMatrix, tests: Sequence[ChapmanKolmogorov], classes: Sequence[str]
) -> Figure:
    """Draw the probability to be in the same class after each lag, as counted and as predicted from the shortest."""
    n = min(len(classes), _MOST_STATES)
    figure = _figure(2.6 * min(n, 4) + 0.6, 2.6 * ((n + 3) // 4) + 0.4)
    grid = np.atleast_1d(figure.subplots((n + 3) // 4, min(n, 4), sharex=True, sharey=True)).ravel()
    low, high = short.interval
    lags = [short.lag_frames, *(test.lag_frames for test in tests)]
    for state, axes in enumerate(grid):
        axes.set_visible(state < n)
        if state >= n:
            continue
        values = {
            "predicted": [
                (low[state, state], short.estimate[state, state], high[state, state]),
                *(
                    (t.predicted_low[state, state], t.predicted[state, state], t.predicted_high[state, state])
                    for t in tests
                ),
            ],
            "counted": [
                (low[state, state], short.estimate[state, state], high[state, state]),
                *((t.counted_low[state, state], t.counted[state, state], t.counted_high[state, state]) for t in tests),
            ],
        }
        bottom, middle, top = np.array(values["predicted"]).T
        axes.fill_between(lags, bottom, top, color=_PALE, alpha=0.35, linewidth=0, label="predicted, 95 %")
        axes.plot(lags, middle, color=_PALE, linewidth=1)
        bottom, middle, top = np.array(values["counted"]).T
        error = np.array([middle - bottom, top - middle])
        color = _COLORS[state % len(_COLORS)]
        axes.errorbar(lags, middle, error, fmt="o", markersize=3.5, color=color, capsize=2, label="counted, 95 %")
        axes.set_title(classes[state], fontsize=8.5)
        axes.set_xticks(lags)
        axes.set_ylim(0, 1)
        axes.set_xlabel("Lag [frames]")
    grid[0].set_ylabel("Probability to be of the class")
    grid[0].legend(frameon=False, fontsize=7.5, loc="best")
    return figure


def diffusion_figure(found: Mapping[str, Diffusion], gate_A: float, truth_A2_per_s: float | None = None) -> Figure:
    """Draw diffusion coefficients with 95 % intervals beside what the mean squared step alone would give.

    Parameters
    ----------
    found
        By name.
    gate_A
        Gate of the linking, for the title [Å].
    truth_A2_per_s
        What was simulated [Å²/s].
    """
    names = list(found)
    figure = _figure(6.4, 1.3 + 0.42 * len(names))
    axes = figure.subplots()
    place = np.arange(len(names))
    value, low, high, naive = (
        0.01 * np.array([getattr(found[name], f"{key}_A2_per_s") for name in names])
        for key in ("coefficient", "low", "high", "naive")
    )
    axes.errorbar(
        value, place, xerr=[value - low, high - value], fmt="o", color=_COLORS[0], capsize=3, label="covariance, 95 %"
    )
    axes.plot(naive, place, "x", color=_PALE, label="mean squared step alone")
    if truth_A2_per_s is not None:
        axes.axvline(0.01 * truth_A2_per_s, color=_COLORS[5], linewidth=1, linestyle="--", label="simulated")
    axes.set_yticks(place, [f"{name} (n = {found[name].n_steps:,})" for name in names], fontsize=8)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlim(min(0.0, float(low.min()) * 1.1), None)
    power = int(np.floor(np.log10(np.abs([low, high, naive]).max())))
    axes.xaxis.set_major_formatter(lambda tick, _: f"{tick / 10.0**power:g}")
    axes.set_xlabel(rf"Diffusion coefficient [$10^{{{power}}}$ nm²/s]")
    axes.set_title(f"Steps up to {gate_A:g} Å were linked", fontsize=8.5)
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def library_figure(library: Sequence[LibraryEntry], n_shown: int = 12) -> Figure:
    """Draw the most frequent structures, over their mean images where there are some."""
    shown = library[:n_shown]
    columns = min(max(len(shown), 1), 4)
    rows = max((len(shown) + columns - 1) // columns, 1)
    figure = _figure(2.3 * columns, 2.6 * rows)
    grid = np.atleast_1d(figure.subplots(rows, columns)).ravel()
    for axes in grid:
        axes.set_axis_off()
    half_A = max((float(np.abs(entry.environment.positions_A).max()) for entry in shown), default=1.0) + 1.0
    for axes, entry in zip(grid, shown, strict=False):
        _draw_structure(axes, entry, half_A)
        energy = "" if entry.energy_eV is None else f", {entry.energy_eV:.2f} eV"
        axes.set_title(f"{_wrapped(entry.kind)}\n{entry.name}\n{entry.count:,} seen{energy}", fontsize=7.5)
    return figure


def _draw_structure(axes: Axes, entry: LibraryEntry, half_A: float) -> None:
    from hpcstem.kinetics.images import PIXEL_SIZE_A

    if entry.image is not None:
        reach_A = len(entry.image) * PIXEL_SIZE_A / 2.0
        axes.imshow(entry.image, cmap="gray", extent=(-reach_A, reach_A, reach_A, -reach_A))
    environment = entry.environment
    positions_A = environment.positions_A
    for i, j in environment.edges.tolist():
        inner = environment.core[i] and environment.core[j]
        axes.plot(*positions_A[[i, j]].T, color="#444444" if inner else "#BBBBBB", linewidth=1.6, zorder=2)
    for (x_A, y_A), symbol, core in zip(positions_A, environment.species.tolist(), environment.core, strict=True):
        color = _SPECIES_COLORS.get(symbol, _OTHER_SPECIES)
        axes.plot(x_A, y_A, "o", markersize=6, color=color, alpha=1.0 if core else 0.35, markeredgewidth=0, zorder=3)
    axes.set_xlim(-half_A, half_A)
    axes.set_ylim(half_A, -half_A)
    axes.set_aspect("equal")


def _figure(width_in: float, height_in: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width_in, height_in), layout="constrained", facecolor="white")


def _frames(n: int) -> str:
    return "one frame" if n == 1 else f"{n} frames"


def _wrapped(name: str) -> str:
    import textwrap

    return "\n".join(textwrap.wrap(name, 16))
