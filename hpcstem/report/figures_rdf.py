"""Radial distribution functions, the histogram beside its smoothed form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from hpcstem.report.formatting import pair_label
from hpcstem.report.style import INK, LINE, MUTED, SECOND_LINE, house_style, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CARBON_BOND_A = 1.42
"""First C–C distance of graphene [Å], on which lengths are calibrated."""


@house_style
def radial_distributions(
    r_A: np.ndarray,
    histogram: Mapping[str, np.ndarray],
    density: Mapping[str, np.ndarray],
    n_pairs: Mapping[str, int | None],
) -> Figure:
    """Draw g(r) of each pair of species, one row per pair.

    Parameters
    ----------
    r_A
        Centres of the bins [Å], with shape (n_bins,), float.
    histogram
        By pair ("C-Si"), g(r) from the histogram of distances, with shape (n_bins,), float.
    density
        By pair, g(r) from the kernel density estimate, with shape (n_bins,), float; may lack pairs.
    n_pairs
        By pair, the number of distances that went in, where known.
    """
    figure = new_figure(9.15, 1.75 * len(histogram) + 0.6)
    grid = figure.subplots(len(histogram), 1, sharex=True, squeeze=False).ravel()
    for axes, (pair, values) in zip(grid, histogram.items(), strict=True):
        known = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
        axes.fill_between(r_A, known, step="mid", color=LINE, alpha=0.22, linewidth=0)
        axes.step(r_A, known, where="mid", color=LINE, linewidth=0.9, label="histogram")
        if pair in density:
            axes.plot(r_A, density[pair], color=SECOND_LINE, linewidth=1.6, label="kernel density estimate")
        axes.axhline(1.0, color=MUTED, linewidth=0.7, linestyle=":")
        top = max(1.15 * float(known.max(initial=0.0)), 1.5)
        axes.set(ylim=(0, top), xlim=(0, float(r_A[-1])), ylabel="g(r)")
        number = n_pairs.get(pair)
        title = pair_label(pair) + (f"   {number:,} distances" if number is not None else "")
        axes.text(0.995, 0.94, title, transform=axes.transAxes, ha="right", va="top", color=INK, parse_math=False)
        if pair == "C-C":
            axes.axvline(CARBON_BOND_A, color=INK, linewidth=0.9, linestyle="--")
            axes.annotate(
                f"{CARBON_BOND_A:.2f} Å",
                (CARBON_BOND_A, 0.97 * top),
                xytext=(-4, 0),
                textcoords="offset points",
                ha="right",
                va="top",
            )
    grid[-1].set_xlabel("r [Å]")
    handles, labels = grid[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=2)
    return figure
