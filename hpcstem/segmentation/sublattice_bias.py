"""What a round profile does to positions where the probe is not round, from the positions alone.

Neighbours overlap with an atom from three sides, and a profile that lacks their shape draws the atom to one of them:
astigmatism and coma together part the two sublattices of a honeycomb by hundredths of an ångström, in opposite
directions. The residual does not show it, for the fit has taken it up. But an atom with three neighbours lies in their
middle, however the scan stretches or shears the lattice, and what thermal motion and noise add to that is not the same
for two atoms without a neighbour in common.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

_BONDED, _APART = 1.25, 1.4
"""Third and fourth neighbour of an atom with three, nearer and farther than so many bonds."""
_OFF_MIDDLE = 0.25  # no shift is as large [bonds]; at the edge of another lattice, three neighbours lie to one side
_SAME_SUBLATTICE = (2.82, 3.24)
"""Distances of two atoms of one sublattice that share no neighbour, and of no others [bonds]."""
_FEWEST_ATOMS = 30
_SURE = 3.0
_PAIRS_PER_ATOM = 3  # six, each counted once


def sublattice_bias(positions: np.ndarray) -> float:
    """Variance per axis of a shift of the two sublattices against each other; 0 where none is sure.

    Parameters
    ----------
    positions
        (x, y) of the atoms of a frame away from its edge, with shape (n, 2), in any unit.

    Returns
    -------
    float
        In that unit squared: an atom's uncertainty holds it besides the variance of its noise.
    """
    if len(positions) < _FEWEST_ATOMS:
        return 0.0
    distance, neighbour = cKDTree(positions).query(positions, k=5)
    bond = float(np.median(distance[:, 1:4]))
    off_middle = positions - positions[neighbour[:, 1:4]].mean(axis=1)
    counts = (distance[:, 3] < _BONDED * bond) & (distance[:, 4] > _APART * bond)
    counts &= np.hypot(*off_middle.T) < _OFF_MIDDLE * bond
    positions, off_middle = positions[counts], off_middle[counts]
    if len(positions) < _FEWEST_ATOMS:
        return 0.0
    nearest, farthest = (bonds * bond for bonds in _SAME_SUBLATTICE)
    one, other = cKDTree(positions).query_pairs(farthest, output_type="ndarray").T
    apart = np.hypot(*(positions[one] - positions[other]).T) > nearest
    # Each of the two is off by twice the shift, along each of two axes.
    products = (off_middle[one[apart]] * off_middle[other[apart]]).sum(axis=1) / 8
    if len(products) < _FEWEST_ATOMS:
        return 0.0
    variance, error = float(products.mean()), float(products.std() / np.sqrt(len(products) / _PAIRS_PER_ATOM))
    return variance if variance > _SURE * error else 0.0
