"""Structures as extended XYZ text, the form that they have in jobs and on disk."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from ase import Atoms

from hpcstem.errors import StructureError


def to_xyz(atoms: Atoms, forces: np.ndarray | None = None, **information: Any) -> str:
    """Return extended XYZ text with cell, boundaries, symbols and positions [Å, 8 decimals].

    Parameters
    ----------
    atoms
        The structure; velocities, constraints and calculator are left out.
    forces
        Forces to write beside the positions [eV/Å], with shape (n_atoms, 3), float64.
    information
        Values for the comment line.
    """
    from ase.io.extxyz import write_extxyz

    bare = Atoms(atoms.get_chemical_symbols(), atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
    bare.info.update(information)
    columns = ["symbols", "positions"]
    if forces is not None:
        bare.new_array("forces", forces)
        columns.append("forces")
    text = io.StringIO()
    write_extxyz(text, [bare], columns=columns, write_results=False)
    return text.getvalue()


def from_xyz(text: str) -> Atoms:
    """Return the structure of extended XYZ text with one frame.

    Raises
    ------
    StructureError
        The text cannot be read, holds no atom, or holds a position that is not finite.
    """
    from ase.io import read

    try:
        atoms = read(io.StringIO(text), index=-1, format="extxyz")
    except Exception as error:  # the reader raises many kinds
        raise StructureError("a structure cannot be read", error, "extended XYZ text with one frame") from error
    if not isinstance(atoms, Atoms) or len(atoms) == 0 or not np.isfinite(atoms.positions).all():
        raise StructureError("a structure", f"{len(atoms)} atoms", "at least one, at finite positions")
    return atoms
