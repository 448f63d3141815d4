"""Figures of order parameters: normal modes, local free energies, and profiles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hpcstem.lattice.distortions import CLUSTER
from hpcstem.lattice.triangular import lattice_vectors

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CYCLE = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9")
"""Colours of images, by turns."""
INK = "#222222"


def draw_modes(modes: dict[str, Any], n_dominant: int) -> Figure:
    """Draw the dominant modes, all variances, and how the modes follow local and global composition.

    Parameters
    ----------
    modes
        What `mode_results` gave.
    n_dominant
        Modes to draw.
    """
    from matplotlib.figure import Figure

    n_columns = max(n_dominant, 4)
    figure = Figure(figsize=(2.6 * n_columns, 7.4), layout="constrained", facecolor="white")
    grid = figure.add_gridspec(3, n_columns)
    for mode in range(n_dominant):
        _draw_mode(figure.add_subplot(grid[0, mode]), modes, mode)
    _draw_variances(figure.add_subplot(grid[0, n_dominant:] if n_dominant < n_columns else grid[2, 0]), modes)
    half = n_columns // 2
    left = figure.add_subplot(grid[1, :half])
    for number, image in enumerate(modes["images"]):
        mean_square = np.array(image["mean_square_A2"], np.float64).mean(axis=0)
        left.plot(range(8), np.sqrt(mean_square), "o-", color=CYCLE[number % 6], label=image["name"], markersize=4)
    left.set(xlabel="atoms B among a site and its first shell", ylabel="rms amplitude [Å]", ylim=(0, None))
    _draw_breaking(figure.add_subplot(grid[1, half:]), modes)
    for column, image in enumerate(modes["images"][:n_columns]):
        _draw_amplitudes(figure.add_subplot(grid[2, column]), image, CYCLE[column % 6])
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=6, frameon=False)
    return figure


def _draw_mode(axes: Axes, modes: dict[str, Any], mode: int) -> None:
    x, y = (CLUSTER @ lattice_vectors(1.0, 0.0)).T
    u, v = np.array(modes["vectors"][mode]).reshape(-1, 2).T
    axes.plot(x, y, "o", color="#BBBBBB", markersize=9)
    axes.quiver(x, y, u, v, angles="xy", scale_units="xy", scale=0.9, color=INK, width=0.014)
    axes.set(aspect="equal", xlim=(-1.6, 1.6), ylim=(1.5, -1.5))
    axes.set_title(f"mode {mode + 1}, rms {np.sqrt(modes['variance_A2'][mode]):.3f} Å")
    axes.axis("off")


def _draw_variances(axes: Axes, modes: dict[str, Any]) -> None:
    variance = np.array(modes["variance_A2"])[:12]
    multiplet = np.array(modes["multiplet"])[:12]
    axes.bar(np.arange(1, 13), np.sqrt(variance), color=[CYCLE[m % 6] for m in multiplet])
    axes.set(xlabel="mode (a colour is a multiplet)", ylabel="rms amplitude [Å]")


def _draw_breaking(axes: Axes, modes: dict[str, Any]) -> None:
    images = modes["images"]
    percent = [100 * image["fraction_B"] for image in images]
    for key, label, color in (("local_breaking", "of a site", CYCLE[0]), ("global_breaking", "of the image", CYCLE[3])):
        value, error = np.array([image[key] for image in images]).T
        axes.errorbar(percent, value, error, fmt="o-", color=color, markersize=4, capsize=3, label=label)
    axes.axhline(0, color="#767676", linewidth=0.6, linestyle=":")
    axes.set(xlabel="atoms B in the image [%]", ylabel="symmetry breaking", ylim=(None, 1.1))
    axes.legend(loc="upper left", frameon=False)


def _draw_amplitudes(axes: Axes, image: dict[str, Any], color: str) -> None:
    edges = np.array(image["edges_A"])
    counts = np.array(image["histogram"]).sum(axis=1)
    for mode, style in zip(range(len(counts)), ("-", "--", ":", "-.") * 3, strict=False):
        axes.step(edges[:-1], counts[mode] / counts[mode].sum(), style, where="post", color=color, linewidth=1.1)
    axes.set(xlabel="amplitude of a mode [Å]", ylabel="part of the sites")
    axes.set_title(image["name"], parse_math=False)


def draw_landau(landau: list[dict[str, Any]]) -> Figure:
    """Draw the distribution of each component, averaged over the symmetry, with that of the fitted free energy.

    Parameters
    ----------
    landau
        For each image, the part "landau" of what `mode_results` gave.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.4, 2.3 * len(landau) + 0.6), layout="constrained", facecolor="white")
    grid = figure.subplots(len(landau), 4, squeeze=False, width_ratios=(1, 1, 1, 1.8))
    for row, fit in zip(grid, landau, strict=True):
        row[0].set_ylabel(fit["name"], parse_math=False)
        if "failure" in fit:
            row[3].text(0, 0.5, "not determined by its sites", transform=row[3].transAxes)
            continue
        edges = np.array(fit["edges"])
        for component, axes in enumerate(row[:3]):
            axes.stairs(fit["density_seen"][component], edges, fill=True, color="#DDDDDD")
            axes.plot(fit["eta"], fit["density_fitted"][component], color=CYCLE[0])
            axes.set_xlabel(f"η{'₁₂₃'[component]} [{fit['unit_of_eta_A'][component]:.3f} Å]")
        number = np.arange(len(fit["terms"]))
        row[3].errorbar(number, fit["coefficients_kT"], fit["sigma_kT"], fmt="o", color=INK, markersize=3, capsize=2)
        row[3].axhline(0, color="#767676", linewidth=0.6, linestyle=":")
        row[3].set_xticks(number, [_greek(term) for term in fit["terms"]], fontsize=7)
        row[3].set_yscale("symlog", linthresh=0.1)
        row[3].set_ylabel("coefficient / kT" + ("" if fit["bounded"] else "\n(not bounded)"))
    return figure


