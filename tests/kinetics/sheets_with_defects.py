"""Sheets with one defect, shared by the tests of this folder."""

from collections.abc import Callable

import numpy as np

from hpcstem.atoms import AtomTable
from hpcstem.structure.bonds import BondGraph, bond_graph
from hpcstem.structure.defects_library import (
    atom_near,
    double_vacancy,
    hexagon_at,
    silicon_on_four,
    silicon_on_three,
    silicon_trimer,
    single_vacancy,
    stone_wales,
)
from hpcstem.structure.graphene import graphene_sheet

SIDE_A = 34.0


def sheet_with(make: Callable[[BondGraph, int], BondGraph] | None, rotation_rad: float = 0.3) -> BondGraph:
    """Sheet with a defect of the library at its middle; of `DEFECTS`."""
    atoms = graphene_sheet(SIDE_A, SIDE_A, rotation_rad)
    sheet = bond_graph(atoms.positions[:, :2], np.array(atoms.get_chemical_symbols()))
    middle = atom_near(sheet, np.array([SIDE_A, SIDE_A]) / 2.0)
    if make is None:
        return sheet
    if make in (silicon_on_three, single_vacancy):
        return make(sheet, middle)
    if make is silicon_trimer:
        return silicon_trimer(sheet, hexagon_at(sheet, middle))
    return make(sheet, int(np.flatnonzero((sheet.edges == middle).any(axis=1))[0]))


DEFECTS = {
    "single vacancy": single_vacancy,
    "double vacancy 5-8-5": double_vacancy,
    "Stone-Wales 5-7-7-5": stone_wales,
    "Si on three neighbours": silicon_on_three,
    "Si on four neighbours": silicon_on_four,
    "Si cluster": silicon_trimer,
}


def frame_of(sheet: BondGraph, frame: int = 0, noise_A: float = 0.0, seed: int = 0, movie: str = "m") -> AtomTable:
    n = len(sheet)
    positions_A = sheet.positions_A + np.random.default_rng([seed, frame]).normal(0.0, noise_A, (n, 2))
    return AtomTable(
        movie=np.full(n, movie),
        frame=np.full(n, frame),
        x_px=positions_A[:, 0] / 0.1,
        y_px=positions_A[:, 1] / 0.1,
        x_A=positions_A[:, 0],
        y_A=positions_A[:, 1],
        species=sheet.species,
        probability=np.ones(n),
        detection=np.ones(n),
        sigma_A=np.full(n, noise_A),
        track=np.full(n, -1),
    )
