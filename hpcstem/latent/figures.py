"""Figures of a study of latent structure: matplotlib figures, free of pyplot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hpcstem.frames import Movie
from hpcstem.latent.reading import oddness, similarity_matrix
from hpcstem.latent.sites import SYMMETRY
from hpcstem.latent.study import LearnedSpace, WindowResult

if TYPE_CHECKING:
    from matplotlib.figure import Figure, SubFigure

_COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#8A6D3B", "#000000")
"""By component, of M. Okabe and K. Ito, https://jfly.uni-koeln.de/color/; components beyond go round again."""
_TURNS = 24
_MOST_POINTS = 8000


def comparison_figure(window: WindowResult) -> Figure:
    """Draw what a mixture, the autoencoder and the rotational one make of the same sub-images, side by side."""
    figure = _figure(13.5, 4.9)
    panels: Any = figure.subfigures(1, 3)
    title, components = "Linear components", np.empty((0,))
    for name, unmixed in window.unmixed.items():
        title, components = f"{name.upper()}, {len(unmixed.components)} components", unmixed.components
        break
    _draw_set(panels[0], title, components)
    for panel, name, space in (
        (panels[1], "Autoencoder", window.autoencoder),
        (panels[2], "Rotational autoencoder, turned upright", window.rotational),
    ):
        _draw_manifold(panel, name, space)
    return figure


def unmixed_figure(method: str, components: np.ndarray) -> Figure:
    """Draw the components of one method."""
    figure = _figure(6.0, 4.5)
    _draw_set(figure, f"{method.upper()}, {len(components)} components", components)
    return figure


def maps_figure(window: WindowResult, movies: Sequence[Movie], n_shown: int) -> Figure:
    """Draw the angle, each content latent, and how odd the content is, on the atoms of some frames."""
    atoms, posterior = window.images.atoms, window.posterior
    pairs = [(name, k) for name in np.unique(atoms.movie) for k in np.unique(atoms.frame[atoms.movie == name])]
    chosen = [pairs[k] for k in np.unique(np.linspace(0, len(pairs) - 1, min(n_shown, len(pairs))).astype(int))]
    rows: list[tuple[str, np.ndarray, str, float, float]] = [
        (f"Angle modulo {360 // SYMMETRY}° [°]", _folded_deg(posterior.angle_rad), "hsv", 0.0, 360.0 / SYMMETRY)
    ]
    for k, content in enumerate(posterior.content.T):
        low, high = np.percentile(content, [2, 98])
        rows.append((f"Content {k}", content, "viridis", float(low), float(high)))
    odd = oddness(posterior.content, window.rotational.mixture)
    rows.append(("Oddness of the content", odd, "magma_r", 0.0, float(np.percentile(odd, 95))))
    figure = _figure(0.8 + 3.4 * len(chosen), 3.1 * len(rows))
    grid = np.asarray(figure.subplots(len(rows), len(chosen), squeeze=False))
    for axes_row, (label, values, colors, low, high) in zip(grid, rows, strict=True):
        points = None
        for axes, (name, frame) in zip(axes_row, chosen, strict=True):
            here = (atoms.movie == name) & (atoms.frame == frame)
            points = axes.scatter(
                atoms.x_A[here], atoms.y_A[here], c=values[here], s=12, cmap=colors, vmin=low, vmax=high, linewidths=0
            )
            axes.set_aspect("equal")
            axes.invert_yaxis()
            axes.set_title(f"{name}, frame {frame}" if len(movies) > 1 else f"Frame {frame}", fontsize=9)
            axes.tick_params(labelsize=7)
            axes.set_xlabel("x [Å]", fontsize=8)
        axes_row[0].set_ylabel("y [Å]", fontsize=8)
        if points is not None:
            figure.colorbar(points, ax=list(axes_row), label=label, shrink=0.85)
    return figure


def distributions_figure(window: WindowResult) -> Figure:
    """Draw the distribution of the angle and of each content latent, over all frames and frame by frame."""
    posterior, frame = window.posterior, window.images.atoms.frame
    quantities = [(f"Angle modulo {360 // SYMMETRY}° [°]", _folded_deg(posterior.angle_rad))]
    quantities += [(f"Content {k}", content) for k, content in enumerate(posterior.content.T)]
    n = len(quantities)
    figure = _figure(3.3 * n, 5.6)
    grid = np.asarray(figure.subplots(2, n, squeeze=False))
    last = int(frame.max())
    for (top, bottom), (label, values) in zip(grid.T, quantities, strict=True):
        low, high = (0.0, 360.0 / SYMMETRY) if label.startswith("Angle") else np.percentile(values, [0.5, 99.5])
        edges = np.linspace(low, high, 61)
        top.hist(values, edges, color=_COLORS[0])
        top.set_ylabel("Sub-images")
        times = np.arange(last + 2) - 0.5
        counts = np.histogram2d(values, frame, [edges, times])[0]
        share = counts / np.maximum(counts.sum(axis=0), 1.0)
        image = bottom.imshow(
            share.T, origin="lower", aspect="auto", extent=(low, high, -0.5, last + 0.5), cmap="magma"
        )
        bottom.set_ylabel("Frame")
        bottom.set_xlabel(label)
        figure.colorbar(image, ax=bottom, label="Share of the frame's sub-images", location="bottom")
    return figure


