"""Figure of fitted potentials: each with its bands where the data speak, the mean-force potential beside it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hpcstem.files import whole_file
from hpcstem.potentials.fitted import FittedPotential
from hpcstem.potentials.pmf import MeanForcePotential

_N_POINTS = 600


def draw_potentials(potential: FittedPotential, path: Path, mean_force: MeanForcePotential | None = None) -> None:
    """Write a PNG with one panel per species pair.

    Parameters
    ----------
    potential
        The fit; drawn only at distances that were sampled, in units of kT.
    path
        The file.
    mean_force
        Potential of mean force, drawn beside the fit.
    """
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(
        1, len(potential.pairs), figsize=(4.2 * len(potential.pairs), 3.4), layout="constrained", squeeze=False
    )
    r_A = np.linspace(0.0, potential.basis.cutoff_A, _N_POINTS + 1)[1:]
    for k, (pair, panel) in enumerate(zip(potential.pairs, panels[0], strict=True)):
        seen = potential.sampled(k, r_A)
        energy = np.where(seen, potential.energy(k, r_A), np.nan) / potential.kT
        panel.axhline(0, color="0.8", linewidth=0.8)
        for jackknife, colour, label in ((False, "C0", "95 %, posterior"), (True, "C2", "95 %, jackknife")):
            if jackknife and potential.jackknife_covariance is None:
                continue
            band = 1.96 * potential.deviation(k, r_A, jackknife) / potential.kT
            panel.fill_between(r_A, energy - band, energy + band, color=colour, alpha=0.25, linewidth=0, label=label)
        panel.plot(r_A, energy, color="C0", label="fit")
        if mean_force is not None and pair in mean_force.species_pairs:
            row = mean_force.species_pairs.index(pair)
            panel.plot(mean_force.r_A, mean_force.w_kT[row], color="C1", linewidth=0.9, label="mean force")
        low = np.nanmin(energy) if seen.any() else -1.0
        panel.set(
            xlabel="r (Å)", ylabel="U / kT", title="-".join(pair), ylim=(min(1.3 * low, -0.5), max(-2 * low, 2.0))
        )
    panels[0][-1].legend(fontsize=8, frameon=False)
    with whole_file(path) as temporary:
        figure.savefig(temporary, format="png", dpi=150)
    plt.close(figure)
