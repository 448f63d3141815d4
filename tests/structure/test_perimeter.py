import numpy as np
import pytest
from ase import Atoms
from ase.build import graphene

from hpcstem.errors import StructureError
from hpcstem.structure.cells import make_cell, perimeter


def flake(radius_A: float, hole_A: float = 0.0) -> Atoms:
    """A round patch of graphene ended by hydrogen, with a round hole in its middle."""
    basis = 1.42 * np.array([[np.sqrt(3), 0], [np.sqrt(3) / 2, 1.5]])
    cells = np.array([[i, j] for i in range(-9, 10) for j in range(-9, 10)]) @ basis
    up = 1.42 * np.eye(2)[1]
    sites = np.concatenate([cells + up, cells - up])
    distances = np.linalg.norm(sites, axis=1)
    sites = sites[(distances < radius_A) & (distances >= hole_A)]
    return make_cell(sites, np.array(["C"] * len(sites)))


def from_middle_A(atoms: Atoms) -> np.ndarray:
    """Distance of each atom from the middle of the cell in the plane."""
    return np.linalg.norm(atoms.positions[:, :2] - atoms.cell.array.sum(axis=0)[:2] / 2, axis=1)


def test_the_edge_of_a_hole_is_not_the_outer_edge():
    whole, holed = flake(8.1), flake(8.1, hole_A=2.0)
    outer = perimeter(holed)
    assert from_middle_A(holed)[outer].min() > 5.5
    hydrogen = np.flatnonzero(holed.numbers == 1)
    inner_hydrogen = hydrogen[from_middle_A(holed)[hydrogen] < 4]
    assert len(inner_hydrogen) == 6
    assert set(hydrogen) - set(outer) == set(inner_hydrogen)
    assert len(outer) == len(perimeter(whole))


def test_what_lies_beside_the_sheet_is_not_its_edge():
    sheet = flake(5.1)
    beside = Atoms("CO", sheet.positions[0] + np.array([[0, 0, 3.0], [0, 0, 4.13]]), cell=sheet.cell, pbc=sheet.pbc)
    beside.positions[:, :2] = 1.0
    assert (perimeter(sheet + beside) == perimeter(sheet)).all()


def test_a_sheet_that_goes_on_over_the_cell_has_no_outer_edge():
    sheet = graphene(size=(4, 4, 1), vacuum=8)
    sheet.pbc = True
    with pytest.raises(StructureError, match="none within the cell"):
        perimeter(sheet)
