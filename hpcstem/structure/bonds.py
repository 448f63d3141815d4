"""Bond graphs of decoded or simulated atoms: species-dependent cut-offs, bounded coordination, no crossings.

References
----------
.. [1] B. Cordero et al., Covalent radii revisited, Dalton Trans. 2008, 2832, https://doi.org/10.1039/b801115j
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numba
import numpy as np
from ase.data import atomic_numbers, covalent_radii
from ase.neighborlist import primitive_neighbor_list
from scipy.spatial import cKDTree

from hpcstem.errors import StructureError

MAX_COORDINATION = {"H": 1, "C": 3, "Si": 4}
"""Most bonds of an atom in the plane of a sheet; 6 for species not named."""
_OTHER_COORDINATION = 6

_CUTOFFS_A = {
    ("C", "C"): 2.00,
    ("C", "H"): 1.35,
    ("C", "Si"): 2.30,
    ("H", "H"): 0.95,
    ("H", "Si"): 1.80,
    ("Si", "Si"): 2.70,
}


def bond_cutoff_A(first: str, second: str) -> float:
    """Longest distance of two bonded atoms [Å].

    Between the first and second shell for C-C, C-Si and Si-Si, so that noise of 0.1 Å per axis breaks no bond
    (at 1.3 × 1.42 Å it breaks one in 800); 1.25 × the sum of the covalent radii [1]_ for pairs without a rule
    of their own.
    """
    pair = (first, second) if first <= second else (second, first)
    if pair in _CUTOFFS_A:
        return _CUTOFFS_A[pair]
    return 1.25 * float(covalent_radii[atomic_numbers[first]] + covalent_radii[atomic_numbers[second]])


@dataclass(frozen=True, eq=False)
class BondGraph:
    """Atoms and the bonds between them.

    Parameters
    ----------
    positions_A
        Positions [Å], with shape (n_atoms, 2) or (n_atoms, 3), float64.
    species
        Chemical symbols, with shape (n_atoms,), str.
    edges
        Bonded atoms, smaller index first, sorted, with shape (n_bonds, 2), int64.
    cell_A
        Row vectors of a periodic cell [Å], with shape (2, 2) or (3, 3); None without periodicity.
    shifts
        Cells from the first atom of a bond to the image of the second, with shape (n_bonds, 2) or (n_bonds,
        3), int64; zeros without a cell.

    Raises
    ------
    StructureError
        Shapes that do not fit, positions that are not finite, or bonds of atoms that do not exist.
    """

    positions_A: np.ndarray
    species: np.ndarray
    edges: np.ndarray
    cell_A: np.ndarray | None = None
    shifts: np.ndarray | None = None

    def __post_init__(self) -> None:
        positions_A = np.ascontiguousarray(self.positions_A, dtype=np.float64)
        edges = np.ascontiguousarray(self.edges, dtype=np.int64).reshape(-1, 2)
        if positions_A.ndim != 2 or positions_A.shape[1] not in (2, 3) or not np.isfinite(positions_A).all():
            raise StructureError("positions of a bond graph", f"shape {positions_A.shape}", "finite (n_atoms, 2 or 3)")
        species = np.asarray(self.species, dtype=np.str_)
        if species.shape != (len(positions_A),):
            raise StructureError("species of a bond graph", f"shape {species.shape}", f"({len(positions_A)},)")
        dimension = positions_A.shape[1]
        shifts = (
            np.zeros((len(edges), dimension), np.int64) if self.shifts is None else np.asarray(self.shifts, np.int64)
        )
        if len(edges) and not (edges.min() >= 0 and edges.max() < len(positions_A)):
            raise StructureError(
                "bonds of a bond graph",
                f"indices {edges.min()} to {edges.max()}",
                f"0 to {len(positions_A) - 1}",
            )
        if (edges[:, 0] >= edges[:, 1]).any() and self.cell_A is None:
            raise StructureError("bonds of a bond graph", "an atom bonded to itself or to a smaller index", "i < j")
        if shifts.shape != (len(edges), dimension):
            raise StructureError("shifts of a bond graph", f"shape {shifts.shape}", f"({len(edges)}, {dimension})")
        if self.cell_A is not None and np.shape(self.cell_A) != (dimension, dimension):
            raise StructureError(
                "cell of a bond graph", f"shape {np.shape(self.cell_A)}", f"({dimension}, {dimension})"
            )
        for name, value in (
            ("positions_A", positions_A),
            ("species", species),
            ("edges", edges),
            ("shifts", shifts),
        ):
            object.__setattr__(self, name, value)

    def __len__(self) -> int:
        return len(self.positions_A)

    @cached_property
    def coordination(self) -> np.ndarray:
        """Number of bonds of each atom, with shape (n_atoms,), int64."""
        return np.bincount(self.edges.ravel(), minlength=len(self))

    @cached_property
    def vectors_A(self) -> np.ndarray:
        """From the first to the second atom of each bond [Å], with shape (n_bonds, 2 or 3), float64."""
        vectors_A = self.positions_A[self.edges[:, 1]] - self.positions_A[self.edges[:, 0]]
        return vectors_A if self.cell_A is None else vectors_A + self.shifts @ np.asarray(self.cell_A)

    @cached_property
    def lengths_A(self) -> np.ndarray:
        """Length of each bond [Å], with shape (n_bonds,), float64."""
        return np.linalg.norm(self.vectors_A, axis=1)

    @cached_property
    def adjacency(self) -> tuple[np.ndarray, np.ndarray]:
        """Starts (n_atoms + 1,) and neighbours (2 n_bonds,) in compressed rows, neighbours ascending."""
        ends = np.concatenate([self.edges, self.edges[:, ::-1]])
        ends = ends[np.lexsort((ends[:, 1], ends[:, 0]))]
        starts = np.concatenate([[0], np.cumsum(self.coordination)])
        return starts, np.ascontiguousarray(ends[:, 1])

    def neighbours(self, atom: int) -> np.ndarray:
        """Return the indices of the atoms bonded to `atom`, ascending, int64."""
        starts, neighbours = self.adjacency
        return neighbours[starts[atom] : starts[atom + 1]]


def bond_graph(positions_A: np.ndarray, species: np.ndarray, cell_A: np.ndarray | None = None) -> BondGraph:
    """Bonds by distance; where bonds cross or an atom has too many, the relatively longest go.

    Bonds are compared by their length over the cut-off of their pair. Crossings are looked for in two
    dimensions only.

    Parameters
    ----------
    positions_A
        Positions [Å], with shape (n_atoms, 2) or (n_atoms, 3), float64.
    species
        Chemical symbols, with shape (n_atoms,), str.
    cell_A
        Row vectors of a cell that repeats in all directions [Å], with shape (2, 2) or (3, 3).

    Returns
    -------
    BondGraph
        With at most `MAX_COORDINATION` bonds per atom.

    Raises
    ------
    StructureError
        Shapes that do not fit, or a species that is no chemical symbol.
    """
    atoms = BondGraph(positions_A, species, np.empty((0, 2)), cell_A)
    symbols, kind = np.unique(atoms.species, return_inverse=True)
    unknown = [symbol for symbol in symbols if symbol not in atomic_numbers]
    if unknown:
        raise StructureError("species of a bond graph", unknown[0], "a chemical symbol such as C or Si")
    cutoffs_A = np.array([[bond_cutoff_A(a, b) for b in symbols] for a in symbols]).reshape(len(symbols), len(symbols))
    if len(atoms) < 2 and cell_A is None:
        return atoms
    near, shifts = _candidates(atoms, float(cutoffs_A.max()))
    reached = BondGraph(atoms.positions_A, atoms.species, near, cell_A, shifts)
    ratio = reached.lengths_A / cutoffs_A[kind[near[:, 0]], kind[near[:, 1]]]
    short = ratio <= 1.0
    candidates, ratio = BondGraph(atoms.positions_A, atoms.species, near[short], cell_A, shifts[short]), ratio[short]
    kept = np.ones(len(ratio), bool)
    if atoms.positions_A.shape[1] == 2:
        kept = ~_longest_of_crossing(candidates, ratio)
    limit = np.array([MAX_COORDINATION.get(symbol, _OTHER_COORDINATION) for symbol in symbols], np.int64)[kind]
    _drop_excess(candidates.edges, ratio, limit, kept)
    return BondGraph(atoms.positions_A, atoms.species, candidates.edges[kept], cell_A, shifts[short][kept])


def _candidates(atoms: BondGraph, cutoff_A: float) -> tuple[np.ndarray, np.ndarray]:
    """Pairs up to the longest cut-off: edges (m, 2) sorted, each once, and shifts (m, 2 or 3)."""
    dimension = atoms.positions_A.shape[1]
    if atoms.cell_A is None:
        edges = cKDTree(atoms.positions_A).query_pairs(cutoff_A, output_type="ndarray").astype(np.int64)
        edges = np.sort(edges, axis=1)
        return edges[np.lexsort((edges[:, 1], edges[:, 0]))], np.zeros((len(edges), dimension), np.int64)
    cell_A, positions_A = np.eye(3) * 10.0 * cutoff_A, np.zeros((len(atoms), 3))
    cell_A[:dimension, :dimension], positions_A[:, :dimension] = atoms.cell_A, atoms.positions_A
    i, j, shift = primitive_neighbor_list("ijS", [axis < dimension for axis in range(3)], cell_A, positions_A, cutoff_A)
    shift = shift[:, :dimension]
    # Of the two directions of a bond keep i < j; of an atom's bonds to its own images, the positive shift.
    sign = np.sign(shift @ np.array([1_000_000, 1_000, 1][:dimension]))
    once = (i < j) | ((i == j) & (sign > 0))
    order = np.lexsort((*shift[once].T, j[once], i[once]))
    return np.column_stack([i[once], j[once]])[order].astype(np.int64), shift[once][order].astype(np.int64)


def crossing_bonds(graph: BondGraph) -> np.ndarray:
    """Pairs of bonds that cross in the plane without sharing an atom, with shape (n_pairs, 2), int64.

    Only the first two coordinates count; bonds over the edge of a periodic cell are drawn from their first
    atom.
    """
    if len(graph.edges) < 2:
        return np.empty((0, 2), np.int64)
    start, vector = graph.positions_A[graph.edges[:, 0], :2], graph.vectors_A[:, :2]
    pairs = cKDTree(start + vector / 2).query_pairs(float(graph.lengths_A.max()), output_type="ndarray")
    a, b = pairs[:, 0], pairs[:, 1]
    shared = (graph.edges[a][:, :, None] == graph.edges[b][:, None, :]).any(axis=(1, 2))
    a, b = a[~shared], b[~shared]

    def cross(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        return u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]

    between = start[b] - start[a]
    across_a = cross(vector[a], between) * cross(vector[a], between + vector[b]) < 0
    across_b = cross(vector[b], -between) * cross(vector[b], vector[a] - between) < 0
    return np.sort(np.column_stack([a, b])[across_a & across_b], axis=1)


def _longest_of_crossing(graph: BondGraph, ratio: np.ndarray) -> np.ndarray:
    """Mask (n_bonds,) of bonds that cross a relatively shorter one that stays."""
    dropped = np.zeros(len(ratio), bool)
    crossed: dict[int, list[int]] = {}
    for a, b in crossing_bonds(graph).tolist():
        crossed.setdefault(a, []).append(b)
        crossed.setdefault(b, []).append(a)
    for bond in sorted(crossed, key=lambda bond: (ratio[bond], bond)):
        if not dropped[bond]:
            dropped[crossed[bond]] = True
    return dropped


@numba.njit(cache=True)
def _drop_excess(edges, ratio, limit, kept):  # type: ignore[no-untyped-def]
    """Take bonds from the relatively longest on while one of their atoms has more than its limit."""
    count = np.zeros(len(limit), np.int64)
    for bond in range(len(edges)):
        if kept[bond]:
            count[edges[bond, 0]] += 1
            count[edges[bond, 1]] += 1
    for bond in np.argsort(-ratio):
        i, j = edges[bond]
        if kept[bond] and (count[i] > limit[i] or count[j] > limit[j]):
            kept[bond] = False
            count[i] -= 1
            count[j] -= 1
