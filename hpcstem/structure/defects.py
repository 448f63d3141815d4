"""Names for the defects of a sheet, from its bond graph and rings.

References
----------
.. [1] F. Banhart, J. Kotakoski and A. V. Krasheninnikov, Structural Defects in Graphene, ACS Nano 5, 26
   (2011),
   https://doi.org/10.1021/nn102598m
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

import networkx as nx
import numpy as np

from hpcstem.atoms import AtomTable
from hpcstem.errors import StructureError
from hpcstem.structure.bonds import BondGraph, bond_graph
from hpcstem.structure.graphene import CC_BOND_A
from hpcstem.structure.rings import Rings, find_rings

_LONG_CHAIN = 7
"""Rings away from the edge from which on a chain is named although it goes on at the edge, as grain boundaries do; no
point defect above has as many."""


class DefectKind(enum.StrEnum):
    """What a defect is called [1]_."""

    SINGLE_VACANCY = "single vacancy"
    """One carbon missing: a pentagon and a nine-membered ring, or a ring of twelve without a closed bond."""
    DOUBLE_VACANCY = "double vacancy 5-8-5"
    """Two carbons missing: an octagon between two pentagons."""
    DOUBLE_VACANCY_555_777 = "double vacancy 555-777"
    """Two carbons missing and a bond turned: three heptagons around one atom, with three pentagons."""
    STONE_WALES = "Stone-Wales 5-7-7-5"
    """A bond turned by 90°: two heptagons share it, two pentagons lie at its ends."""
    PAIR_5_7 = "5-7 pair"
    """A pentagon and a heptagon side by side: a dislocation."""
    CHAIN_5_7 = "5-7 chain"
    """More pentagons and heptagons side by side, as in a grain boundary."""
    OTHER_RINGS = "other rings"
    """Rings that are no hexagons, in none of the patterns above."""
    SILICON_ON_THREE = "Si on three neighbours"
    """One silicon in the place of one carbon."""
    SILICON_ON_FOUR = "Si on four neighbours"
    """One silicon in the place of two carbons."""
    SILICON_CLUSTER = "Si cluster"
    """Silicon atoms bonded to each other."""
    SILICON_OTHER = "Si other"
    """One silicon with another number of neighbours."""
    HOLE = "hole"
    """A face too large for a ring, with the atoms at its edge."""


_WHOLE = frozenset(
    {
        DefectKind.SINGLE_VACANCY,
        DefectKind.DOUBLE_VACANCY,
        DefectKind.DOUBLE_VACANCY_555_777,
        DefectKind.STONE_WALES,
    }
)
"""Patterns that hardly ever are part of a larger one, so that one at an edge is what it looks like."""


@dataclass(frozen=True, eq=False)
class Defect:
    """One defect of one frame.

    Parameters
    ----------
    kind
        Its name.
    atoms
        Atoms of its rings, or its silicon and their neighbours, or the edge of the hole; ascending, int64.
    centre_A
        Mean position of `atoms`, of the silicon alone where there is one [Å], with shape (2,), float64.
    confidence
        Confidence of its least certain atom, 0 to 1.
    """

    kind: DefectKind
    atoms: np.ndarray
    centre_A: np.ndarray
    confidence: float


def edge_atoms(graph: BondGraph, rings: Rings, field_A: tuple[float, float] | None = None) -> np.ndarray:
    """Atoms of which a neighbour may lie outside what was seen.

    Parameters
    ----------
    graph, rings
        Structure of one frame.
    field_A
        Width and height of the frame [Å]; without it only the rim of the graph counts.

    Returns
    -------
    numpy.ndarray
        With shape (n_atoms,), bool: atoms on the rim of the graph, atoms in no ring, and atoms nearer than
        one bond to the edge of the frame. None in a periodic cell without rim.
    """
    edge = np.zeros(len(graph), bool)
    if rings.planar:
        for rim in rings.rims:
            edge[rim] = True
        ringed = np.zeros(len(graph), bool)
        for members in (rings.atoms, *rings.holes):
            ringed[members] = True
        edge |= ~ringed
    if field_A is not None:
        distance_A = np.minimum(graph.positions_A[:, :2], np.asarray(field_A) - graph.positions_A[:, :2])
        edge |= (distance_A < CC_BOND_A).any(axis=1)
    return edge


def find_defects(
    graph: BondGraph,
    rings: Rings,
    confidence: np.ndarray | None = None,
    field_A: tuple[float, float] | None = None,
) -> list[Defect]:
    """Name the defects of one frame that were seen whole.

    Parameters
    ----------
    graph, rings
        Structure of one frame.
    confidence
        Of each atom, 0 to 1, with shape (n_atoms,), float; 1 for all if absent. For decoded atoms their
        probability.
    field_A
        Width and height of the frame [Å].

    Returns
    -------
    list[Defect]
        In the order of their first atom. Vacancies and turned bonds are named where all of their rings were seen. Any
        other pattern with an atom at an edge (`edge_atoms`) is left out, for it may go on unseen: many 5-7 pairs there
        are halves of a 5-7-7-5. A chain of pentagons and heptagons is named if seven of its rings lie away from the
        edge. Rings with silicon belong to the silicon's defect.
    """
    if confidence is None:
        confidence = np.ones(len(graph))
    if np.shape(confidence) != (len(graph),):
        raise StructureError("confidence of the atoms", f"shape {np.shape(confidence)}", f"({len(graph)},)")
    edge = edge_atoms(graph, rings, field_A)
    found = [*_silicon(graph, edge), *_ring_patterns(graph, rings, edge), *_holes(graph, rings, edge)]
    defects = []
    for kind, atoms, silicon in found:
        centre_A = _centre_A(graph, silicon if len(silicon) else atoms)
        defects.append(Defect(kind, atoms, centre_A, float(np.asarray(confidence)[atoms].min())))
    return sorted(defects, key=lambda defect: (int(defect.atoms[0]), defect.kind))


def defects_of_frame(atoms: AtomTable, field_A: tuple[float, float] | None = None) -> list[Defect]:
    """Name the defects of the atoms of one frame; `Defect.atoms` are rows of `atoms`."""
    graph = bond_graph(atoms.positions_A, atoms.species)
    return find_defects(graph, find_rings(graph), atoms.probability, field_A)


_Found = tuple[DefectKind, np.ndarray, np.ndarray]
"""Kind, all atoms ascending, and the silicon among them."""


def _silicon(graph: BondGraph, edge: np.ndarray) -> list[_Found]:
    is_silicon = graph.species == "Si"
    bonded = nx.Graph(graph.edges[is_silicon[graph.edges].all(axis=1)].tolist())
    bonded.add_nodes_from(np.flatnonzero(is_silicon & ~edge).tolist())
    found: list[_Found] = []
    for cluster in nx.connected_components(bonded):
        silicon = np.array(sorted(cluster), np.int64)
        if edge[silicon].any():
            continue
        kind = DefectKind.SILICON_CLUSTER
        if len(silicon) == 1:
            by_neighbours = {3: DefectKind.SILICON_ON_THREE, 4: DefectKind.SILICON_ON_FOUR}
            kind = by_neighbours.get(int(graph.coordination[silicon[0]]), DefectKind.SILICON_OTHER)
        atoms = np.unique(np.concatenate([silicon, *(graph.neighbours(atom) for atom in silicon)]))
        found.append((kind, atoms, silicon))
    return found


def _ring_patterns(graph: BondGraph, rings: Rings, edge: np.ndarray) -> list[_Found]:
    """Patterns of carbon rings that are no hexagons, joined where they share a bond."""
    silicon = graph.species == "Si"
    odd = [ring for ring in np.flatnonzero(rings.sizes != 6).tolist() if not silicon[rings[ring]].any()]
    joined = nx.Graph()
    joined.add_nodes_from(odd)
    ring_of_bond: dict[tuple[int, int], int] = {}
    for ring in odd:
        members = rings[ring]
        for i, j in zip(members.tolist(), np.roll(members, -1).tolist(), strict=True):
            other = ring_of_bond.setdefault((min(i, j), max(i, j)), ring)
            if other != ring:
                joined.add_edge(other, ring)
    cut = {ring for ring in odd if edge[rings[ring]].any()}
    found: list[_Found] = []
    for pattern in nx.connected_components(joined):
        kind = _pattern_kind(graph, rings, joined.subgraph(pattern))
        if pattern & cut and kind not in _WHOLE:
            pattern = max(nx.connected_components(joined.subgraph(pattern - cut)), key=len, default=set())
            if len(pattern) < _LONG_CHAIN or kind is not DefectKind.CHAIN_5_7:
                continue
        atoms = np.unique(np.concatenate([rings[ring] for ring in pattern]))
        found.append((kind, atoms, atoms[:0]))
    return found


def _pattern_kind(graph: BondGraph, rings: Rings, pattern: nx.Graph) -> DefectKind:
    size = {ring: int(rings.sizes[ring]) for ring in pattern}
    sizes = sorted(size.values())
    heptagons = [ring for ring in pattern if size[ring] == 7]
    if sizes == [5, 9]:
        return DefectKind.SINGLE_VACANCY
    if sizes == [12]:
        open_atoms = graph.coordination[rings[next(iter(pattern))]] == 2
        return DefectKind.SINGLE_VACANCY if open_atoms.sum() == 3 else DefectKind.OTHER_RINGS
    if sizes == [5, 5, 8]:
        octagon = max(pattern, key=lambda ring: size[ring])
        return DefectKind.DOUBLE_VACANCY if pattern.degree(octagon) == 2 else DefectKind.OTHER_RINGS
    if sizes == [5, 5, 7, 7] and pattern.has_edge(*heptagons) and pattern.number_of_edges() == 5:
        return DefectKind.STONE_WALES
    if sizes == [5, 5, 5, 7, 7, 7]:
        shared = set.intersection(*(set(rings[ring].tolist()) for ring in heptagons))
        return DefectKind.DOUBLE_VACANCY_555_777 if shared else DefectKind.CHAIN_5_7
    if sizes == [5, 7]:
        return DefectKind.PAIR_5_7
    if set(sizes) == {5, 7}:
        return DefectKind.CHAIN_5_7
    return DefectKind.OTHER_RINGS


def _holes(graph: BondGraph, rings: Rings, edge: np.ndarray) -> list[_Found]:
    holes = (np.unique(hole) for hole in rings.holes)
    return [(DefectKind.HOLE, hole, hole[:0]) for hole in holes if not edge[hole].any()]


def _centre_A(graph: BondGraph, atoms: np.ndarray) -> np.ndarray:
    """Mean position in the plane, over the edges of a periodic cell by the images nearest to the first atom."""
    positions_A = graph.positions_A[atoms, :2]
    if graph.cell_A is None:
        return positions_A.mean(axis=0)
    cell_A = np.asarray(graph.cell_A)[:2, :2]
    fractional = (positions_A - positions_A[0]) @ np.linalg.inv(cell_A)
    return positions_A[0] + ((fractional - np.round(fractional)) @ cell_A).mean(axis=0)
