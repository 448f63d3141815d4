"""Grain boundaries without dangling bonds, from the triangulation of the ring centres of two grains.

The rings of graphene are the vertices of a triangulation and its atoms the triangles, so that any
triangulation gives a sheet in which every atom has three bonds; where two grains meet its vertices have five
or seven neighbours [1]_.

References
----------
.. [1] C. Ophus, A. Shekhawat, H. Rasool and A. Zettl, Phys. Rev. B 92, 205402 (2015),
   https://doi.org/10.1103/PhysRevB.92.205402
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import Delaunay, cKDTree

from hpcstem.structure.bonds import BondGraph
from hpcstem.structure.defects_library import without_dangling
from hpcstem.structure.graphene import LATTICE_CONSTANT_A, lattice_points, rotation
from hpcstem.structure.keating import relax

_MERGE_A = 0.72 * LATTICE_CONSTANT_A
_MOBILE_A = 4.0
_RELAXED_A = 7.0
_SMOOTHING_STEPS = 12


def grain_boundary(
    corners_A: np.ndarray, point_A: np.ndarray, direction_rad: float, rotations_rad: tuple[float, float]
) -> BondGraph:
    """Two grains that meet at a straight line.

    Parameters
    ----------
    corners_A
        Lower and upper corner of the box to cover [Å], with shape (2, 2), float64.
    point_A
        A point on the boundary [Å], with shape (2,), float64.
    direction_rad
        Angle from x to the boundary [rad].
    rotations_rad
        Angle from x to the zigzag direction of the grain on the left of the boundary, and on its right [rad].

    Returns
    -------
    BondGraph
        Carbon, relaxed near the boundary; all atoms but those at the edge of the sheet have three bonds.
    """
    normal = np.array([-np.sin(direction_rad), np.cos(direction_rad)])
    margin_A = 2.0 * LATTICE_CONSTANT_A
    box_A = corners_A + np.array([[-margin_A], [margin_A]])
    centres_A = []
    for side, angle_rad in zip((1.0, -1.0), rotations_rad, strict=True):
        grain_A = lattice_points(box_A - point_A, np.zeros((1, 2)), rotation(angle_rad)) + point_A
        centres_A.append(grain_A[side * ((grain_A - point_A) @ normal) >= 0.0])
    left_A, right_A = centres_A
    if len(left_A) and len(right_A):
        gap_A, partner = cKDTree(right_A).query(left_A)
        close = np.flatnonzero(gap_A < _MERGE_A)
        left_A[close] = (left_A[close] + right_A[partner[close]]) / 2.0
        right_A = np.delete(right_A, partner[close], axis=0)
    rings_A = _smoothed(np.concatenate([left_A, right_A]), point_A, normal)
    sheet = _dual(rings_A)
    inside = ((sheet.positions_A >= corners_A[0]) & (sheet.positions_A <= corners_A[1])).all(axis=1)
    distance_A = np.abs((sheet.positions_A - point_A) @ normal)
    sheet = relax(sheet, distance_A < _RELAXED_A)
    number = np.cumsum(inside) - 1
    edges = number[sheet.edges[inside[sheet.edges].all(axis=1)]]
    return without_dangling(BondGraph(sheet.positions_A[inside], sheet.species[inside], edges))


def _smoothed(rings_A: np.ndarray, point_A: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """Move ring centres (n, 2) near the boundary to the mean of their neighbours, a few times over."""
    distance_A = np.abs((rings_A - point_A) @ normal)
    near = distance_A < _MOBILE_A + 3.0 * LATTICE_CONSTANT_A
    strip_A, mobile = rings_A[near], distance_A[near] < _MOBILE_A
    if not mobile.any():
        return rings_A
    mobile[Delaunay(strip_A).convex_hull.ravel()] = False
    for _ in range(_SMOOTHING_STEPS):
        starts, neighbours = Delaunay(strip_A).vertex_neighbor_vertices
        mean_A = np.add.reduceat(strip_A[neighbours], starts[:-1], axis=0) / np.diff(starts)[:, None]
        strip_A = np.where(mobile[:, None], (strip_A + mean_A) / 2.0, strip_A)
    smoothed_A = rings_A.copy()
    smoothed_A[near] = strip_A
    return smoothed_A


def _dual(rings_A: np.ndarray) -> BondGraph:
    """One carbon in the middle of each triangle of ring centres, bonded over the triangle's edges."""
    triangles = Delaunay(rings_A)
    corners_A = rings_A[triangles.simplices]
    sides_A = np.linalg.norm(corners_A - np.roll(corners_A, 1, axis=1), axis=2)
    compact = sides_A.max(axis=1) < 1.8 * LATTICE_CONSTANT_A
    first = np.repeat(np.arange(len(compact)), 3)
    second = triangles.neighbors.ravel()
    once = (second > first) & compact[first] & compact[second]
    atoms = BondGraph(corners_A.mean(axis=1), np.full(len(compact), "C"), np.column_stack([first, second])[once])
    number = np.cumsum(compact) - 1
    edges = number[atoms.edges[np.lexsort((atoms.edges[:, 1], atoms.edges[:, 0]))]]
    return BondGraph(atoms.positions_A[compact], atoms.species[compact], edges)
