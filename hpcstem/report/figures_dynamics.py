"""One molecular dynamics run over time: energies, temperature, rings, height of an adsorbate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from hpcstem.report.style import LINE, MUTED, SECOND_LINE, house_style, new_figure, ring_color
from hpcstem.report.trajectories import EnergyTrace

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LONGEST_FS = 1000.0


@house_style
def dynamics_figure(table: Mapping[str, Any], trace: EnergyTrace | None) -> Figure:
    """Draw one run.

    Parameters
    ----------
    table
        Its table, as `hpcstem.simulation.trajectories.analyse` yields it.
    trace
        Energies and temperature; None where they are not known.
    """
    adsorbate = table.get("adsorbate")
    panels = [_rings] + [_height] * bool(adsorbate)
    figure = new_figure(9.15, 2.6 if trace is None or not adsorbate else 4.8)
    times_fs = np.array(table["times_fs"])
    unit, scale = ("ps", 1e-3) if times_fs[-1] >= _LONGEST_FS else ("fs", 1.0)
    n_panels = len(panels) + 2 * (trace is not None)
    grid = list(np.atleast_1d(figure.subplots(*((2, 2) if n_panels == 4 else (1, n_panels)))).flat)
    if trace is not None:
        _energies(grid.pop(0), trace, scale)
        _temperature(grid.pop(0), trace, scale, table["temperature_K"])
    for axes, draw in zip(grid, panels, strict=True):
        draw(axes, table, times_fs * scale)
    for axes in figure.axes:
        axes.set_xlabel(f"Time [{unit}]")
        axes.margins(x=0.01)
    return figure


def _energies(axes: Axes, trace: EnergyTrace, scale: float) -> None:
    for energy_eV, color, name in (
        (trace.potential_eV, LINE, "potential"),
        (trace.conserved_eV, SECOND_LINE, "conserved"),
    ):
        if np.isfinite(energy_eV).all():
            axes.plot(trace.time_fs * scale, energy_eV - energy_eV[0], color=color, linewidth=1.0, label=name)
    axes.set_ylabel("Energy since the start [eV]")
    axes.legend()


def _temperature(axes: Axes, trace: EnergyTrace, scale: float, target_K: float) -> None:
    axes.plot(trace.time_fs * scale, trace.temperature_K, color=LINE, linewidth=1.0)
    axes.axhline(target_K, color=MUTED, linewidth=0.9, linestyle="--")
    axes.set_ylabel("Temperature [K]")
    axes.set_ylim(bottom=0)


def _rings(axes: Axes, table: Mapping[str, Any], times: np.ndarray) -> None:
    for size, counts in table["rings"].items():
        if any(counts):
            # Hexagons are many: what changes is seen against their number at the start.
            change = np.array(counts) - (counts[0] if size == "6" else 0)
            color, name = (MUTED, "6, change") if size == "6" else (ring_color(int(size)), size)
            axes.step(times, change, where="mid", color=color, label=name)
    axes.set_ylabel("Number of rings")
    axes.locator_params(axis="y", integer=True)
    low, high = axes.get_ylim()
    if high - low < 1:
        axes.set_ylim(low - 1, high + 1)
    axes.legend(title="atoms")


def _height(axes: Axes, table: Mapping[str, Any], times: np.ndarray) -> None:
    adsorbate = table["adsorbate"]
    axes.plot(times, adsorbate["height_A"], color=LINE, label="height over the sheet")
    axes.plot(times, adsorbate["nearest_atom_A"], color=SECOND_LINE, label="nearest atom")
    axes.set_ylabel("Adsorbate [Å]")
    axes.legend()
