"""Sheets and tables of known structure, shared by the tests of this folder."""

import numpy as np

from hpcstem.atoms import AtomTable
from hpcstem.structure.bonds import BondGraph, bond_graph
from hpcstem.structure.defects_library import atom_near
from hpcstem.structure.graphene import CC_BOND_A, graphene_sheet


def perfect_sheet(side_A: float = 40.0, rotation_rad: float = 0.3) -> BondGraph:
    atoms = graphene_sheet(side_A, side_A, rotation_rad)
    return bond_graph(atoms.positions[:, :2], np.array(atoms.get_chemical_symbols()))


def bond_at(sheet: BondGraph, point_A: tuple[float, float]) -> int:
    """Index of a bond of the atom nearest to a point."""
    atom = atom_near(sheet, np.array(point_A))
    return int(np.flatnonzero((sheet.edges == atom).any(axis=1))[0])


def periodic_sheet(n_x: int, n_y: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions and cell of n_x × n_y rectangular cells of four atoms."""
    cell_A = CC_BOND_A * np.array([np.sqrt(3.0), 3.0])
    basis = np.array([[0.0, 0.0], [0.5, 1 / 6], [0.5, 0.5], [0.0, 2 / 3]])
    cells = np.stack(np.meshgrid(np.arange(n_x), np.arange(n_y), indexing="ij"), -1).reshape(-1, 1, 2)
    return ((cells + basis) * cell_A).reshape(-1, 2), np.diag(cell_A * [n_x, n_y])


def table_of(positions_A, species, frame=0, probability=1.0, sigma_A=0.05, movie="m") -> AtomTable:
    n = len(positions_A)
    return AtomTable(
        movie=np.full(n, movie),
        frame=np.broadcast_to(frame, n),
        x_px=positions_A[:, 0] / 0.1,
        y_px=positions_A[:, 1] / 0.1,
        x_A=positions_A[:, 0],
        y_A=positions_A[:, 1],
        species=species,
        probability=np.broadcast_to(probability, n),
        detection=np.ones(n),
        sigma_A=np.full(n, sigma_A),
        track=np.full(n, -1),
    )
