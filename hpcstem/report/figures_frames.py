"""Frames with their atoms drawn on, and the ensemble's doubt beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from hpcstem.report.style import (
    MUTED,
    bare,
    draw_discs,
    draw_scale_bar,
    house_style,
    new_figure,
    species_color,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

_ATOM_RADIUS_A = 0.45


@dataclass(frozen=True)
class FramePanel:
    """One frame to show.

    Parameters
    ----------
    image
        Intensities, with shape (rows, columns), float.
    pixel_size_A
        Pixel size [Å].
    title
        Text above the frame.
    x_px, y_px
        Column and row of each atom [px], with shape (n_atoms,), float.
    species
        Chemical symbols, with shape (n_atoms,), str.
    square_px
        Centre column, centre row and side [px] of a square to outline.
    """

    image: np.ndarray
    pixel_size_A: float
    title: str
    x_px: np.ndarray = field(default_factory=lambda: np.empty(0))
    y_px: np.ndarray = field(default_factory=lambda: np.empty(0))
    species: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.str_))
    square_px: tuple[float, float, float] | None = None


def cropped(panel: FramePanel, centre_px: tuple[float, float], side_px: int) -> FramePanel:
    """Cut a square out of a frame, moved inward where it would reach over the edge.

    Parameters
    ----------
    panel
        The frame.
    centre_px
        Column and row of the square's centre [px].
    side_px
        Its side [px]; the whole frame along an axis that is shorter.
    """
    rows, columns = panel.image.shape
    width, height = min(side_px, columns), min(side_px, rows)
    left = int(np.clip(round(centre_px[0] - width / 2), 0, columns - width))
    top = int(np.clip(round(centre_px[1] - height / 2), 0, rows - height))
    x, y = panel.x_px - left, panel.y_px - top
    keep = (x > -0.5) & (x < width - 0.5) & (y > -0.5) & (y < height - 0.5)
    image = panel.image[top : top + height, left : left + width]
    return replace(panel, image=image, x_px=x[keep], y_px=y[keep], species=panel.species[keep], square_px=None)


@house_style
def contact_sheet(panels: Sequence[FramePanel]) -> Figure:
    """Frames side by side, each with its atoms, a scale bar and a title.

    Parameters
    ----------
    panels
        One to about nine frames.

    Returns
    -------
    Figure
        Up to three frames in a row; grey levels from the 0.5th to the 99.7th percentile of each frame.
    """
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    width_in = {1: 5.0, 2: 9.15, 3: 9.15}[columns]
    title_in = 0.18 * (1 + max(panel.title.count("\n") for panel in panels))
    tallest = max(panel.image.shape[0] / panel.image.shape[1] for panel in panels)
    figure = new_figure(width_in, (width_in / columns * tallest + title_in) * rows + 0.35)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, panel in zip(grid, panels, strict=False):
        _draw_frame(axes, panel, width_in / columns)
    for axes in grid[len(panels) :]:
        axes.set_visible(False)
    handles = _legend_handles(panels)
    if handles:
        figure.legend(handles=handles, loc="outside lower left", ncols=len(handles))
    return figure


@house_style
def uncertainty(panel: FramePanel, probability: np.ndarray, spread: np.ndarray, map_pixel_size_A: float) -> Figure:
    """Draw one frame beside the probability of an atom and the ensemble's standard deviation of it.

    Parameters
    ----------
    panel
        The frame.
    probability
        Probability of an atom of any species, 0 to 1, with shape (map rows, map columns), float.
    spread
        Its standard deviation over the ensemble, with the same shape.
    map_pixel_size_A
        Pixel size of both maps [Å].
    """
    from matplotlib.ticker import MaxNLocator

    width_in = 9.15
    height_in = width_in / 3 * panel.image.shape[0] / panel.image.shape[1] + 0.75
    figure = new_figure(width_in, height_in)
    grid = figure.add_gridspec(2, 3, height_ratios=(height_in - 0.75, 0.1), wspace=0.06)
    axes = figure.add_subplot(grid[0, 0])
    _draw_frame(axes, panel, width_in / 3)
    key = figure.add_subplot(grid[1, 0])
    key.set_axis_off()
    key.legend(handles=_legend_handles([panel]), loc="upper left", ncols=4, borderaxespad=0)
    rows, columns = np.array(probability.shape) * map_pixel_size_A / panel.pixel_size_A
    extent = (-0.5, columns - 0.5, rows - 0.5, -0.5)
    largest = max(float(np.nanpercentile(spread, 99.9)), 0.01)
    for column, values, top, title in (
        (1, probability, 1.0, "Probability of an atom"),
        (2, spread, largest, "Ensemble standard deviation"),
    ):
        here = figure.add_subplot(grid[0, column])
        picture = here.imshow(values, cmap="cividis", vmin=0, vmax=top, extent=extent)
        here.set(xlim=axes.get_xlim(), ylim=axes.get_ylim())
        here.set_title(title, loc="left")
        bare(here)
        draw_scale_bar(here, panel.pixel_size_A, "white", "black")
        scale = figure.colorbar(picture, cax=figure.add_subplot(grid[1, column]), orientation="horizontal")
        scale.locator = MaxNLocator(nbins=5)
    return figure


def _draw_frame(axes: Axes, panel: FramePanel, width_in: float) -> None:
    from matplotlib.patches import Rectangle

    rows, columns = panel.image.shape
    finite = panel.image[np.isfinite(panel.image)]
    dark, bright = np.percentile(finite, (0.5, 99.7)) if finite.size else (0.0, 1.0)
    axes.imshow(panel.image, cmap="gray", vmin=dark, vmax=max(bright, dark + 1e-12))
    radius_px = _ATOM_RADIUS_A / panel.pixel_size_A
    # In a wide field the circles are small: a thinner rim keeps the image in them visible.
    linewidth = float(np.clip(0.25 * radius_px * 72 * width_in / columns, 0.3, 1.1))
    for symbol in np.unique(panel.species):
        chosen = panel.species == symbol
        color = species_color(str(symbol))
        draw_discs(axes, panel.x_px[chosen], panel.y_px[chosen], radius_px, "none", color, linewidth)
    if panel.square_px:
        column, row, side = panel.square_px
        corner = (column - side / 2, row - side / 2)
        axes.add_patch(
            Rectangle(corner, side, side, fill=False, edgecolor="white", linewidth=1.4, linestyle="--", zorder=4)
        )
    axes.set(xlim=(-0.5, columns - 0.5), ylim=(rows - 0.5, -0.5))
    axes.set_title(panel.title, loc="left", parse_math=False)
    bare(axes)
    draw_scale_bar(axes, panel.pixel_size_A, "white", "black")


def _legend_handles(panels: Sequence[FramePanel]) -> list[Line2D | Patch]:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Line2D | Patch] = []
    for symbol in sorted({str(symbol) for panel in panels for symbol in panel.species}):
        color = species_color(symbol)
        handles.append(
            Line2D(
                [],
                [],
                linestyle="none",
                marker="o",
                markerfacecolor="none",
                markeredgewidth=1.4,
                markeredgecolor=color,
                label=symbol,
            )
        )
    if any(panel.square_px for panel in panels):
        handles.append(Patch(fill=False, edgecolor=MUTED, linestyle="--", label="region for simulation"))
    return handles
