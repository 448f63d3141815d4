"""Shortest-path rings of any bond graph, planar or not, periodic or not.

References
----------
.. [1] D. S. Franzblau, Phys. Rev. B 44, 4925 (1991), https://doi.org/10.1103/PhysRevB.44.4925
"""

from __future__ import annotations

import numba
import numpy as np

from hpcstem.structure.bonds import BondGraph


def shortest_path_rings(graph: BondGraph, largest: int) -> tuple[np.ndarray, np.ndarray]:
    """Rings no two members of which are joined by a path shorter than along the ring [1]_.

    Parameters
    ----------
    graph
        Bond graph. In a periodic cell a ring must close without crossing the cell; cells narrower than
        `largest` bonds may hide rings behind paths through their images.
    largest
        Most atoms of a ring.

    Returns
    -------
    atoms : numpy.ndarray
        Members of ring after ring, each in order around its ring, with shape (sum of sizes,), int64.
    starts : numpy.ndarray
        Where each ring begins in `atoms`, and the end of the last, with shape (n_rings + 1,), int64.
    """
    starts, neighbours = graph.adjacency
    shifts = np.asarray(graph.shifts)
    shifts = np.concatenate([shifts, -shifts])
    ends = np.concatenate([graph.edges, graph.edges[:, ::-1]])
    shifts = shifts[np.lexsort((ends[:, 1], ends[:, 0]))]
    distances = _distances(starts, neighbours, largest // 2 + 1)
    atoms, sizes = _rings(starts, neighbours, np.ascontiguousarray(shifts), distances, largest)
    return atoms, np.concatenate([[0], np.cumsum(sizes)])


@numba.njit(cache=True)
def _distances(starts, neighbours, depth):  # type: ignore[no-untyped-def]
    """Bonds between all pairs of atoms, 127 if more than `depth`, with shape (n_atoms, n_atoms), int8."""
    n_atoms = len(starts) - 1
    distances = np.full((n_atoms, n_atoms), 127, np.int8)
    queue = np.empty(n_atoms, np.int64)
    for root in range(n_atoms):
        distances[root, root] = 0
        queue[0] = root
        first, last = 0, 1
        while first < last:
            atom = queue[first]
            first += 1
            if distances[root, atom] == depth:
                break
            for other in neighbours[starts[atom] : starts[atom + 1]]:
                if distances[root, other] == 127:
                    distances[root, other] = distances[root, atom] + 1
                    queue[last] = other
                    last += 1
    return distances


@numba.njit(cache=True)
def _paths(starts, neighbours, to_root, end, root):  # type: ignore[no-untyped-def]
    """All shortest paths from `end` down to `root` over atoms of larger index than the root, as half-edges."""
    length = to_root[end]
    paths = [np.empty(length, np.int64) for _ in range(0)]
    half_edges, atoms = np.empty(length, np.int64), np.empty(length + 1, np.int64)
    tried = np.zeros(length + 1, np.int64)
    atoms[0], depth = end, 0
    while depth >= 0:
        atom = atoms[depth]
        if depth == length:
            paths.append(half_edges.copy())
            depth -= 1
            continue
        k = starts[atom] + tried[depth]
        if k == starts[atom + 1]:
            tried[depth] = 0
            depth -= 1
            continue
        tried[depth] += 1
        other = neighbours[k]
        if to_root[other] == to_root[atom] - 1 and other >= root:
            half_edges[depth], atoms[depth + 1] = k, other
            depth += 1
    return paths


@numba.njit(cache=True)
def _joined(neighbours, shifts, distances, left, right, end, other_end, closing):  # type: ignore[no-untyped-def]
    """Members of the ring of two paths to one root, empty unless it is a closed shortest-path ring."""
    odd = 1 if closing >= 0 else 0
    size = len(left) + len(right) + odd
    ring = np.empty(size, np.int64)
    total = np.zeros(shifts.shape[1], np.int64)
    ring[0] = end
    for k in range(len(left)):
        total += shifts[left[k]]
        ring[k + 1] = neighbours[left[k]]
    for k in range(len(right)):
        total -= shifts[right[k]]
        if k < len(right) - 1:
            ring[size - 1 - odd - k] = neighbours[right[k]]
    if odd:
        ring[size - 1] = other_end
        total -= shifts[closing]
    if (total != 0).any():
        return ring[:0]
    for a in range(size):
        for b in range(a + 1, size):
            if distances[ring[a], ring[b]] != min(b - a, size - b + a):
                return ring[:0]
    return ring


@numba.njit(cache=True)
def _rings(starts, neighbours, shifts, distances, largest):  # type: ignore[no-untyped-def]
    members = [np.int64(0) for _ in range(0)]
    sizes = [0 for _ in range(0)]
    n_atoms = len(starts) - 1
    for root in range(n_atoms):
        to_root = distances[root]
        for end in range(root + 1, n_atoms):
            half = to_root[end]
            if half < 1 or 2 * half > largest:
                continue
            left = _paths(starts, neighbours, to_root, end, root)
            # Even rings: two ways from one far atom. Odd rings: two far atoms that share a bond.
            for a in range(len(left)):
                for b in range(a + 1, len(left)):
                    ring = _joined(neighbours, shifts, distances, left[a], left[b], end, end, -1)
                    members.extend(ring)
                    if len(ring) > 0:
                        sizes.append(len(ring))
            if 2 * half + 1 > largest:
                continue
            for closing in range(starts[end], starts[end + 1]):
                other = neighbours[closing]
                if other <= end or to_root[other] != half:
                    continue
                right = _paths(starts, neighbours, to_root, other, root)
                for a in range(len(left)):
                    for b in range(len(right)):
                        ring = _joined(neighbours, shifts, distances, left[a], right[b], end, other, closing)
                        members.extend(ring)
                        if len(ring) > 0:
                            sizes.append(len(ring))
    return np.array(members, np.int64), np.array(sizes, np.int64)
