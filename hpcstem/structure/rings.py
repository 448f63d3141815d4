"""Rings of a bond graph: faces of a planar drawing, or shortest-path rings where there is no planar drawing.

References
----------
.. [1] M. de Berg et al., Computational Geometry, chapter 2 (half-edges), Springer 2008,
   https://doi.org/10.1007/978-3-540-77974-2
.. [2] D. S. Franzblau, Phys. Rev. B 44, 4925 (1991), https://doi.org/10.1103/PhysRevB.44.4925
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np

from hpcstem.structure.bonds import BondGraph
from hpcstem.structure.shortest_path_rings import shortest_path_rings

LARGEST_RING = 12
"""Faces with more atoms are holes; 12 is the ring around a single vacancy that has not closed a bond."""


@dataclass(frozen=True, eq=False)
class Rings:
    """Rings of a bond graph.

    Parameters
    ----------
    atoms
        Members of ring after ring, each in order around its ring, with shape (sum of sizes,), int64.
    starts
        Where each ring begins in `atoms`, and the end of the last, with shape (n_rings + 1,), int64.
    holes
        Members of each closed face of more than `LARGEST_RING` atoms, in order around it, int64.
    rims
        Members of the outer face of each part of the graph, in order around it, int64.
    planar
        Whether the rings are the faces of a planar drawing; if not, they are shortest-path rings and holes
        and rims are not known.
    """

    atoms: np.ndarray
    starts: np.ndarray
    holes: tuple[np.ndarray, ...]
    rims: tuple[np.ndarray, ...]
    planar: bool

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, ring: int) -> np.ndarray:
        """Members of one ring in order around it, int64."""
        return self.atoms[self.starts[ring] : self.starts[ring + 1]]

    @property
    def sizes(self) -> np.ndarray:
        """Number of atoms of each ring, with shape (n_rings,), int64."""
        return np.diff(self.starts)

    def counts(self, sizes: tuple[int, ...] = (5, 6, 7, 8)) -> dict[int, int]:
        """Count the rings of some sizes."""
        return {size: int((self.sizes == size).sum()) for size in sizes}


def find_rings(graph: BondGraph) -> Rings:
    """Find rings of at most `LARGEST_RING` atoms.

    In two dimensions rings are the faces of the drawing, traced along half-edges [1]_; atoms and chains that
    hold on by one end are left out. The drawing is planar if Euler's formula holds for every connected part.
    Otherwise, and in three dimensions, rings are the shortest-path rings [2]_. Both count in periodic cells;
    a ring there must close without crossing the cell.

    Parameters
    ----------
    graph
        Bond graph in two or three dimensions, periodic or not.

    Returns
    -------
    Rings
        On an intact sheet both ways find the same rings.
    """
    if graph.positions_A.shape[1] == 2 and len(graph.edges):
        traced = _trace_faces(len(graph), graph.edges, graph.vectors_A)
        if _is_planar(graph, *traced):
            return _rings_of_faces(graph, *traced)
    atoms, starts = shortest_path_rings(graph, LARGEST_RING)
    return Rings(atoms, starts, (), (), planar=not len(graph.edges))


def _is_planar(
    graph: BondGraph,
    atoms: np.ndarray,
    starts: np.ndarray,
    area_A2: np.ndarray,
    closed: np.ndarray,
    part: np.ndarray,
    euler: np.ndarray,
) -> bool:
    """Whether each part drawn by its angles is a sphere, V - E + F = 2, or fills the periodic cell, V - E + F = 0."""
    outer = np.bincount(part[closed & (area_A2 < 0.0)], minlength=len(euler))
    if graph.cell_A is None:
        return bool(((euler == 2) & (outer == 1)).all())
    cell_A2 = abs(np.linalg.det(np.asarray(graph.cell_A)))
    filled = np.bincount(part, np.where(closed, area_A2, 0.0), minlength=len(euler))
    fills_cell = (euler == 0) & np.isclose(filled, cell_A2)
    return bool(((euler == 2) | fills_cell).all())


def _rings_of_faces(
    graph: BondGraph,
    atoms: np.ndarray,
    starts: np.ndarray,
    area_A2: np.ndarray,
    closed: np.ndarray,
    part: np.ndarray,
    euler: np.ndarray,
) -> Rings:
    sizes = np.diff(starts)
    inner = closed & (area_A2 > 0.0)
    ring = inner & (sizes <= LARGEST_RING)
    holes = tuple(atoms[starts[k] : starts[k + 1]] for k in np.flatnonzero(inner & ~ring))
    rims = tuple(atoms[starts[k] : starts[k + 1]] for k in np.flatnonzero(~inner))
    ring_starts = np.concatenate([[0], np.cumsum(sizes[ring])])
    return Rings(atoms[np.repeat(ring, sizes)], ring_starts, holes, rims, planar=True)


@numba.njit(cache=True)
def _half_edges(n_atoms, edges, vectors):  # type: ignore[no-untyped-def]
    """Half-edge that follows each half-edge 2b or 2b + 1 of bond b around a face; -1 for tails held by one end."""
    count, alive = np.zeros(n_atoms + 1, np.int64), np.ones(len(edges), np.bool_)
    for b in range(len(edges)):
        count[edges[b, 0] + 1] += 1
        count[edges[b, 1] + 1] += 1
    starts = np.cumsum(count)
    around, filled = np.empty(2 * len(edges), np.int64), starts[:-1].copy()
    for b in range(len(edges)):
        for side in range(2):
            atom = edges[b, side]
            around[filled[atom]] = 2 * b + side
            filled[atom] += 1
    degree = count[1:].copy()
    loose = [atom for atom in range(n_atoms) if degree[atom] == 1]
    while len(loose) > 0:
        atom = loose.pop()
        for h in around[starts[atom] : starts[atom + 1]]:
            if alive[h // 2]:
                alive[h // 2] = False
                other = edges[h // 2, 1 - h % 2]
                degree[atom] -= 1
                degree[other] -= 1
                if degree[other] == 1:
                    loose.append(other)
    angle = np.empty(2 * len(edges))
    for b in range(len(edges)):
        angle[2 * b] = np.arctan2(vectors[b, 1], vectors[b, 0])
        angle[2 * b + 1] = np.arctan2(-vectors[b, 1], -vectors[b, 0])
    following = np.full(2 * len(edges), -1, np.int64)
    for atom in range(n_atoms):
        own = np.empty(degree[atom], np.int64)
        n_own = 0
        for h in around[starts[atom] : starts[atom + 1]]:
            if alive[h // 2]:
                k = n_own
                while k > 0 and angle[own[k - 1]] > angle[h]:
                    own[k] = own[k - 1]
                    k -= 1
                own[k] = h
                n_own += 1
        # A face keeps to its left: arriving by the twin of own[k], it leaves by the next half-edge clockwise.
        for k in range(n_own):
            following[own[k] ^ 1] = own[k - 1]
    return following


@numba.njit(cache=True)
def _trace_faces(n_atoms, edges, vectors):  # type: ignore[no-untyped-def]
    """Faces: atoms, starts, signed area, whether closed in the plane, their part; Euler number of each part."""
    following = _half_edges(n_atoms, edges, vectors)
    atoms, starts = np.empty(2 * len(edges), np.int64), np.empty(2 * len(edges) + 1, np.int64)
    area, closed = np.empty(2 * len(edges)), np.empty(2 * len(edges), np.bool_)
    face_of = np.full(2 * len(edges), -1, np.int64)
    n_faces, n_placed = 0, 0
    starts[0] = 0
    for first in range(2 * len(edges)):
        if following[first] < 0 or face_of[first] >= 0:
            continue
        x, y, doubled, h = 0.0, 0.0, 0.0, first
        while face_of[h] < 0:
            face_of[h] = n_faces
            atoms[n_placed] = edges[h // 2, h % 2]
            n_placed += 1
            sign = 1.0 - 2.0 * (h % 2)
            dx, dy = sign * vectors[h // 2, 0], sign * vectors[h // 2, 1]
            doubled += x * dy - y * dx
            x, y = x + dx, y + dy
            h = following[h]
        area[n_faces], closed[n_faces] = doubled / 2.0, x * x + y * y < 1e-6
        n_faces += 1
        starts[n_faces] = n_placed
    part_of_atom, n_parts = _parts(n_atoms, edges, following)
    euler, part = np.zeros(n_parts, np.int64), np.empty(n_faces, np.int64)
    for atom in range(n_atoms):
        if part_of_atom[atom] >= 0:
            euler[part_of_atom[atom]] += 1
    for b in range(len(edges)):
        if following[2 * b] >= 0:
            euler[part_of_atom[edges[b, 0]]] -= 1
    for face in range(n_faces):
        part[face] = part_of_atom[atoms[starts[face]]]
        euler[part[face]] += 1
    return atoms[:n_placed], starts[: n_faces + 1], area[:n_faces], closed[:n_faces], part, euler


@numba.njit(cache=True)
def _parts(n_atoms, edges, following):  # type: ignore[no-untyped-def]
    """Connected part of each atom, -1 for atoms without a half-edge, by union-find; and the number of parts."""
    parent = np.arange(n_atoms)
    ringed = np.zeros(n_atoms, np.bool_)
    for b in range(len(edges)):
        if following[2 * b] < 0:
            continue
        i, j = edges[b]
        ringed[i] = ringed[j] = True
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        while parent[j] != j:
            parent[j] = parent[parent[j]]
            j = parent[j]
        parent[max(i, j)] = min(i, j)
    part, n_parts = np.full(n_atoms, -1, np.int64), 0
    for atom in range(n_atoms):
        if ringed[atom]:
            root = atom
            while parent[root] != root:
                root = parent[root]
            if part[root] < 0:
                part[root] = n_parts
                n_parts += 1
            part[atom] = part[root]
    return part, n_parts
