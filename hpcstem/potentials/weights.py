"""How much each decoded atom's motion counts: edges, certainty, and the uncertainty of its position."""

from __future__ import annotations

import numpy as np

from hpcstem.atoms import AtomTable
from hpcstem.errors import StructureError


def atom_weights(
    table: AtomTable,
    window_A: tuple[float, float, float, float],
    cutoff_A: float,
    diffusion_A: float | None = None,
) -> np.ndarray:
    r"""Weights for the force fit.

    An atom nearer to the edge of the window than the cut-off has neighbours that are not seen: its weight is
    zero. For the others it is the probability that the atom is there and of its species, times
    :math:`a^2 / (a^2 + 2 σ^2)`, the share of its step that is motion and not localisation noise.

    Parameters
    ----------
    table
        Decoded atoms.
    window_A
        (x0, y0, x1, y1) of the field of view [Å].
    cutoff_A
        Range of the forces [Å].
    diffusion_A
        Root mean square step per axis of a typical atom [Å]; None to leave out the last factor.

    Returns
    -------
    numpy.ndarray
        With shape (n_atoms,), float64, 0 to 1.

    Raises
    ------
    StructureError
        No atom is farther from the edges than the cut-off.
    """
    x0, y0, x1, y1 = window_A
    inside = (table.x_A >= x0 + cutoff_A) & (table.x_A <= x1 - cutoff_A)
    inside &= (table.y_A >= y0 + cutoff_A) & (table.y_A <= y1 - cutoff_A)
    if len(table) and not inside.any():
        raise StructureError(
            f"window of {x1 - x0:.3g} Å × {y1 - y0:.3g} Å",
            f"no atom farther than {cutoff_A:g} Å from its edges",
            "a cut-off below half the shorter side, or a larger field of view",
        )
    weight: np.ndarray = inside * table.probability.astype(np.float64)
    if diffusion_A is not None:
        weight *= diffusion_A**2 / (diffusion_A**2 + 2 * table.sigma_A.astype(np.float64) ** 2)
    return weight
