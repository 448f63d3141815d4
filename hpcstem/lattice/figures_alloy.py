"""Figures of lattice models: the images, their local configurations, and the weights found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from hpcstem.lattice.triangular import lattice_vectors

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLORS = ("#56B4E9", "#D55E00")
"""Of species A and B."""
MODEL_COLORS = {"pair-additive": "#0072B2", "many-body": "#009E73"}


def draw_alloys(
    images: dict[str, Any],
    fits: dict[str, Any],
    truths: Mapping[str, tuple[str, list[float]]],
    species: tuple[str, str],
) -> Figure:
    """Draw each image on its lattice, and below it the weights of each model with their errors.

    Parameters
    ----------
    images, fits
        By image, what `site_results` and `fit_results` gave.
    truths
        By image that was made, the model and the weights that it was made with.
    species
        Chemical symbols of A and B.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.1 * len(images) + 0.6, 6.0), layout="constrained", facecolor="white")
    grid = figure.subplots(2, len(images), squeeze=False, height_ratios=(1.15, 1))
    for column, (name, image) in enumerate(images.items()):
        _draw_sites(grid[0, column], np.array(image["species"]))
        percent = 100 * image["fraction_B"]
        grid[0, column].set_title(f"{name}: {percent:.1f} % {species[1]}", parse_math=False)
        _draw_weights(grid[1, column], fits[name]["models"], truths.get(name))
    grid[1, 0].set_ylabel("energy of a motif / kT")
    handles, labels = grid[1, 0].get_legend_handles_labels()
    for symbol, color in zip(species, COLORS, strict=True):
        handles.append(grid[0, 0].scatter([], [], s=30, marker="h", color=color))
        labels.append(symbol)
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    return figure


def _draw_sites(axes: Axes, species: np.ndarray) -> None:
    from matplotlib.colors import ListedColormap

    n_i, n_j = species.shape
    corners = np.moveaxis(np.indices((n_i + 1, n_j + 1)), 0, -1) - 0.5
    x, y = np.moveaxis(corners @ lattice_vectors(1.0, 0.0), -1, 0)
    held = np.ma.masked_less(species, 0)
    axes.pcolormesh(x, y, held, cmap=ListedColormap(COLORS), vmin=0, vmax=1, rasterized=True)
    axes.set_aspect("equal")
    axes.axis("off")


def _draw_weights(axes: Axes, models: list[dict[str, Any]], truth: tuple[str, list[float]] | None) -> None:
    ticks: list[str] = []
    for number, fit in enumerate(models):
        name = fit["model"]
        place = np.arange(len(fit["terms"])) + 2.6 * number
        color = MODEL_COLORS[name]
        # The bound first and broad, so that error bars of the same length stay visible within it.
        axes.errorbar(
            place,
            fit["weights_kT"],
            fit["cramer_rao_kT"],
            fmt="none",
            color="#BBBBBB",
            elinewidth=6,
            label="Cramér-Rao bound" if number == 0 else None,
        )
        axes.errorbar(
            place, fit["weights_kT"], fit["sigma_kT"], fmt="o", color=color, markersize=4, capsize=3, label=name
        )
        if truth is not None and truth[0] == name:
            axes.plot(place, truth[1], "_", color="#222222", markersize=22, label="truth")
        axes.annotate(
            f"s = {fit['distance']:.3f}\np = {fit['p_value']:.2f}",
            (place.mean(), 0.98),
            xycoords=("data", "axes fraction"),
            ha="center",
            va="top",
        )
        ticks += [term.removesuffix(" neighbours").replace(" ", "\n") for term in fit["terms"]]
    axes.axhline(0, color="#767676", linewidth=0.6, linestyle=":")
    places = [step + 2.6 * number for number, fit in enumerate(models) for step in range(len(fit["terms"]))]
    axes.set_xticks(places, ticks)
    axes.margins(x=0.12, y=0.3)


def draw_configurations(fits: dict[str, Any]) -> Figure:
    """Draw how often each local configuration is seen, against what each fitted model gives.

    Parameters
    ----------
    fits
        By image, what `fit_results` gave.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 1.9 * len(fits) + 0.8), layout="constrained", facecolor="white")
    grid = figure.subplots(len(fits), 1, squeeze=False, sharex=True).ravel()
    for axes, (name, fit) in zip(grid, fits.items(), strict=True):
        counts = np.array(fit["histogram"])
        number = np.arange(len(counts))
        axes.bar(number, counts / counts.sum(), color="#DDDDDD", width=0.9, label="image")
        error = np.sqrt(counts) / counts.sum()
        axes.errorbar(number, counts / counts.sum(), error, fmt="none", color="#767676", elinewidth=0.8)
        for shift, found in zip((-0.15, 0.15), fit["models"], strict=False):
            model = found["model"]
            axes.plot(number + shift, found["frequencies"], ".", color=MODEL_COLORS[model], label=model)
        axes.set_ylabel("frequency")
        axes.set_title(name, loc="left", parse_math=False)
    grid[-1].set_xlabel(f"local configuration ({next(iter(fits.values()))['classes']}), first half around A")
    handles, labels = grid[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=len(labels), frameon=False)
    return figure
