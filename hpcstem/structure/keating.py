"""Planar relaxation of bond networks with a bond-stretching and angle-bending potential.

References
----------
.. [1] S. K. Jain, G. T. Barkema, N. Mousseau, C.-M. Fang and M. A. van Huis, J. Phys. Chem. C 119, 9646
   (2015), https://doi.org/10.1021/acs.jpcc.5b01905 (its two-dimensional part; the repulsion of atoms without
   a bond is ours)
.. [2] E. Bitzek et al., Phys. Rev. Lett. 97, 170201 (2006), https://doi.org/10.1103/PhysRevLett.97.170201
"""

from __future__ import annotations

import numba
import numpy as np
from scipy.spatial import cKDTree

from hpcstem.structure.bonds import BondGraph

_ALPHA_EV_PER_A2 = 26.060
_BETA_EV_PER_A2 = 5.511
_REPULSION_EV_PER_A2 = 10.0
_REPULSION_RANGE_A = 2.0
_REPULSION_LIST_A = 2.6

_REST_A = {("C", "C"): 1.42, ("C", "Si"): 1.76, ("Si", "Si"): 2.35}
"""Three-fold Si sits above the sheet; in the stressed plane 1.76 Å ends at 1.62 Å, its projection in DFT."""
_SI_C_FOURFOLD_A = 1.88
"""Si with four neighbours in the plane sits in a double vacancy, whose four carbons are farther away."""


def rest_lengths_A(graph: BondGraph) -> np.ndarray:
    """Length that each bond of carbon and silicon has without stress [Å], with shape (n_bonds,), float64."""
    silicon = graph.species == "Si"
    count = silicon[graph.edges].sum(axis=1)
    lengths_A = np.choose(count, [_REST_A["C", "C"], _REST_A["C", "Si"], _REST_A["Si", "Si"]])
    fourfold = ((graph.coordination >= 4) & silicon)[graph.edges].any(axis=1)
    return np.where(fourfold & (count == 1), _SI_C_FOURFOLD_A, lengths_A)


def relax(graph: BondGraph, free: np.ndarray, max_force_eV_per_A: float = 0.05, max_steps: int = 600) -> BondGraph:
    """Move the free atoms of a flat, non-periodic network to a minimum of the potential [1]_ by FIRE [2]_.

    Parameters
    ----------
    graph
        Network of carbon and silicon in two dimensions; its bonds stay as they are.
    free
        Atoms that may move, with shape (n_atoms,), bool.
    max_force_eV_per_A
        Stop when no free atom feels more [eV/Å].
    max_steps
        Stop after this many steps.

    Returns
    -------
    BondGraph
        The same network with new positions.
    """
    if not free.any():
        return graph
    rest_A = rest_lengths_A(graph)
    bonds = free[graph.edges].any(axis=1)
    centres, firsts, seconds, angles_rad = _angles(graph, free)
    repelling = _pairs_without_bond(graph, free)
    positions_A = _minimise(
        graph.positions_A.copy(), free, graph.edges[bonds], rest_A[bonds], centres, firsts, seconds,
        angles_rad, repelling, max_force_eV_per_A, max_steps,
    )  # fmt: skip
    return BondGraph(positions_A, graph.species, graph.edges)


