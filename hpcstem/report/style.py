"""The look that every figure shares: fonts, colours by meaning, scale bars.

Colours are those of Okabe and Ito [1]_, which stay apart for the common kinds of colour blindness. A species
and a ring size keep their colour in every figure.

References
----------
.. [1] M. Okabe and K. Ito, "Color Universal Design" (2008), https://jfly.uni-koeln.de/color/
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

P = ParamSpec("P")

INK = "#222222"
MUTED = "#767676"
LINE = "#0072B2"
SECOND_LINE = "#E69F00"
BOND = "#555555"

SPECIES_COLORS = {
    "C": "#56B4E9",
    "Si": "#D55E00",
    "H": "#BBBBBB",
    "Cr": "#009E73",
    "N": "#0072B2",
    "O": "#CC79A7",
}
"""Colour of a chemical symbol, light and dark enough for both a micrograph and a white page."""

RING_COLORS = {5: "#CC79A7", 6: "#E4E4E4", 7: "#009E73", 8: "#E69F00"}
"""Colour of a ring by its number of atoms."""

OTHER_COLOR = "#8A6D3B"
"""Colour of a species or ring size that has none of its own."""

_SETTINGS: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "axes.titlesize": 9.0,
    "axes.labelsize": 9.0,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "lines.linewidth": 1.4,
    "text.color": INK,
}


def house_style(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Draw a figure in the house style and leave matplotlib's global settings as they were."""

    @wraps(draw)
    def styled(*args: P.args, **kwargs: P.kwargs) -> Figure:
        import matplotlib
        from matplotlib.legend import Legend

        with matplotlib.rc_context(_SETTINGS):
            figure = draw(*args, **kwargs)
            # Ticks are made when the figure is rendered, outside this context: fix their look now.
            for axes in figure.axes:
                axes.tick_params(labelsize=8.5, width=0.7, length=3, color=MUTED, labelcolor=INK)
            # A name from a file may hold dollar signs, which are not mathematics.
            for legend in figure.findobj(Legend):
                for text in legend.get_texts():
                    text.set_parse_math(False)
        return figure

    return styled


def new_figure(width_in: float, height_in: float) -> Figure:
    """Empty figure [in] with constrained layout, free of pyplot."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width_in, height_in), layout="constrained", facecolor="white")


def species_color(symbol: str) -> str:
    """Colour of a chemical symbol."""
    return SPECIES_COLORS.get(symbol, OTHER_COLOR)


def ring_color(size: int) -> str:
    """Colour of a ring with `size` atoms."""
    return RING_COLORS.get(size, OTHER_COLOR)


def scale_bar_length_A(width_A: float) -> float:
    """Longest of 1, 2, 5 times a power of ten that is at most 30 % of a field's width [Å].

    Examples
    --------
    >>> scale_bar_length_A(32.0)
    5.0
    """
    longest = 0.3 * width_A
    decade = 10.0 ** np.floor(np.log10(longest))
    return float(max(step * decade for step in (1, 2, 5) if step * decade <= longest * (1 + 1e-9)))


def draw_scale_bar(axes: Axes, pixel_size_A: float, color: str = INK, outline: str | None = None) -> None:
    """Draw a labelled bar in the lower left corner of axes whose limits are set.

    Parameters
    ----------
    axes
        Axes with equal aspect, in units of `pixel_size_A`.
    pixel_size_A
        Length of one unit of the x axis [Å]; 1.0 for axes in ångström.
    color, outline
        Colour of bar and text, and of the thin rim that keeps them legible on a micrograph.
    """
    from matplotlib.patheffects import withStroke

    left, right = axes.get_xlim()
    width_A = abs(right - left) * pixel_size_A
    length_A = scale_bar_length_A(width_A)
    fraction = length_A / width_A
    label = f"{length_A / 10:g} nm" if length_A >= 10 else f"{length_A:g} Å"
    rim = [withStroke(linewidth=2.2, foreground=outline)] if outline else []
    bar_rim = [withStroke(linewidth=4.8, foreground=outline)] if outline else []
    axes.plot(
        [0.05, 0.05 + fraction],
        [0.05, 0.05],
        transform=axes.transAxes,
        color=color,
        linewidth=3,
        solid_capstyle="butt",
        path_effects=bar_rim,
        scalex=False,
        scaley=False,
        zorder=6,
    )
    axes.text(
        0.05 + fraction / 2,
        0.072,
        label,
        transform=axes.transAxes,
        color=color,
        ha="center",
        va="bottom",
        fontweight="bold",
        path_effects=rim,
        zorder=6,
    )


def draw_discs(
    axes: Axes, x: np.ndarray, y: np.ndarray, radius: float, face: str, edge: str, linewidth: float = 0.8
) -> None:
    """Draw one disc per atom, its radius in units of the axes so that it scales with the sheet.

    Parameters
    ----------
    axes
        Axes to draw in.
    x, y
        Centres, with shape (n_atoms,).
    radius
        Radius in units of the axes.
    face, edge
        Colours; "none" leaves the disc open.
    linewidth
        Width of the rim [pt].
    """
    from matplotlib.collections import EllipseCollection

    size = np.full(len(x), 2 * radius)
    axes.add_collection(
        EllipseCollection(
            size,
            size,
            np.zeros(len(x)),
            units="xy",
            offsets=np.column_stack([x, y]),
            offset_transform=axes.transData,
            facecolors=face,
            edgecolors=edge,
            linewidths=linewidth,
            zorder=3,
        )
    )


def bare(axes: Axes) -> None:
    """Remove ticks and frame from axes that carry a scale bar instead."""
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
