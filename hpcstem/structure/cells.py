"""Simulation cells from decoded patches: cell, vacuum, hydrogen on two-fold carbon, checks of distances."""

from __future__ import annotations

from collections.abc import Sequence

import ase
import networkx as nx
import numpy as np
from ase.cell import Cell
from ase.data import covalent_radii
from ase.neighborlist import neighbor_list

from hpcstem.errors import StructureError
from hpcstem.structure.bonds import bond_cutoff_A, bond_graph
from hpcstem.structure.rings import find_rings

CH_BOND_A = 1.09
_H_CLASH_A = 1.2
_H_TILTS_DEG = (0.0, 15.0, 30.0, 45.0, 60.0, 75.0)
"""Tried in turn on hydrogen atoms that clash."""
_OVERLAP = 0.5
"""Atoms nearer than this share of the sum of their covalent radii overlap: 0.76 Å for carbon, which leaves room for the
noise of decoded positions."""


def make_cell(
    positions_A: np.ndarray,
    species: np.ndarray,
    cell: Sequence[float] | np.ndarray | None = None,
    periodic: tuple[bool, bool, bool] = (True, True, True),
    vacuum_in_plane_A: float = 8.0,
    vacuum_out_of_plane_A: float = 10.0,
) -> ase.Atoms:
    """Put a flat patch into the middle of a cell and end its cut and hole edges with hydrogen.

    Every carbon with two neighbours (over the cell's periodic directions too) gets one hydrogen at 1.09 Å, in
    the plane along the outward bisector. Hydrogen atoms nearer than 1.2 Å to each other are bent out of the
    plane, in turns up and down.

    Parameters
    ----------
    positions_A
        x and y [Å], with shape (n_atoms, 2), float64.
    species
        Chemical symbols, with shape (n_atoms,), str.
    cell
        Any Bravais cell: 3 lengths [Å], 3 lengths and 3 angles [Å, °], or row vectors with shape (3, 3) [Å].
        If absent, a box that fits the patch with the vacuum on each side.
    periodic
        Directions in which the cell repeats.
    vacuum_in_plane_A, vacuum_out_of_plane_A
        Empty space on each side where no cell is given [Å].

    Returns
    -------
    ase.Atoms
        The patch in the order given, then the hydrogen; the sheet lies at the middle of the cell.

    Raises
    ------
    StructureError
        A cell without volume, a vacuum below zero, atoms that overlap with each other or with images, carbon with
        fewer than two neighbours, or hydrogen that finds no room.
    """
    positions_A, species = np.asarray(positions_A, dtype=float), np.asarray(species, dtype=np.str_)
    if positions_A.ndim != 2 or positions_A.shape[1] != 2 or len(species) != len(positions_A) or not len(species):
        raise StructureError(
            "patch for a cell", f"positions {positions_A.shape}, species {species.shape}", "(n, 2), (n,)"
        )
    low_A, high_A = positions_A.min(axis=0), positions_A.max(axis=0)
    if cell is None:
        for vacuum_A in (vacuum_in_plane_A, vacuum_out_of_plane_A):
            if not 0 <= vacuum_A < np.inf:
                raise StructureError("vacuum around the patch [Å]", vacuum_A, "0 or more")
        lengths_A = [*(high_A - low_A + 2.0 * vacuum_in_plane_A), 2.0 * vacuum_out_of_plane_A]
        box = Cell.new(lengths_A)
    else:
        box = _bravais_cell(cell)
    shift_A = box.array.sum(axis=0) / 2.0 - np.append((low_A + high_A) / 2.0, 0.0)
    placed_A = np.column_stack([positions_A, np.zeros(len(species))]) + shift_A
    sheet = ase.Atoms(species.tolist(), positions=placed_A, cell=box, pbc=periodic)
    check_distances(sheet)
    terminated = _with_hydrogen(sheet)
    check_distances(terminated)
    return terminated


def _bravais_cell(cell: Sequence[float] | np.ndarray) -> Cell:
    wanted = "3 lengths [Å], 3 lengths and 3 angles [Å, °], or 3 × 3 row vectors [Å]"
    values = np.asarray(cell, dtype=float)
    if values.shape not in ((3,), (6,), (3, 3)) or not np.isfinite(values).all():
        raise StructureError("cell", f"shape {values.shape}", wanted)
    if values.shape == (6,) and not ((values[:3] > 0) & (values[3:] > 0) & (values[3:] < 180)).all():
        raise StructureError("cell", values.tolist(), wanted)
    box = Cell.new(values)
    if not np.isfinite(box.array).all() or box.volume < 1e-3:
        raise StructureError("cell", f"volume {box.volume:g} Å³", wanted)
    return box


def check_distances(atoms: ase.Atoms) -> None:
    """Refuse atoms that overlap, over periodic images too.

    Raises
    ------
    StructureError
        Names up to ten pairs nearer than half the sum of their covalent radii, and hydrogen atoms nearer than
        1.2 Å.
    """
    radii_A = covalent_radii[atoms.numbers]
    i, j, distances_A = neighbor_list("ijd", atoms, max(2.0 * _OVERLAP * float(radii_A.max()), _H_CLASH_A))
    limit_A = _OVERLAP * (radii_A[i] + radii_A[j])
    both_hydrogen = (atoms.numbers[i] == 1) & (atoms.numbers[j] == 1)
    limit_A[both_hydrogen] = _H_CLASH_A
    bad = np.flatnonzero((distances_A < limit_A) & (i <= j))
    if len(bad):
        order = bad[np.argsort(distances_A[bad], kind="stable")][:10]
        pairs = ", ".join(
            f"{atoms.symbols[i[k]]}{i[k]}-{atoms.symbols[j[k]]}{j[k]} {distances_A[k]:.2f} Å" for k in order
        )
        raise StructureError(
            f"{len(bad)} pairs of atoms or images overlap", pairs, "a larger cell, or atoms decoded only once"
        )


