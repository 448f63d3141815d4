"""The sheet in a structure of three dimensions: its atoms without hydrogen and adsorbates, bonds and rings."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import cached_property

import ase
import networkx as nx
import numpy as np

from hpcstem.errors import StructureError
from hpcstem.structure.bonds import BondGraph, bond_graph
from hpcstem.structure.rings import Rings, find_rings

SHEET_SPECIES = ("C", "Si")


@dataclass(frozen=True, eq=False)
class Sheet:
    """A sheet, numbered by itself.

    Parameters
    ----------
    atoms
        Indices of its atoms in the structure, ascending, with shape (n_sheet,), int64.
    graph
        Its bonds, in three dimensions.
    """

    atoms: np.ndarray
    graph: BondGraph

    @cached_property
    def rings(self) -> Rings:
        """Rings of the same bonds drawn in x and y."""
        return find_rings(self.drawn)

    @property
    def positions_A(self) -> np.ndarray:
        """Positions [Å], with shape (n_sheet, 3), float64."""
        return self.graph.positions_A

    @property
    def drawn(self) -> BondGraph:
        """The same bonds in x and y."""
        graph = self.graph
        if graph.cell_A is None:
            return BondGraph(graph.positions_A[:, :2], graph.species, graph.edges)
        shifts = None if graph.shifts is None else graph.shifts[:, :2]
        return BondGraph(graph.positions_A[:, :2], graph.species, graph.edges, np.asarray(graph.cell_A)[:2, :2], shifts)

    def unwrapped_A(self, group: np.ndarray) -> np.ndarray:
        """Positions of bonded atoms brought together over the edges of the cell [Å], with shape (n, 3), float64."""
        group = np.asarray(group)
        if self.graph.cell_A is None or len(group) < 2:
            return np.asarray(self.positions_A[group])
        members = set(group.tolist())
        steps: dict[int, list[tuple[int, np.ndarray]]] = {}
        for (i, j), vector_A in zip(self.graph.edges.tolist(), self.graph.vectors_A, strict=True):
            if i in members and j in members:
                steps.setdefault(i, []).append((j, vector_A))
                steps.setdefault(j, []).append((i, -vector_A))
        placed = {int(group[0]): self.positions_A[group[0]]}
        waiting = deque([int(group[0])])
        while waiting:
            here = waiting.popleft()
            for there, vector_A in steps.get(here, []):
                if there not in placed:
                    placed[there] = placed[here] + vector_A
                    waiting.append(there)
        return np.array([placed.get(int(atom), self.positions_A[atom]) for atom in group])


def sheet_of(atoms: ase.Atoms, members: np.ndarray | None = None) -> Sheet:
    """Return the sheet of a structure that lies along x and y.

    Parameters
    ----------
    atoms
        The structure; where it repeats in x and y, so does the sheet.
    members
        Indices of the atoms that belong to it, ascending, int64. None: the largest connected part of all C and Si.

    Raises
    ------
    StructureError
        There is no such atom.
    """
    symbols = np.array(atoms.get_chemical_symbols())
    chosen = np.flatnonzero(np.isin(symbols, SHEET_SPECIES)) if members is None else np.asarray(members, np.int64)
    if not len(chosen):
        raise StructureError("sheet of a structure", "no C or Si", f"one of {', '.join(SHEET_SPECIES)}")
    graph = _bonds(atoms, symbols, chosen)
    if members is None:
        network = nx.Graph(graph.edges.tolist())
        network.add_nodes_from(range(len(graph)))
        parts = [sorted(part) for part in nx.connected_components(network)]
        largest = max(parts, key=lambda part: (len(part), -part[0]))
        if len(largest) < len(chosen):
            chosen = chosen[largest]
            graph = _bonds(atoms, symbols, chosen)
    return Sheet(chosen, graph)


def _bonds(atoms: ase.Atoms, symbols: np.ndarray, chosen: np.ndarray) -> BondGraph:
    # Stretched tenfold, a direction that does not repeat brings no image near; nor do images above and below.
    stretch = np.where([atoms.pbc[0], atoms.pbc[1], False], 1.0, 10.0)
    cell_A = np.array(atoms.cell) * stretch[:, None] if atoms.pbc[:2].any() and atoms.cell.rank == 3 else None
    return bond_graph(atoms.positions[chosen], symbols[chosen], cell_A)
