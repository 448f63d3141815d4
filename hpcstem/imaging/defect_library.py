"""Structures from elsewhere as specimens of training images, such as defects that the queue has relaxed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import ase
import numpy as np

from hpcstem.errors import StructureError
from hpcstem.imaging.masks import CLASSES
from hpcstem.structure.exchange import read_xyz
from hpcstem.structure.graphene import strain_matrix

_UNSEEN = ("H",)
"""Too faint beside carbon: 5 % of its signal."""
_MARGIN_A = 3.0
_LARGEST_SLOPE = 0.2
"""Sine of the angle at which a periodic structure may stand to the plane of the image."""


@lru_cache(maxsize=8)
def load_library(paths: tuple[Path, ...]) -> tuple[ase.Atoms, ...]:
    """Read structures from extended XYZ files; each lies flat in x and y, without its hydrogen.

    Raises
    ------
    StructureError
        A file cannot be read, holds an element that the masks have no class for, or a cell that does not lie in x and
        y although it is periodic there.
    """
    structures = []
    for path in paths:
        for number, atoms in enumerate(read_xyz(path)[0], start=1):
            where = f"structure {number} of {path}"
            seen = atoms[[symbol not in _UNSEEN for symbol in atoms.get_chemical_symbols()]]
            others = sorted(set(seen.get_chemical_symbols()) - set(CLASSES[1:]))
            if others or not len(seen):
                raise StructureError(where, ", ".join(others) or "no atoms", f"atoms of {', '.join(CLASSES[1:])} and H")
            if seen.pbc[:2].all():
                lengths = np.linalg.norm(seen.cell[:2], axis=1)
                if not (lengths > 0).all() or (np.abs(seen.cell[:2, 2]) > _LARGEST_SLOPE * lengths).any():
                    raise StructureError(f"cell of {where}", seen.cell.tolist(), "periodic in the plane of x and y")
            structures.append(seen)
    return tuple(structures)


def library_sheet(
    library: Sequence[ase.Atoms], width_A: float, height_A: float, max_strain: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw a structure of a library, turned, mirrored, strained and moved at random.

    A structure that is periodic in the plane fills the field; another lies somewhere in it, with nothing around.

    Parameters
    ----------
    library
        What to draw from.
    width_A, height_A
        Extent of the field in x and y [Å].
    max_strain
        Largest element of the strain.
    rng
        Draws everything.

    Returns
    -------
    positions_A : numpy.ndarray
        x and y [Å], with shape (n_atoms, 2), float64; atoms up to 3 Å outside the field are there too.
    species : numpy.ndarray
        With shape (n_atoms,), str.
    """
    atoms = library[int(rng.integers(len(library)))]
    field_A = np.array([width_A, height_A])
    angle_rad = rng.uniform(0.0, 2.0 * np.pi)
    cosine, sine = np.cos(angle_rad), np.sin(angle_rad)
    mirror = np.diag([1.0, rng.choice([-1.0, 1.0])])
    matrix = strain_matrix(tuple(rng.uniform(-max_strain, max_strain, 3))) @ [[cosine, -sine], [sine, cosine]] @ mirror
    points_A = (atoms.positions[:, :2] - atoms.positions[:, :2].mean(axis=0)) @ matrix.T
    species = np.array(atoms.get_chemical_symbols())
    centre_A = rng.uniform(0.25, 0.75, 2) * field_A
    if atoms.pbc[:2].all():
        vectors_A = atoms.cell[:2, :2] @ matrix.T
        shifts_A = _shifts(vectors_A, np.hypot(*field_A) + 2 * _MARGIN_A + np.linalg.norm(vectors_A, axis=1).sum())
        points_A = (points_A[None] + shifts_A[:, None]).reshape(-1, 2)
        species = np.tile(species, len(shifts_A))
    positions_A = points_A + centre_A
    shown = ((positions_A >= -_MARGIN_A) & (positions_A <= field_A + _MARGIN_A)).all(axis=1)
    return positions_A[shown], species[shown]


def _shifts(vectors_A: np.ndarray, reach_A: float) -> np.ndarray:
    """Sums (n, 2) of whole multiples of two lattice vectors that may lie within a distance of the origin."""
    # The distance between lattice lines along one vector is the reciprocal of the other's dual vector.
    numbers = np.ceil(reach_A * np.linalg.norm(np.linalg.inv(vectors_A), axis=0)).astype(int)
    along = [np.arange(-n, n + 1) for n in numbers]
    steps = np.stack(np.meshgrid(*along, indexing="ij"), axis=-1).reshape(-1, 2)
    return steps @ vectors_A
