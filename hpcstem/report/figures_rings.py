"""One frame's bond graph with its rings coloured by size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from hpcstem.report.style import (
    BOND,
    bare,
    draw_discs,
    draw_scale_bar,
    house_style,
    new_figure,
    ring_color,
    species_color,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@house_style
def ring_map(positions_A: np.ndarray, species: np.ndarray, edges: np.ndarray, rings: Sequence[np.ndarray]) -> Figure:
    """Atoms, bonds and rings of one frame, seen as the image is: y points down.

    Parameters
    ----------
    positions_A
        (x, y) of each atom [Å], with shape (n_atoms, 2), float.
    species
        Chemical symbols, with shape (n_atoms,), str.
    edges
        Bonded pairs, with shape (n_bonds, 2), int.
    rings
        For each ring its atoms in order, with shape (size,), int.
    """
    from matplotlib.collections import LineCollection, PolyCollection
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    figure = new_figure(7.6, 6.0)
    axes = figure.subplots()
    handles: list[Patch | Line2D] = []
    for size in sorted({len(ring) for ring in rings}):
        of_size = [positions_A[ring] for ring in rings if len(ring) == size]
        axes.add_collection(PolyCollection(of_size, facecolors=ring_color(size), edgecolors="none"))
        handles.append(Patch(facecolor=ring_color(size), label=f"{size}-ring  ({len(of_size)})"))
    axes.add_collection(LineCollection(list(positions_A[edges]), colors=BOND, linewidths=0.7))
    for symbol in sorted({str(symbol) for symbol in species}):
        x, y = positions_A[species == symbol].T
        draw_discs(axes, x, y, 0.22 if symbol == "C" else 0.45, species_color(symbol), BOND, linewidth=0.3)
        handles.append(
            Line2D(
                [],
                [],
                linestyle="none",
                marker="o",
                markersize=4 if symbol == "C" else 7,
                color=species_color(symbol),
                markeredgecolor=BOND,
                markeredgewidth=0.3,
                label=f"{symbol}  ({len(x)})",
            )
        )
    low, high = (positions_A.min(axis=0), positions_A.max(axis=0)) if len(positions_A) else (np.zeros(2), np.ones(2))
    bar_room_A = 1.5 + 0.12 * (high[1] - low[1])
    axes.set(xlim=(low[0] - 1.5, high[0] + 1.5), ylim=(high[1] + bar_room_A, low[1] - 1.5), aspect="equal")
    bare(axes)
    draw_scale_bar(axes, 1.0)
    axes.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure
