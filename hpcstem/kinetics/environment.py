"""Defects with their surroundings, cut out of a sheet: named by their bond graph, laid over each other by their atoms.

References
----------
.. [1] W. Kabsch, Acta Cryst. A 32, 922 (1976), https://doi.org/10.1107/S0567739476001873 (best rotation)
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hpcstem.kinetics.planar_code import PlanarCode, planar_code
from hpcstem.structure.bonds import BondGraph


@dataclass(frozen=True, eq=False)
class Environment:
    """Atoms of a defect and the shells of bonded atoms around it.

    Parameters
    ----------
    positions_A
        x and y from the centre of the defect [Å], with shape (n_atoms, 2), float64.
    species
        Chemical symbols, with shape (n_atoms,), str.
    core
        Whether each atom belongs to the defect itself, with shape (n_atoms,), bool.
    edges
        Bonds, with shape (n_bonds, 2), int64.
    """

    positions_A: np.ndarray
    species: np.ndarray
    core: np.ndarray
    edges: np.ndarray

    def __len__(self) -> int:
        return len(self.positions_A)

    @cached_property
    def canonical(self) -> PlanarCode:
        """Canonical code of its bond graph, core and shells told apart."""
        labels = [f"{symbol}{'*' if core else ''}" for symbol, core in zip(self.species, self.core, strict=True)]
        return planar_code(self.positions_A, labels, self.edges)

    @property
    def formula(self) -> str:
        """Species of the core, such as Si1C4."""
        counts = Counter(self.species[self.core].tolist())
        return "".join(f"{symbol}{counts[symbol]}" for symbol in sorted(counts, reverse=True))

    @property
    def graph_name(self) -> str:
        """Formula and the first eight digits of the SHA-256 of its code: the same for the same bond graph."""
        return f"{self.formula}-{hashlib.sha256(repr(self.canonical.code).encode()).hexdigest()[:8]}"


@dataclass(frozen=True, eq=False)
class Overlay:
    """How one environment lies over another of the same bond graph.

    Parameters
    ----------
    order
        Atom of the one for each atom of the other, with shape (n_atoms,), int64.
    rotation
        Matrix that brings row vectors of the one onto the other, `x @ rotation + shift_A`, with shape (2, 2); its
        determinant is -1 for a mirror image.
    shift_A
        With shape (2,) [Å].
    rms_A
        Root-mean-square distance of the atoms then [Å].
    """

    order: np.ndarray
    rotation: np.ndarray
    shift_A: np.ndarray
    rms_A: float


def cut_out(
    graph: BondGraph, edge: np.ndarray, core: np.ndarray, centre_A: np.ndarray, n_shells: int
) -> Environment | None:
    """Environment of a defect.

    Parameters
    ----------
    graph
        Sheet in two dimensions, or in three, of which x and y count.
    edge
        Atoms with neighbours that may not have been seen, with shape (n_atoms,), bool.
    core
        Atoms of the defect, int64.
    centre_A
        Its centre [Å], with shape (2,).
    n_shells
        Shells of bonded atoms around the core.

    Returns
    -------
    Environment or None
        None where bonds of the core or of a shell but the last may be unseen, or the core does not hang together.
    """
    shell = _shells(graph, core, n_shells)
    if any(edge[atom] for atom, k in shell.items() if k < max(n_shells, 1)):
        return None
    places_A = {int(core[0]): graph.positions_A[core[0], :2] - centre_A}
    # Along the bonds, so that an environment over the edge of a periodic cell stays in one piece.
    reached = [int(core[0])]
    for atom in reached:
        for bond in np.flatnonzero((graph.edges == atom).any(axis=1)).tolist():
            first, second = graph.edges[bond].tolist()
            other, sign = (second, 1.0) if first == atom else (first, -1.0)
            if other in shell and other not in places_A:
                places_A[other] = places_A[atom] + sign * graph.vectors_A[bond, :2]
                reached.append(other)
    if len(places_A) < len(shell):
        return None
    atoms = np.array(sorted(shell), np.int64)
    number = np.full(len(graph), -1)
    number[atoms] = np.arange(len(atoms))
    edges = number[graph.edges]
    edges = np.unique(np.sort(edges[(edges >= 0).all(axis=1)], axis=1), axis=0)
    positions_A = np.array([places_A[atom] for atom in atoms.tolist()])
    return Environment(positions_A, graph.species[atoms], np.isin(atoms, core), edges)


def overlay(one: Environment, other: Environment) -> Overlay | None:
    """Lay one environment over another of the same bond graph, turned and mirrored as fits best [1]_.

    All symmetries of the graph are tried. None where the bond graphs differ.
    """
    if one.canonical.code != other.canonical.code:
        return None
    target_A = other.positions_A[other.canonical.orders[0]]
    target_mirrored = other.canonical.mirrored[0]
    best: Overlay | None = None
    for atoms, mirrored in zip(one.canonical.orders, one.canonical.mirrored, strict=True):
        flip = np.diag([1.0, -1.0 if mirrored != target_mirrored else 1.0])
        found = _laid(one.positions_A[atoms], target_A, flip)
        if best is None or found[2] < best.rms_A:
            order = np.empty(len(atoms), np.int64)
            order[other.canonical.orders[0]] = atoms
            best = Overlay(order, *found)
    return best


def _laid(moved_A: np.ndarray, target_A: np.ndarray, flip: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Rotation after a flip, shift, and root mean square of what is left."""
    from_A, to_A = moved_A.mean(axis=0), target_A.mean(axis=0)
    centred_A, wanted_A = (moved_A - from_A) @ flip, target_A - to_A
    along = float((centred_A * wanted_A).sum())
    across = float((centred_A[:, 0] * wanted_A[:, 1] - centred_A[:, 1] * wanted_A[:, 0]).sum())
    length = np.hypot(along, across)
    cosine, sine = (along / length, across / length) if length else (1.0, 0.0)
    rotation = flip @ np.array([[cosine, sine], [-sine, cosine]])
    left_A = (moved_A - from_A) @ rotation - wanted_A
    return rotation, to_A - from_A @ rotation, float(np.sqrt((left_A**2).sum(axis=1).mean()))


def _shells(graph: BondGraph, core: np.ndarray, n_shells: int) -> dict[int, int]:
    """Bonds from the core to each atom at most `n_shells` away."""
    shell = dict.fromkeys(core.tolist(), 0)
    front = list(shell)
    for k in range(1, n_shells + 1):
        front = sorted({other for atom in front for other in graph.neighbours(atom).tolist()} - shell.keys())
        shell.update(dict.fromkeys(front, k))
    return shell
