"""Figures: fitted potentials with bands, mean force and residuals; radial distributions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hpcstem.files import whole_file
from hpcstem.potentials.fitted import FittedPotential
from hpcstem.potentials.pairs import species_pairs
from hpcstem.potentials.pmf import MeanForcePotential
from hpcstem.potentials.rdf import RDF
from hpcstem.potentials.three_body import triple_kinds

_N_POINTS = 600


def draw_potentials(
    potential: FittedPotential,
    path: Path,
    identifiable: Sequence[bool],
    mean_force: MeanForcePotential | None = None,
) -> None:
    """Write a PNG with one column per species pair: the potential above, what the fit leaves of the motion below.

    Parameters
    ----------
    potential
        The fit; drawn only at distances that were sampled, in units of kT.
    path
        The file.
    identifiable
        Whether each pair's force is identified; the title of its panel says where it is not.
    mean_force
        Potential of mean force, drawn beside the fit.
    """
    figure, panels = _panels(len(potential.pairs), (3, 1))
    r_A = np.linspace(0.0, potential.basis.cutoff_A, _N_POINTS + 1)[1:]
    slopes = np.abs(potential.basis.slopes(r_A))
    centres_A = r_A @ slopes / slopes.sum(axis=0)
    for k, pair in enumerate(potential.pairs):
        _draw_energy(panels[0][k], potential, k, r_A)
        if mean_force is not None:
            panels[0][k].plot(mean_force.r_A, mean_force.w_kT[k], color="C1", linewidth=0.9, label="mean force")
        panels[0][k].set(ylabel="U / kT", title="-".join(pair) + ("" if identifiable[k] else ": not identifiable"))
        seen = potential.sampled(k, centres_A)
        panels[1][k].axhline(0, color="0.8", linewidth=0.8)
        z = potential.residual[k] / potential.residual_error[k]
        panels[1][k].plot(centres_A[seen], z[seen], ".", color="C0", markersize=4)
        panels[1][k].set(xlabel="r (Å)", ylabel="residual / s.e.", xlim=panels[0][k].get_xlim(), ylim=(-4, 4))
    panels[0][-1].legend(fontsize=8, frameon=False)
    _save(figure, path)


def draw_three_body(potential: FittedPotential, path: Path) -> None:
    """Write a PNG with one panel per kind of triple: energy against the angle at bond length, with its band.

    Parameters
    ----------
    potential
        A fit with a three-body term; drawn for both ends at its cut-off over 1.3, in units of kT.
    path
        The file.
    """
    assert potential.three_body is not None  # noqa: S101 - asked by the caller
    n_species = len(potential.symbols)
    figure, panels = _panels(len(species_pairs(n_species)), (1,) * n_species)
    r_A, angle = potential.three_body.cutoff_A / 1.3, np.linspace(np.pi / 6, np.pi, _N_POINTS)
    for k, (kind, panel) in enumerate(zip(triple_kinds(n_species), panels.ravel(), strict=True)):
        energy, deviation = (value / potential.kT for value in potential.three_body_energy(k, r_A, angle))
        middle, first, second = (potential.symbols[s] for s in kind)
        panel.axhline(0, color="0.8", linewidth=0.8)
        panel.fill_between(
            np.degrees(angle), energy - 1.96 * deviation, energy + 1.96 * deviation, color="C0", alpha=0.25, linewidth=0
        )
        panel.plot(np.degrees(angle), energy, color="C0")
        panel.set(xlabel="angle (°)", ylabel="U₃ / kT", title=f"{first}-{middle}-{second} at {r_A:.2f} Å")
    _save(figure, path)


def draw_distributions(found: RDF, mean_force: MeanForcePotential, path: Path) -> None:
    """Write a PNG with one column per species pair: g(r) above, the potential of mean force below.

    Parameters
    ----------
    found
        Radial distributions, as histogram and smoothed.
    mean_force
        Of the same pairs, with the errors of blocks as a band of 95 %.
    path
        The file.
    """
    figure, panels = _panels(len(found.species_pairs), (1, 1))
    for k, pair in enumerate(found.species_pairs):
        upper, lower = panels[0][k], panels[1][k]
        upper.axhline(1, color="0.8", linewidth=0.8)
        upper.plot(found.r_A, found.g[k], color="C0", linewidth=0.8, label="histogram")
        upper.plot(found.r_A, found.g_kde[k], color="C1", label=f"kernel of {found.bandwidth_A:g} Å")
        upper.set(ylabel="g", title="-".join(pair))
        lower.axhline(0, color="0.8", linewidth=0.8)
        w, band = mean_force.w_kT[k], 1.96 * mean_force.error_kT[k]
        lower.fill_between(mean_force.r_A, w - band, w + band, color="C0", alpha=0.25, linewidth=0, label="95 %")
        lower.plot(mean_force.r_A, w, color="C0", linewidth=0.8, label="histogram")
        lower.plot(mean_force.r_A, mean_force.w_kde_kT[k], color="C1", label="kernel")
        lower.set(xlabel="r (Å)", ylabel="w / kT", xlim=upper.get_xlim())
    panels[0][-1].legend(fontsize=8, frameon=False)
    panels[1][-1].legend(fontsize=8, frameon=False)
    _save(figure, path)


def _draw_energy(panel: Any, potential: FittedPotential, pair: int, r_A: np.ndarray) -> None:
    """Potential of one pair with its band."""
    seen = potential.sampled(pair, r_A)
    energy = np.where(seen, potential.energy(pair, r_A), np.nan) / potential.kT
    panel.axhline(0, color="0.8", linewidth=0.8)
    band = 1.96 * potential.deviation(pair, r_A) / potential.kT
    panel.fill_between(r_A, energy - band, energy + band, color="C0", alpha=0.25, linewidth=0, label="95 %")
    panel.plot(r_A, energy, color="C0", label="fit")
    low = np.nanmin(energy) if seen.any() else -1.0
    panel.set_ylim(min(1.5 * low, -0.5), max(-2 * low, 2.0))


def _panels(n_columns: int, heights: tuple[int, ...]) -> tuple[Any, Any]:
    """Rows of panels of these heights."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    return plt.subplots(
        len(heights),
        n_columns,
        figsize=(4.2 * n_columns, 4.8),
        layout="constrained",
        squeeze=False,
        height_ratios=heights,
    )


def _save(figure: Any, path: Path) -> None:
    import matplotlib.pyplot as plt

    with whole_file(path) as temporary:
        figure.savefig(temporary, format="png", dpi=150)
    plt.close(figure)