def mixture_figure(window: WindowResult) -> Figure:
    """Draw mixtures in the spaces of both models: contents by component, and what is drawn in the middle of each."""
    figure = _figure(9.6, 7.2)
    halves: Any = figure.subfigures(2, 1)
    for half, name, space in (
        (halves[0], "Autoencoder", window.autoencoder),
        (halves[1], "Rotational autoencoder", window.rotational),
    ):
        left, right = half.subfigures(1, 2, width_ratios=(1.0, 1.25))
        axes = left.subplots()
        step = max(1, len(space.content) // _MOST_POINTS)
        content, label = space.content[::step], space.mixture.label[::step]
        second = content[:, 1] if content.shape[1] > 1 else np.zeros(len(content))
        colors = np.array(_COLORS)[label % len(_COLORS)]
        axes.scatter(content[:, 0], second, s=3, c=colors, linewidths=0)
        axes.set_xlabel("Content 0")
        axes.set_ylabel("Content 1")
        axes.set_title(name, fontsize=9)
        titles = [f"{k}: {share:.0%}" for k, share in enumerate(space.mixture.share)]
        _draw_set(right, "Middles of the components, and their shares", space.mixture.images, titles)
    return figure


def similarity_figure(window: WindowResult) -> Figure:
    """Draw the structural similarity of the components of each method, as they are and after the best turn."""
    sets = {name.upper(): unmixed.components for name, unmixed in window.unmixed.items() if name == "gmm"}
    sets |= {"Autoencoder": window.autoencoder.mixture.images, "Rotational": window.rotational.mixture.images}
    figure = _figure(3.4 * len(sets), 6.2)
    grid = np.asarray(figure.subplots(2, len(sets), squeeze=False))
    for (top, bottom), (name, images) in zip(grid.T, sets.items(), strict=True):
        for axes, turns, what in ((top, 1, "as they are"), (bottom, _TURNS, "after the best turn")):
            matrix = similarity_matrix(images, turns)
            image = axes.imshow(matrix, cmap="Blues", vmin=0.0, vmax=1.0)
            axes.set_title(f"{name}, {what}", fontsize=9)
            axes.set_xticks(range(len(images)))
            axes.set_yticks(range(len(images)))
            axes.set_xlabel("Component")
    figure.colorbar(image, ax=list(grid.ravel()), label="Structural similarity", shrink=0.6)
    return figure


def loss_figure(window: WindowResult) -> Figure:
    """Draw the loss of both models over the epochs."""
    figure = _figure(8.0, 3.4)
    for axes, name, space in zip(
        figure.subplots(1, 2),
        ("Autoencoder", "Rotational autoencoder"),
        (window.autoencoder, window.rotational),
        strict=True,
    ):
        epochs = np.arange(1, space.curve.n_epochs + 1)
        axes.plot(epochs, space.curve.training, color=_COLORS[0], label="learned from")
        axes.plot(epochs, space.curve.held_out, color=_COLORS[1], label="held out")
        axes.set_xlabel("Epoch")
        axes.set_ylabel("Loss of a sub-image [nat]")
        axes.set_title(name, fontsize=9)
        axes.legend(frameon=False, fontsize=8)
    return figure


def _draw_set(panel: Figure | SubFigure, title: str, images: np.ndarray, titles: Sequence[str] = ()) -> None:
    panel.suptitle(title, fontsize=9.5)
    columns = int(np.ceil(np.sqrt(max(len(images), 1))))
    rows = int(np.ceil(max(len(images), 1) / columns))
    grid = np.asarray(panel.subplots(rows, columns, squeeze=False)).ravel()
    for axes in grid:
        axes.set_axis_off()
    for number, (axes, image) in enumerate(zip(grid, images, strict=False)):
        axes.imshow(image, cmap="gray")
        if titles:
            axes.set_title(titles[number], fontsize=8)


def _draw_manifold(panel: Figure | SubFigure, name: str, space: LearnedSpace) -> None:
    axes = panel.subplots()
    rows, columns, n_pixels = space.manifold.shape[:3]
    picture = space.manifold.transpose(0, 2, 1, 3).reshape(rows * n_pixels, columns * n_pixels)
    first, second = space.first, space.second
    axes.imshow(picture, cmap="gray")
    axes.set_xticks((np.arange(columns) + 0.5) * n_pixels - 0.5, [f"{value:.1f}" for value in first], fontsize=7)
    axes.set_yticks((np.arange(rows) + 0.5) * n_pixels - 0.5, [f"{value:.1f}" for value in second[::-1]], fontsize=7)
    axes.set_xlabel("Content 0")
    axes.set_ylabel("Content 1" if len(second) > 1 else "")
    axes.set_title(name, fontsize=9.5)


def _folded_deg(angle_rad: np.ndarray) -> np.ndarray:
    return np.asarray(np.mod(np.degrees(angle_rad), 360.0 / SYMMETRY))


def _figure(width_in: float, height_in: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width_in, height_in), layout="constrained", facecolor="white")
