"""What may move: the four modes of relaxation, and single atoms held in place."""

from __future__ import annotations

import enum
from collections.abc import Sequence

import numpy as np
from ase import Atoms

from hpcstem.errors import SimulationError
from hpcstem.structure.cells import perimeter


class Constraint(enum.StrEnum):
    """Which coordinates are free."""

    NONE = "none"
    """All atoms move; the cell is fixed."""
    FREE_CELL = "free-cell"
    """All atoms move, and the cell changes its size and shape."""
    PERIMETER_FIXED = "perimeter-fixed"
    """Atoms on the outer edge of the sheet, with the hydrogen that ends it, stay."""
    ONLY_Z = "only-z"
    """Atoms move out of the plane alone."""
    HYDROGEN_FIXED = "hydrogen-fixed"
    """Hydrogen stays."""


def free_coordinates(atoms: Atoms, constraint: Constraint, fixed: Sequence[int] = ()) -> np.ndarray:
    """Return True for each coordinate that may change, with shape (n_atoms, 3), bool.

    Parameters
    ----------
    atoms
        The structure; the sheet lies in x and y.
    constraint
        What may move.
    fixed
        Indices of atoms that do not move either.

    Raises
    ------
    SimulationError
        A fixed atom is not there, or nothing can move.
    StructureError
        The outer edge is asked for, and the sheet has none.
    """
    absent = [index for index in fixed if index >= len(atoms)]
    if absent:
        raise SimulationError("index of a fixed atom", absent[0], f"0 to {len(atoms) - 1}")
    free = np.ones((len(atoms), 3), bool)
    if constraint == Constraint.PERIMETER_FIXED:
        free[perimeter(atoms)] = False
    elif constraint == Constraint.ONLY_Z:
        free[:, :2] = False
    elif constraint == Constraint.HYDROGEN_FIXED:
        free[atoms.numbers == 1] = False
    free[list(fixed)] = False
    if not free.any():
        raise SimulationError("fixed atoms", "all of them", "at least one that moves")
    return free