def _greek(term: str) -> str:
    kind, indices = term.split("_")
    return {"alpha": "α", "beta": "β", "gamma": "γ"}[kind] + indices.translate(str.maketrans("12345", "₁₂₃₄₅"))


def draw_boundary(boundary: dict[str, Any], truth: dict[str, float] | None) -> Figure:
    """Draw a map of an order parameter, the profiles of its rows, and their recovery from the interface.

    Parameters
    ----------
    boundary
        What `boundary_results` gave.
    truth
        Where the map was made: `eta_bulk`, `loss` and `length_A` of its recovery.
    """
    from matplotlib.figure import Figure

    from hpcstem.lattice.profiles import decay, wall

    x_A, z_A, eta = (np.array(boundary[key]) for key in ("x_A", "z_A", "eta"))
    figure = Figure(figsize=(10.4, 3.4), layout="constrained", facecolor="white")
    left, middle, right = figure.subplots(1, 3)
    top = float(np.abs(eta).max())
    image = left.pcolormesh(x_A, z_A, eta, cmap="RdBu_r", vmin=-top, vmax=top, rasterized=True)
    figure.colorbar(image, ax=left, label="η")
    left.set(xlabel="across the boundary x [Å]", ylabel="from the interface z [Å]")
    fine_A = np.linspace(x_A[0], x_A[-1], 400)
    for number, row in enumerate(np.unique(np.linspace(0, len(z_A) - 1, 4).astype(int))):
        color = CYCLE[number]
        middle.plot(x_A, eta[row], ".", color=color, markersize=4)
        middle.plot(fine_A, wall(fine_A, *boundary["walls"][row]["values"]), color=color, label=f"z = {z_A[row]:.0f} Å")
    middle.legend(frameon=False)
    middle.set(xlabel="x [Å]", ylabel="η")
    heights = np.abs([row["values"][0] for row in boundary["walls"]])
    right.errorbar(z_A, heights, [row["sigma"][0] for row in boundary["walls"]], fmt="o", color=INK, markersize=3)
    fine_A = np.linspace(0, z_A[-1], 400)
    right.plot(fine_A, decay(fine_A, *boundary["interface"]["values"]), color=CYCLE[0], label="fit")
    if truth is not None:
        right.plot(fine_A, decay(fine_A, **truth), "--", color=CYCLE[3], label="truth")
    (length, length_error), (outer, outer_error) = boundary["correlation_length_A"], boundary["extrapolation_A"]
    right.set_title(f"L_C = {length:.1f} ± {length_error:.1f} Å, λ = {outer:.1f} ± {outer_error:.1f} Å")
    right.legend(frameon=False)
    right.set(xlabel="z [Å]", ylabel="η of the boundary's sides", ylim=(0, None))
    return figure