def _angles(graph: BondGraph, free: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Centres, both ends and rest values [rad] of the angles near free atoms at atoms with 2 or 3 bonds."""
    near = free.copy()
    near[graph.edges[free[graph.edges].any(axis=1)]] = True
    starts, neighbours = graph.adjacency
    triples = []
    for first, second, needed in ((0, 1, 2), (0, 2, 3), (1, 2, 3)):
        atoms = np.flatnonzero(near & (graph.coordination >= needed) & (graph.coordination <= 3))
        triples.append((atoms, neighbours[starts[atoms] + first], neighbours[starts[atoms] + second]))
    centres, firsts, seconds = (np.concatenate(column) for column in zip(*triples, strict=True))
    return centres, firsts, seconds, np.full(len(centres), 2.0 * np.pi / 3.0)


def _pairs_without_bond(graph: BondGraph, free: np.ndarray) -> np.ndarray:
    """Pairs of near atoms that share no bond, at least one of them free, with shape (n_pairs, 2), int64."""
    low = graph.positions_A[free].min(axis=0) - _REPULSION_LIST_A
    high = graph.positions_A[free].max(axis=0) + _REPULSION_LIST_A
    near = np.flatnonzero(((graph.positions_A >= low) & (graph.positions_A <= high)).all(axis=1))
    pairs = near[cKDTree(graph.positions_A[near]).query_pairs(_REPULSION_LIST_A, output_type="ndarray")]
    pairs = np.sort(pairs[free[pairs].any(axis=1)], axis=1)
    key, bonded = pairs @ [len(graph), 1], graph.edges @ [len(graph), 1]
    return pairs[~np.isin(key, bonded)]


@numba.njit(cache=True, error_model="numpy")
def _forces(positions, bonds, rest, centres, firsts, seconds, angles, repelling, forces):  # type: ignore[no-untyped-def]
    forces[:] = 0.0
    for b in range(len(bonds)):
        i, j = bonds[b]
        x, y = positions[j, 0] - positions[i, 0], positions[j, 1] - positions[i, 1]
        pull = 0.75 * _ALPHA_EV_PER_A2 * ((x * x + y * y) / (rest[b] * rest[b]) - 1.0)
        forces[i, 0] += pull * x
        forces[i, 1] += pull * y
        forces[j, 0] -= pull * x
        forces[j, 1] -= pull * y
    bend = 0.75 * _BETA_EV_PER_A2 * 1.42 * 1.42
    for t in range(len(centres)):
        c, i, j = centres[t], firsts[t], seconds[t]
        ax, ay = positions[i, 0] - positions[c, 0], positions[i, 1] - positions[c, 1]
        bx, by = positions[j, 0] - positions[c, 0], positions[j, 1] - positions[c, 1]
        a2, b2 = max(ax * ax + ay * ay, 0.25), max(bx * bx + by * by, 0.25)
        cross = ax * by - ay * bx
        torque = bend * (abs(np.arctan2(cross, ax * bx + ay * by)) - angles[t])
        if cross < 0.0:
            torque = -torque
        # dθ/da = (a_y, -a_x)/a² for an angle counted from a to b, dθ/db = (-b_y, b_x)/b²
        fix, fiy = -torque * ay / a2, torque * ax / a2
        fjx, fjy = torque * by / b2, -torque * bx / b2
        forces[i, 0] += fix
        forces[i, 1] += fiy
        forces[j, 0] += fjx
        forces[j, 1] += fjy
        forces[c, 0] -= fix + fjx
        forces[c, 1] -= fiy + fjy
    for p in range(len(repelling)):
        i, j = repelling[p]
        x, y = positions[j, 0] - positions[i, 0], positions[j, 1] - positions[i, 1]
        distance = max(np.sqrt(x * x + y * y), 0.1)
        if distance < _REPULSION_RANGE_A:
            push = _REPULSION_EV_PER_A2 * (_REPULSION_RANGE_A / distance - 1.0)
            forces[i, 0] -= push * x
            forces[i, 1] -= push * y
            forces[j, 0] += push * x
            forces[j, 1] += push * y


@numba.njit(cache=True, error_model="numpy")
def _minimise(  # type: ignore[no-untyped-def]
    positions, free, bonds, rest, centres, firsts, seconds, angles, repelling, max_force, max_steps
):
    forces, velocities = np.zeros_like(positions), np.zeros_like(positions)
    step, mixing, downhill = 0.05, 0.1, 0
    for _ in range(max_steps):
        _forces(positions, bonds, rest, centres, firsts, seconds, angles, repelling, forces)
        power, force2, speed2, worst2 = 0.0, 0.0, 0.0, 0.0
        for i in np.flatnonzero(free):
            here = forces[i, 0] ** 2 + forces[i, 1] ** 2
            worst2 = max(worst2, here)
            force2 += here
            speed2 += velocities[i, 0] ** 2 + velocities[i, 1] ** 2
            power += forces[i, 0] * velocities[i, 0] + forces[i, 1] * velocities[i, 1]
        if worst2 < max_force * max_force:
            break
        if power > 0.0:
            velocities = (1.0 - mixing) * velocities + mixing * np.sqrt(speed2 / force2) * forces
            downhill += 1
            if downhill > 5:
                step, mixing = min(step * 1.1, 0.09), mixing * 0.99
        else:
            velocities[:] = 0.0
            step, mixing, downhill = step * 0.5, 0.1, 0
        for i in np.flatnonzero(free):
            for k in range(2):
                velocities[i, k] += step * forces[i, k]
                positions[i, k] += min(max(step * velocities[i, k], -0.1), 0.1)
    return positions
