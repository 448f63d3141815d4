"""Curves over steps: the loss of a training, the temperature of a molecular-dynamics run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from hpcstem.report.style import LINE, house_style, new_figure
from hpcstem.report.trajectories import TemperatureTrace

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@house_style
def training_loss(step: np.ndarray, loss: np.ndarray) -> Figure:
    """Loss over the steps of a training, on a logarithmic scale.

    Parameters
    ----------
    step
        Optimiser step of each value, from 1, with shape (n,), int.
    loss
        Mean loss on training images up to that step, with shape (n,), float.
    """
    figure = new_figure(6.2, 2.9)
    axes = figure.subplots()
    axes.plot(step, loss, color=LINE)
    axes.set(xlabel="Step", ylabel="Loss", xlim=(0, max(step) * 1.02))
    if (loss > 0).all():
        axes.set_yscale("log")
    axes.grid(axis="y", which="both", color="#EEEEEE", linewidth=0.6)
    return figure


@house_style
def temperature_traces(traces: Sequence[TemperatureTrace]) -> Figure:
    """Temperature over time of each run, with the thermostat's temperature dashed.

    Parameters
    ----------
    traces
        One per run, in the order of the legend.
    """
    import matplotlib

    figure = new_figure(9.15, 3.4)
    axes = figure.subplots()
    colors = matplotlib.colormaps["cividis"](np.linspace(0.0, 0.85, len(traces)))
    longest_fs = max(float(trace.time_fs[-1]) for trace in traces)
    unit, scale = ("ps", 1e-3) if longest_fs >= 1000 else ("fs", 1.0)
    for trace, color in zip(traces, colors, strict=True):
        marker = "o" if len(trace.time_fs) == 1 else ""
        axes.plot(
            trace.time_fs * scale,
            trace.temperature_K,
            color=color,
            linewidth=1.0,
            marker=marker,
            label=trace.label,
        )
        if trace.target_K is not None:
            axes.axhline(trace.target_K, color=color, linewidth=0.9, linestyle="--")
    axes.set(xlabel=f"Time [{unit}]", ylabel="Temperature [K]")
    axes.set_ylim(bottom=0)
    figure.legend(loc="outside right upper")
    return figure
