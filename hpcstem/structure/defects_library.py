"""Defects put into a flat sheet: each function takes a bond graph and a site and returns a relaxed graph.

The sheet is two-dimensional, of carbon and silicon, not periodic. Removal renumbers atoms: look sites up
again after each defect.

References
----------
.. [1] F. Banhart, J. Kotakoski and A. V. Krasheninnikov, Structural Defects in Graphene, ACS Nano 5, 26
   (2011),
   https://doi.org/10.1021/nn102598m
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hpcstem.errors import StructureError
from hpcstem.structure.bonds import BondGraph
from hpcstem.structure.keating import relax

RELAXED_RADIUS_A = 9.0
"""Atoms farther from a defect stay where they are [Å]."""


def atom_near(sheet: BondGraph, point_A: np.ndarray) -> int:
    """Index of the atom nearest to a point [Å] of shape (2,)."""
    return int(((sheet.positions_A - point_A) ** 2).sum(axis=1).argmin())


def without_atoms(sheet: BondGraph, removed: np.ndarray) -> BondGraph:
    """Return the sheet without some atoms (indices, int64) and their bonds; nothing moves."""
    kept = np.ones(len(sheet), bool)
    kept[removed] = False
    number = np.cumsum(kept) - 1
    edges = sheet.edges[kept[sheet.edges].all(axis=1)]
    return BondGraph(sheet.positions_A[kept], sheet.species[kept], number[edges])


def without_dangling(sheet: BondGraph) -> BondGraph:
    """Return the sheet without atoms that hold on by fewer than two bonds, taken off until none is left."""
    while (sheet.coordination < 2).any():
        sheet = without_atoms(sheet, np.flatnonzero(sheet.coordination < 2))
    return sheet


def relaxed_around(sheet: BondGraph, centre_A: np.ndarray, radius_A: float = RELAXED_RADIUS_A) -> BondGraph:
    """Return the sheet with the atoms within a radius [Å] of a centre (2,) [Å] relaxed."""
    return relax(sheet, ((sheet.positions_A - centre_A) ** 2).sum(axis=1) < radius_A**2)


def single_vacancy(sheet: BondGraph, atom: int) -> BondGraph:
    """Remove one carbon and bond two of its three neighbours: a pentagon and a nine-membered ring [1]_."""
    neighbours = _whole_site(sheet, atom)
    positions_A, centre_A = sheet.positions_A[neighbours], sheet.positions_A[atom]
    lengths_A = np.linalg.norm(positions_A - np.roll(positions_A, -1, axis=0), axis=1)
    first = int(lengths_A.argmin())
    bonds = [(neighbours[first], neighbours[(first + 1) % 3])]
    return relaxed_around(_rebuilt(sheet, removed=[atom], bonds=bonds), centre_A)


def double_vacancy(sheet: BondGraph, bond: int) -> BondGraph:
    """Remove the two carbons of a bond and close two pentagons beside an octagon, 5-8-5 [1]_."""
    i, j = sheet.edges[bond]
    bonds = [tuple(atom for atom in _whole_site(sheet, a) if atom != b) for a, b in ((i, j), (j, i))]
    return relaxed_around(_rebuilt(sheet, removed=[i, j], bonds=bonds), sheet.positions_A[[i, j]].mean(axis=0))


def stone_wales(sheet: BondGraph, bond: int) -> BondGraph:
    """Turn a bond by 90°: two pentagons and two heptagons, 5-7-7-5 [1]_."""
    i, j = sheet.edges[bond]
    centre_A = sheet.positions_A[[i, j]].mean(axis=0)
    along = sheet.positions_A[j] - sheet.positions_A[i]
    left = np.array([-along[1], along[0]])
    outer_i = sorted(
        (a for a in _whole_site(sheet, i) if a != j), key=lambda a: (sheet.positions_A[a] - centre_A) @ left
    )
    outer_j = sorted(
        (a for a in _whole_site(sheet, j) if a != i), key=lambda a: (sheet.positions_A[a] - centre_A) @ left
    )
    # i turns to the left side and takes the left neighbours of both, j those on the right.
    positions_A = sheet.positions_A.copy()
    positions_A[i], positions_A[j] = centre_A + left / 2, centre_A - left / 2
    turned = BondGraph(positions_A, sheet.species, sheet.edges)
    cut = [(i, outer_i[0]), (j, outer_j[1])]
    return relaxed_around(_rebuilt(turned, cut=cut, bonds=[(i, outer_j[1]), (j, outer_i[0])]), centre_A)


def silicon_on_three(sheet: BondGraph, atom: int) -> BondGraph:
    """Put silicon in the place of one carbon; its three neighbours move outward."""
    _whole_site(sheet, atom)
    return relaxed_around(_with_species(sheet, [atom], "Si"), sheet.positions_A[atom])


def silicon_on_four(sheet: BondGraph, bond: int) -> BondGraph:
    """Put silicon in the place of the two carbons of a bond, on four neighbours."""
    i, j = sheet.edges[bond]
    neighbours = [a for a in (*_whole_site(sheet, i), *_whole_site(sheet, j)) if a not in (i, j)]
    centre_A = sheet.positions_A[[i, j]].mean(axis=0)
    positions_A = sheet.positions_A.copy()
    positions_A[i] = centre_A
    moved = _with_species(BondGraph(positions_A, sheet.species, sheet.edges), [i], "Si")
    bonds = [(i, a) for a in neighbours if a not in sheet.neighbours(i)]
    return relaxed_around(_rebuilt(moved, removed=[j], bonds=bonds), centre_A)


def silicon_trimer(sheet: BondGraph, hexagon: np.ndarray) -> BondGraph:
    """Put three bonded silicon atoms in the place of a hexagon of six carbons (indices in ring order)."""
    outside = [next(b for b in _whole_site(sheet, a) if b not in hexagon) for a in hexagon]
    centre_A = sheet.positions_A[hexagon].mean(axis=0)
    kept, removed = hexagon[::2], hexagon[1::2]
    positions_A = sheet.positions_A.copy()
    for k in range(3):
        between = sheet.positions_A[[outside[2 * k], outside[2 * k + 1]]].mean(axis=0) - centre_A
        positions_A[kept[k]] = centre_A + between / np.linalg.norm(between) * 2.25 / np.sqrt(3.0)
    moved = _with_species(BondGraph(positions_A, sheet.species, sheet.edges), kept, "Si")
    bonds = [(kept[k], outside[2 * k + 1]) for k in range(3)] + [(kept[k], kept[(k + 1) % 3]) for k in range(3)]
    return relaxed_around(_rebuilt(moved, removed=removed, bonds=bonds), centre_A)


def hole(sheet: BondGraph, centre_A: np.ndarray, radius_A: float) -> BondGraph:
    """Remove all atoms within a radius [Å] of a centre (2,) [Å], and what then hangs on by one bond."""
    inside = np.flatnonzero(((sheet.positions_A - centre_A) ** 2).sum(axis=1) < radius_A**2)
    return without_dangling(without_atoms(sheet, inside))


def hexagon_at(sheet: BondGraph, atom: int) -> np.ndarray:
    """Six atoms of one hexagon of the lattice through an atom, in ring order, int64.

    Raises
    ------
    StructureError
        There is no ring of six through the atom.
    """
    paths = [[atom]]
    for _ in range(5):
        paths = [[*path, b] for path in paths for b in sheet.neighbours(path[-1]).tolist() if b not in path]
    for path in paths:
        if atom in sheet.neighbours(path[-1]):
            return np.array(path, np.int64)
    raise StructureError(f"atom {atom}", "no ring of six through it", "an atom of the intact lattice")


def _whole_site(sheet: BondGraph, atom: int) -> np.ndarray:
    """Neighbours (3,) of a carbon with three of them."""
    neighbours = sheet.neighbours(atom)
    if len(neighbours) != 3 or sheet.species[atom] != "C":
        raise StructureError(
            f"site {atom} for a defect",
            f"{sheet.species[atom]} with {len(neighbours)} bonds",
            "C with three bonds",
        )
    return neighbours


def _with_species(sheet: BondGraph, atoms: np.ndarray | list[int], symbol: str) -> BondGraph:
    species = sheet.species.astype("<U2")
    species[atoms] = symbol
    return BondGraph(sheet.positions_A, species, sheet.edges)


def _rebuilt(
    sheet: BondGraph,
    removed: np.ndarray | Sequence[int] = (),
    bonds: Sequence[tuple[int, ...]] = (),
    cut: Sequence[tuple[int, ...]] = (),
) -> BondGraph:
    """Return the sheet with bonds cut and made, then atoms removed; all in the numbers of `sheet`."""
    edges = {(int(i), int(j)) for i, j in sheet.edges} - {(int(min(b)), int(max(b))) for b in cut}
    edges |= {(int(min(b)), int(max(b))) for b in bonds}
    rebuilt = BondGraph(sheet.positions_A, sheet.species, np.array(sorted(edges), np.int64))
    return without_atoms(rebuilt, np.asarray(removed, np.int64))
