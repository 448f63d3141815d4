"""From coordinates to the sites of a triangular lattice, and back.

Vectors between near atoms that lie close to one of the six lattice vectors are steps between sites. Steps are followed
from the atom with the most of them, outwards; a global fit of lattice vectors and origin comes last, and what it
leaves are displacements. So neither a slow strain nor a missing atom puts atoms on wrong sites, and a dislocation is
found by steps that contradict each other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order, connected_components
from scipy.spatial import cKDTree

from hpcstem.errors import StructureError
from hpcstem.lattice.triangular import EMPTY, FIRST_SHELL, SiteGrid, lattice_vectors

STEP_TOLERANCE = 0.4
"""Largest deviation of a step from a lattice vector, in lattice spacings; steps of two sites part at 0.5."""
MOST_CONTRADICTIONS = 0.2
"""Contradicting steps, over the root of the number of all, above which there is no single lattice: those of a
dislocation lie along a line to the edge, those of a stray atom around a point."""
FEWEST_ATOMS = 7


@dataclass(frozen=True)
class AssignedSites:
    """Atoms on the sites of a triangular lattice.

    Parameters
    ----------
    atom
        Index of the atom on each site of the grid, -1 where there is none, with shape (n_i, n_j), int64.
    grid
        The species there.
    vectors_A
        Rows a₁ and a₂ as (x, y) [Å], with shape (2, 2), float64.
    origin_A
        (x, y) of site (0, 0) of the grid [Å], with shape (2,), float64.
    displacement_A
        (x, y) of the atom from its site [Å], NaN where there is none, with shape (n_i, n_j, 2), float64.
    n_left_out
        Atoms that are on no site: not joined to the others, or second on a site.
    contradictions
        Number of steps that lead to another site than the one that was assigned.
    """

    atom: np.ndarray
    grid: SiteGrid
    vectors_A: np.ndarray
    origin_A: np.ndarray
    displacement_A: np.ndarray
    n_left_out: int
    contradictions: int


def assign_sites(positions_A: np.ndarray, species: np.ndarray) -> AssignedSites:
    """Put the atoms of one sheet on the sites of the triangular lattice that fits them.

    Parameters
    ----------
    positions_A
        (x, y) [Å], with shape (n_atoms, 2), float.
    species
        0 for species A, 1 for species B, with shape (n_atoms,), integer.

    Raises
    ------
    StructureError
        Fewer than 7 atoms, unlike shapes, atoms that form no triangular lattice, or a lattice with a dislocation.
    """
    positions_A = np.asarray(positions_A, np.float64)
    if positions_A.shape != (len(species), 2) or len(species) < FEWEST_ATOMS or not np.isfinite(positions_A).all():
        raise StructureError(
            "atoms to put on a lattice",
            f"positions of shape {positions_A.shape}, {len(species)} species",
            f"finite (x, y) and a species for each of at least {FEWEST_ATOMS} atoms",
        )
    first, second, step = _steps(positions_A)
    members, sites, contradictions = _follow(len(positions_A), first, second, step)
    if contradictions > MOST_CONTRADICTIONS * np.sqrt(len(step)):
        raise StructureError(
            "atoms of one lattice",
            f"{contradictions} of {len(step)} steps between neighbours that contradict the others",
            "a region without dislocations and grain boundaries",
        )
    vectors_A, origin_A = _fitted(positions_A[members], sites)
    left_A = positions_A[members] - origin_A - sites @ vectors_A
    # Where two atoms claim a site, the nearer one has it: it is written last.
    order = np.argsort(-np.linalg.norm(left_A, axis=1), kind="stable")
    members, sites, left_A = members[order], sites[order], left_A[order]
    lowest = sites.min(axis=0)
    at = tuple((sites - lowest).T)
    shape = tuple(sites.max(axis=0) - lowest + 1)
    atom = np.full(shape, EMPTY, np.int64)
    atom[at] = members
    displacement_A = np.full((*shape, 2), np.nan)
    displacement_A[at] = left_A
    held = np.where(atom == EMPTY, EMPTY, np.asarray(species)[atom])
    return AssignedSites(
        atom,
        SiteGrid(held, periodic=False),
        vectors_A,
        origin_A + lowest @ vectors_A,
        displacement_A,
        len(positions_A) - int((atom != EMPTY).sum()),
        contradictions,
    )


def _steps(positions_A: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs of atoms that are first neighbours, and the offset (i, j) from one to the other."""
    tree = cKDTree(positions_A)
    near_A, _ = tree.query(positions_A, k=FEWEST_ATOMS)
    spacing_A = float(np.median(near_A[:, 1:]))
    pairs = tree.query_pairs((1 + STEP_TOLERANCE) * spacing_A, output_type="ndarray")
    vectors_A = positions_A[pairs[:, 1]] - positions_A[pairs[:, 0]]
    bonds = np.linalg.norm(vectors_A, axis=1) < 1.2 * spacing_A
    angles = np.arctan2(vectors_A[bonds, 1], vectors_A[bonds, 0])
    order = np.exp(6j * angles).mean() if bonds.any() else 0.0
    if abs(order) < 0.3:
        raise StructureError(
            "atoms to put on a triangular lattice",
            f"bonds with a sixfold order of {abs(order):.2f}",
            "1 for a lattice and at least 0.3: one sheet of one grain, without the atoms of other sublattices",
        )
    ideal_A = FIRST_SHELL @ lattice_vectors(spacing_A, float(np.angle(order)) / 6)
    off_A = np.linalg.norm(vectors_A[:, None] - ideal_A, axis=2)
    nearest = off_A.argmin(axis=1)
    fits = off_A.min(axis=1) < STEP_TOLERANCE * spacing_A
    return pairs[fits, 0], pairs[fits, 1], FIRST_SHELL[nearest[fits]]


def _follow(
    n_atoms: int, first: np.ndarray, second: np.ndarray, step: np.ndarray
) -> tuple[np.ndarray, np.ndarray, int]:
    """Atoms of the largest part that steps join, their sites, and the number of contradicting steps."""
    graph = csr_array((np.ones(len(first), np.int8), (first, second)), shape=(n_atoms, n_atoms))
    _, part = connected_components(graph, directed=False)
    degree = np.bincount(np.concatenate([first, second]), minlength=n_atoms)
    largest = part == np.bincount(part).argmax()
    root = int(np.where(largest, degree, -1).argmax())
    order, parent = breadth_first_order(graph, root, directed=False)
    offset = {(int(a), int(b)): s for a, b, s in zip(first, second, step, strict=True)}
    sites = np.zeros((n_atoms, 2), np.int64)
    for atom in order[1:].tolist():
        before = int(parent[atom])
        forward = offset.get((before, atom))
        sites[atom] = sites[before] + (forward if forward is not None else -offset[atom, before])
    inside = largest[first]
    wrong = (sites[second[inside]] - sites[first[inside]] != step[inside]).any(axis=1)
    return order.astype(np.int64), sites[order], int(wrong.sum())


def _fitted(positions_A: np.ndarray, sites: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lattice vectors and origin by least squares."""
    design = np.column_stack([sites, np.ones(len(sites))])
    if np.linalg.matrix_rank(design) < 3:
        raise StructureError("atoms to put on a lattice", "atoms in one row", "atoms that span a plane")
    solution = np.linalg.lstsq(design, positions_A, rcond=None)[0]
    return solution[:2], solution[2]
