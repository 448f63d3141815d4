"""The simulated cell from above: decoded against relaxed, and how the atoms moved."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hpcstem.report.style import (
    BOND,
    INK,
    bare,
    draw_discs,
    draw_scale_bar,
    house_style,
    new_figure,
    species_color,
)

if TYPE_CHECKING:
    from ase import Atoms
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_RADIUS_A = {"C": 0.30, "H": 0.20}
_OTHER_RADIUS_A = 0.48
_LONGEST_ARROW_A = 1.2
_FACTORS = (1, 2, 5, 10, 20, 50, 100)


def displacements_A(decoded: Atoms, relaxed: Atoms) -> np.ndarray:
    """Displacement of each atom from the decoded to the relaxed cell, the shortest over its boundaries.

    Parameters
    ----------
    decoded, relaxed
        Cells with the same atoms in the same order.

    Returns
    -------
    np.ndarray
        (x, y, z) [Å], with shape (n_atoms, 3), float64.
    """
    from ase.geometry import find_mic

    shift = relaxed.positions - decoded.positions
    if decoded.cell.rank < 3 or not decoded.pbc.any():
        return np.asarray(shift)
    vectors, _ = find_mic(shift, decoded.cell, decoded.pbc)
    return np.asarray(vectors)


def arrow_factor(displacement_A: np.ndarray) -> int:
    """Round factor that makes almost every in-plane displacement [Å] visible without crossing a neighbour.

    The 95th percentile of the lengths, times the factor, stays within 1.2 Å.
    """
    typical_A = float(np.percentile(np.linalg.norm(displacement_A[:, :2], axis=1), 95))
    return max((factor for factor in _FACTORS if factor * typical_A <= _LONGEST_ARROW_A), default=1)


@house_style
def cell_view(cell: Atoms) -> Figure:
    """Draw one cell from above with its bonds.

    Parameters
    ----------
    cell
        Atoms with positions [Å].
    """
    figure = new_figure(5.2, 5.2)
    axes = figure.subplots()
    _draw_atoms(axes, cell, cell.positions)
    _finish(figure, [axes], cell)
    return figure


@house_style
def relaxation(decoded: Atoms, relaxed: Atoms) -> Figure:
    """Draw the decoded and the relaxed cell over each other, and the displacements as lengthened arrows.

    Parameters
    ----------
    decoded, relaxed
        Cells with the same atoms in the same order, positions [Å].
    """
    displacement = displacements_A(decoded, relaxed)
    moved = decoded.positions + displacement
    factor = arrow_factor(displacement)
    figure = new_figure(9.15, 5.0)
    overlay, arrows = figure.subplots(1, 2)
    _draw_atoms(overlay, relaxed, moved)
    symbols = np.array(decoded.get_chemical_symbols())
    for symbol in np.unique(symbols):
        x, y = decoded.positions[symbols == symbol, :2].T
        draw_discs(overlay, x, y, radius_A(str(symbol)), "none", INK, linewidth=0.7)
    overlay.set_title("Relaxed (filled) and decoded (open)", loc="left")
    _draw_atoms(arrows, decoded, decoded.positions)
    x, y = decoded.positions[:, :2].T
    u, v = displacement[:, :2].T
    arrows.quiver(x, y, u, v, angles="xy", scale_units="xy", scale=1 / factor, width=0.004, color=INK, zorder=5)
    name = "Displacement to the relaxed position"
    arrows.set_title(f"{name}, drawn {factor} times longer" if factor > 1 else f"{name}, to scale", loc="left")
    _finish(figure, [overlay, arrows], decoded)
    return figure


def radius_A(symbol: str) -> float:
    """Radius of an atom's disc [Å]."""
    return _RADIUS_A.get(symbol, _OTHER_RADIUS_A)


def _draw_atoms(axes: Axes, atoms: Atoms, positions: np.ndarray) -> None:
    """Draw atoms, and bonds up to 1.15 times the sum of the covalent radii, none across a boundary."""
    from ase.neighborlist import natural_cutoffs, neighbor_list
    from matplotlib.collections import LineCollection

    here = atoms.copy()
    here.positions = positions
    here.pbc = False
    first, second = neighbor_list("ij", here, natural_cutoffs(here, mult=1.15))
    once = first < second
    segments = positions[np.column_stack([first[once], second[once]])][:, :, :2]
    axes.add_collection(LineCollection(list(segments), colors=BOND, linewidths=1.0))
    symbols = np.array(atoms.get_chemical_symbols())
    for symbol in np.unique(symbols):
        x, y = positions[symbols == symbol, :2].T
        draw_discs(axes, x, y, radius_A(str(symbol)), species_color(str(symbol)), "white", linewidth=0.4)


def _finish(figure: Figure, grid: list[Axes], cell: Atoms) -> None:
    """Draw the cell's outline, the scale bar and the legend; y points down, as in the images."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Polygon

    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) @ np.asarray(cell.cell[:2, :2])
    points = np.vstack([cell.positions[:, :2], corners]) if cell.cell.rank == 3 else cell.positions[:, :2]
    low, high = points.min(axis=0) - 1.0, points.max(axis=0) + 1.0
    bar_room = 0.12 * (high[1] - low[1])
    for axes in grid:
        if cell.cell.rank == 3:
            axes.add_patch(Polygon(corners, fill=False, edgecolor="#AAAAAA", linewidth=0.7, linestyle="--"))
        axes.set(xlim=(low[0], high[0]), ylim=(high[1] + bar_room, low[1]), aspect="equal")
        bare(axes)
        draw_scale_bar(axes, 1.0)
    symbols = cell.get_chemical_symbols()
    handles = [
        Line2D(
            [],
            [],
            linestyle="none",
            marker="o",
            markersize=20 * radius_A(symbol),
            color=species_color(symbol),
            markeredgecolor="white",
            label=f"{symbol}  ({symbols.count(symbol)})",
        )
        for symbol in sorted(set(symbols))
    ]
    figure.legend(handles=handles, loc="outside lower left", ncols=len(handles))