def perimeter(atoms: ase.Atoms) -> np.ndarray:
    """Find the atoms on the outer edge of a sheet in x and y, with what holds on to them by one bond.

    Edges of holes are not part of it. Atoms that are bound to none, and all parts but the largest, are not either.

    Parameters
    ----------
    atoms
        A sheet whose edges are in its cell.

    Returns
    -------
    numpy.ndarray
        Indices, with shape (n_edge_atoms,), int64, sorted.

    Raises
    ------
    StructureError
        The sheet has no outer edge: it goes on over the cell's boundaries.
    """
    graph = bond_graph(atoms.positions[:, :2], np.array(atoms.get_chemical_symbols()))
    rims = find_rings(graph).rims
    images_A = atoms.cell.array * np.where(atoms.pbc, 1.0, 2.0)[:, None]
    n_across = len(bond_graph(atoms.positions, graph.species, images_A).edges) if atoms.cell.rank == 3 else 0
    if not rims or n_across > len(graph.edges):
        raise StructureError("outer edge of the sheet", "none within the cell", "a patch with vacuum around it")
    edge = np.unique(max(rims, key=len))
    ends = np.concatenate([graph.edges, graph.edges[:, ::-1]])
    hanging = ends[np.isin(ends[:, 0], edge) & (graph.coordination[ends[:, 1]] == 1), 1]
    return np.union1d(edge, hanging)


def _with_hydrogen(sheet: ase.Atoms) -> ase.Atoms:
    """Return the sheet with one hydrogen on each two-fold carbon."""
    # Twice as long, a direction that does not repeat brings no image near; longer still would only cost time.
    images_A = sheet.cell.array * np.where(sheet.pbc, 1.0, 2.0)[:, None]
    graph = bond_graph(sheet.positions, np.array(sheet.get_chemical_symbols()), images_A)
    is_carbon = graph.species == "C"
    loose = np.flatnonzero(is_carbon & (graph.coordination < 2))
    if len(loose):
        raise StructureError(
            f"carbon {loose[0]} of the patch",
            f"{graph.coordination[loose[0]]} neighbours",
            "2 or more; take dangling atoms off first",
        )
    carbons = np.flatnonzero(is_carbon & (graph.coordination == 2))
    if not len(carbons):
        return sheet
    ends, vectors_A = graph.edges.T.ravel(), np.concatenate([graph.vectors_A, -graph.vectors_A])
    outward = np.array([_outward(vectors_A[ends == carbon]) for carbon in carbons])
    clashes = nx.Graph()
    for tilt_deg in _H_TILTS_DEG:
        hydrogens = _hydrogens(sheet, carbons, outward, _tilts_deg(len(carbons), clashes, tilt_deg))
        clashing = _clashes(sheet, hydrogens, carbons)
        if not len(clashing):
            return sheet + hydrogens
        clashes.add_edges_from(clashing.tolist())
    raise StructureError(
        "hydrogen",
        f"no room for it on carbons {[int(carbons[k]) for k in sorted(clashes)][:10]}",
        "fewer two-fold carbons side by side",
    )


def _clashes(sheet: ase.Atoms, hydrogens: ase.Atoms, carbons: np.ndarray) -> np.ndarray:
    """Pairs (n, 2) of hydrogen atoms nearer than 1.2 Å, and hydrogen atoms twice that near a second carbon."""
    n = len(sheet)
    i, j, distances_A = neighbor_list("ijd", sheet + hydrogens, bond_cutoff_A("C", "H"))
    two_hydrogens = (i >= n) & (j >= n) & (distances_A < _H_CLASH_A)
    strange = (i >= n) & (j < n)
    strange[strange] = carbons[i[strange] - n] != j[strange]
    return np.concatenate(
        [np.column_stack([i, j])[two_hydrogens] - n, np.column_stack([i[strange] - n, i[strange] - n])]
    )


def _outward(vectors_A: np.ndarray) -> np.ndarray:
    """Unit vector (3,) in the plane, opposite to the sum of the directions to both neighbours."""
    directions = vectors_A / np.linalg.norm(vectors_A, axis=1)[:, None]
    bisector = -directions.sum(axis=0)
    length = np.linalg.norm(bisector)
    if length > 1e-3:
        return bisector / length
    return np.array([-directions[0, 1], directions[0, 0], 0.0])


def _hydrogens(sheet: ase.Atoms, carbons: np.ndarray, outward: np.ndarray, tilts_deg: np.ndarray) -> ase.Atoms:
    """Hydrogen on each carbon, turned out of the plane by its tilt."""
    tilts_rad = np.radians(tilts_deg)
    directions = outward * np.cos(tilts_rad)[:, None]
    directions[:, 2] += np.sin(tilts_rad)
    positions_A = sheet.positions[carbons] + CH_BOND_A * directions
    return ase.Atoms("H" * len(carbons), positions=positions_A, cell=sheet.cell, pbc=sheet.pbc)


def _tilts_deg(n_hydrogens: int, clashes: nx.Graph, tilt_deg: float) -> np.ndarray:
    """Tilt of each hydrogen (n_hydrogens,): of those that clash by `tilt_deg`, neighbours in turns up and down."""
    tilts_deg = np.zeros(n_hydrogens)
    for cluster in nx.connected_components(clashes):
        for turn, hydrogen in enumerate(nx.bfs_tree(clashes, min(cluster))):
            tilts_deg[hydrogen] = tilt_deg if turn % 2 == 0 else -tilt_deg
    return tilts_deg
