"""Bond lengths of a structure, per pair of elements."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import Atoms

_TOLERANCE = 1.2
"""Bonds are shorter than the sum of covalent radii times this."""


@dataclass(frozen=True)
class BondLengths:
    """Lengths of the bonds between two elements.

    Parameters
    ----------
    count
        Number of bonds.
    mean_A
        Mean length [Å].
    std_A
        Standard deviation of the lengths [Å].
    """

    count: int
    mean_A: float
    std_A: float


def bond_lengths(atoms: Atoms) -> dict[str, BondLengths]:
    """Return the bond lengths of a structure by pair, heavier element first: `C-C`, `C-H`, `Si-C`.

    Atoms are bonded where they are closer than 1.2 times the sum of their covalent radii [1]_.

    Parameters
    ----------
    atoms
        The structure; its periodic boundaries count.

    References
    ----------
    .. [1] B. Cordero et al., Dalton Trans. 2008, 2832, https://doi.org/10.1039/b801115j
    """
    from ase.data import chemical_symbols
    from ase.neighborlist import natural_cutoffs, neighbor_list

    first, second, distances = neighbor_list("ijd", atoms, natural_cutoffs(atoms, mult=_TOLERANCE))
    heavier = np.maximum(atoms.numbers[first], atoms.numbers[second])
    lighter = np.minimum(atoms.numbers[first], atoms.numbers[second])
    pairs = np.array([f"{chemical_symbols[i]}-{chemical_symbols[j]}" for i, j in zip(heavier, lighter, strict=True)])
    return {
        str(pair): BondLengths(
            # The list holds each bond from both of its ends.
            count=int((pairs == pair).sum()) // 2,
            mean_A=float(distances[pairs == pair].mean()),
            std_A=float(distances[pairs == pair].std()),
        )
        for pair in np.unique(pairs)
    }
