"""Potentials over distance: mean force, and pair potentials fitted to motion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from hpcstem.report.formatting import pair_label
from hpcstem.report.style import INK, LINE, MUTED, SECOND_LINE, house_style, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from hpcstem.potentials.fitted import FittedPotential

_N_POINTS = 400
_BAND = 1.96


@house_style
def mean_force(r_A: np.ndarray, curves: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Figure:
    """Draw w(r) in units of kT with its band of 95 %, one row per pair of species.

    Parameters
    ----------
    r_A
        Centres of the bins [Å], with shape (n_bins,), float.
    curves
        By pair ("C-Si"), w and its standard error, each with shape (n_bins,), float; NaN where it is not known.
    """
    figure = new_figure(9.15, 1.75 * len(curves) + 0.4)
    grid = figure.subplots(len(curves), 1, sharex=True, squeeze=False).ravel()
    for axes, (pair, (w_kT, error_kT)) in zip(grid, curves.items(), strict=True):
        _draw_band(axes, r_A, w_kT, error_kT, "w / kT", pair)
        axes.set(xlim=(0, float(r_A[-1])))
    grid[-1].set_xlabel("r [Å]")
    return figure


@house_style
def fitted_potentials(
    potential: FittedPotential,
    pairs: Sequence[str],
    r_A: np.ndarray | None,
    mean_force_kT: Mapping[str, np.ndarray],
) -> Figure:
    """Draw fitted pair potentials in units of kT with the band of their posterior, one row per pair of species.

    Parameters
    ----------
    potential
        The fit; drawn only at distances that were sampled.
    pairs
        Which pairs ("C-Si") to draw.
    r_A, mean_force_kT
        Distances [Å], with shape (n_bins,), and by pair the potential of mean force there, for comparison; may lack
        pairs.
    """
    figure = new_figure(9.15, 2.4 * len(pairs) + 0.4)
    grid = figure.subplots(len(pairs), 1, sharex=True, squeeze=False).ravel()
    names = ["-".join(pair) for pair in potential.pairs]
    distance_A = np.linspace(0.0, potential.basis.cutoff_A, _N_POINTS + 1)[1:]
    for axes, pair in zip(grid, pairs, strict=True):
        k = names.index(pair)
        sampled = potential.sampled(k, distance_A)
        energy_kT = np.where(sampled, potential.energy(k, distance_A), np.nan) / potential.kT
        _draw_band(axes, distance_A, energy_kT, potential.deviation(k, distance_A) / potential.kT, "U / kT", pair)
        if r_A is not None and pair in mean_force_kT:
            axes.plot(r_A, mean_force_kT[pair], color=SECOND_LINE, linewidth=0.9)
        low = float(np.nanmin(energy_kT)) if sampled.any() else -1.0
        axes.set(xlim=(0, float(distance_A[-1])), ylim=(min(1.5 * low, -0.5), max(-2 * low, 2.0)))
    grid[-1].set_xlabel("r [Å]")
    return figure


def _draw_band(axes: Axes, r_A: np.ndarray, values: np.ndarray, error: np.ndarray, label: str, pair: str) -> None:
    band = _BAND * np.nan_to_num(error)
    axes.axhline(0, color=MUTED, linewidth=0.7, linestyle=":")
    axes.fill_between(r_A, values - band, values + band, color=LINE, alpha=0.22, linewidth=0)
    axes.plot(r_A, values, color=LINE)
    axes.set_ylabel(label)
    title = pair_label(pair)
    axes.text(0.995, 0.94, title, transform=axes.transAxes, ha="right", va="top", color=INK, parse_math=False)
