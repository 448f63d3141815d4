import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from hpcstem.errors import StructureError
from hpcstem.structure.bonds import BondGraph, bond_graph
from hpcstem.structure.building import MARGIN_A, random_graphene
from hpcstem.structure.defects_library import (
    atom_near,
    double_vacancy,
    hexagon_at,
    hole,
    silicon_on_four,
    silicon_on_three,
    silicon_trimer,
    single_vacancy,
    stone_wales,
)
from hpcstem.structure.grain_boundary import grain_boundary
from hpcstem.structure.graphene import CC_BOND_A, graphene_sheet

CENTRE_A = np.array([20.0, 20.0])
ATOMS_PER_A2 = 4.0 / (3.0 * np.sqrt(3.0) * CC_BOND_A**2)


@pytest.fixture(scope="module")
def sheet() -> BondGraph:
    atoms = graphene_sheet(40.0, 40.0, 0.3)
    return bond_graph(atoms.positions[:, :2], np.array(atoms.get_chemical_symbols()))


def a_bond(sheet: BondGraph) -> int:
    return int(np.flatnonzero((sheet.edges == atom_near(sheet, CENTRE_A)).any(axis=1))[0])


def lengths_A(sheet: BondGraph, silicon: int) -> np.ndarray:
    """Lengths of the bonds that have so many silicon ends."""
    return sheet.lengths_A[(sheet.species == "Si")[sheet.edges].sum(axis=1) == silicon]


@given(
    width_A=st.floats(5.0, 40.0),
    height_A=st.floats(5.0, 40.0),
    angle_rad=st.floats(0.0, 7.0),
    seed=st.integers(0, 99),
)
@settings(max_examples=30)
def test_sheet_has_density_and_bonds_of_graphene(width_A, height_A, angle_rad, seed):
    atoms = graphene_sheet(width_A, height_A, angle_rad, rng=np.random.default_rng(seed))
    expected = width_A * height_A * ATOMS_PER_A2
    assert abs(len(atoms) - expected) < 3.0 * (width_A + height_A) * ATOMS_PER_A2
    assert not atoms.pbc.any()
    distances_A = cKDTree(atoms.positions).query(atoms.positions, 2)[0][:, 1]
    inside = (np.abs(atoms.positions[:, :2] - [width_A / 2, height_A / 2]) < [width_A / 2 - 2, height_A / 2 - 2]).all(1)
    np.testing.assert_allclose(distances_A[inside], CC_BOND_A, atol=1e-9)


def test_strain_stretches_the_sheet():
    atoms = graphene_sheet(30.0, 30.0, strain=(0.1, 0.0, 0.0))
    assert len(atoms) == pytest.approx(900.0 * ATOMS_PER_A2 / 1.1, rel=0.05)
    with pytest.raises(StructureError, match="strain"):
        graphene_sheet(30.0, 30.0, strain=(0.5, 0.0, 0.0))
    with pytest.raises(StructureError, match="positive"):
        graphene_sheet(0.0, 30.0)


def test_vacancies_close_pentagons(sheet):
    single, double = single_vacancy(sheet, atom_near(sheet, CENTRE_A)), double_vacancy(sheet, a_bond(sheet))
    assert (len(sheet) - len(single), len(sheet) - len(double)) == (1, 2)
    inner = np.linalg.norm(single.positions_A - CENTRE_A, axis=1) < 6.0
    assert (single.coordination[inner] == 2).sum() == 1
    inner = np.linalg.norm(double.positions_A - CENTRE_A, axis=1) < 6.0
    assert (double.coordination[inner] == 3).all()
    # The closing bonds of 5-8-5 stay long, 1.5 to 1.8 Å in first-principles work too.
    assert 1.34 < double.lengths_A.min() < 1.42
    assert 1.5 < double.lengths_A.max() < 1.8


def test_stone_wales_keeps_atoms_and_shortens_the_turned_bond(sheet):
    turned = stone_wales(sheet, a_bond(sheet))
    assert len(turned) == len(sheet)
    assert len(turned.edges) == len(sheet.edges)
    # First-principles flat Stone-Wales: 1.32 Å.
    assert turned.lengths_A.min() == pytest.approx(1.32, abs=0.02)
    assert turned.lengths_A.max() < 1.5


def test_silicon_pushes_its_neighbours_outward(sheet):
    on_three = silicon_on_three(sheet, atom_near(sheet, CENTRE_A))
    assert lengths_A(on_three, 1) == pytest.approx(np.full(3, 1.624), abs=0.02)
    on_four = silicon_on_four(sheet, a_bond(sheet))
    assert lengths_A(on_four, 1) == pytest.approx(np.full(4, 1.88), abs=0.08)
    trimer = silicon_trimer(sheet, hexagon_at(sheet, atom_near(sheet, CENTRE_A)))
    assert lengths_A(trimer, 1) == pytest.approx(np.full(6, 1.85), abs=0.08)
    assert lengths_A(trimer, 2) == pytest.approx(np.full(3, 2.25), abs=0.07)
    assert (trimer.coordination[trimer.species == "Si"] == 4).all()


@pytest.mark.real
def test_silicon_agrees_with_first_principles_and_with_the_observed_trimer(sheet, shared_data):
    """Si on three carbons against DFT, the trimer against 44 real frames."""
    first_principles = np.load(shared_data / "coordinates/Si1C3_strain_dft.npz")
    assert len(first_principles.files) > 0
    on_three = silicon_on_three(sheet, atom_near(sheet, CENTRE_A))
    assert lengths_A(on_three, 1).mean() == pytest.approx(1.624, abs=0.02)
    movie = np.load(shared_data / "stem/graphene-si/Si3C6_trimer_movie.npz")
    silicon_A = movie["si_xy"] * float(movie["pixel_size_angstrom"])
    observed_A = np.linalg.norm(silicon_A - np.roll(silicon_A, 1, axis=1), axis=2)
    trimer = silicon_trimer(sheet, hexagon_at(sheet, atom_near(sheet, CENTRE_A)))
    assert abs(lengths_A(trimer, 2).mean() - np.median(observed_A)) < np.std(observed_A)


def test_hole_leaves_no_dangling_atom(sheet):
    pierced = hole(sheet, CENTRE_A, 5.0)
    assert np.linalg.norm(pierced.positions_A - CENTRE_A, axis=1).min() >= 5.0
    assert pierced.coordination.min() >= 2


def test_defect_on_a_site_that_has_no_three_bonds_is_refused(sheet):
    corner = atom_near(sheet, np.zeros(2))
    with pytest.raises(StructureError, match="three bonds"):
        single_vacancy(sheet, corner)


@pytest.mark.parametrize("seed", range(8))
def test_grain_boundary_has_three_bonds_everywhere_inside(seed):
    rng = np.random.default_rng(seed)
    corners_A = np.array([[0.0, 0.0], [40.0, 40.0]])
    sheet = grain_boundary(corners_A, CENTRE_A, rng.uniform(0, np.pi), tuple(rng.uniform(0, np.pi / 3, 2)))
    inner = (np.abs(sheet.positions_A - CENTRE_A) < 16.0).all(axis=1)
    assert (sheet.coordination[inner] == 3).all()
    assert inner.sum() == pytest.approx(32.0**2 * ATOMS_PER_A2, rel=0.06)
    assert sheet.lengths_A.min() > 1.2
    assert sheet.lengths_A.max() < 1.75


@pytest.mark.parametrize("seed", range(40))
def test_random_sheet_is_sane_and_reproducible(seed):
    positions_A, species = random_graphene(40.0, 30.0, np.random.default_rng(seed))
    again_A, again = random_graphene(40.0, 30.0, np.random.default_rng(seed))
    np.testing.assert_array_equal(positions_A, again_A)
    np.testing.assert_array_equal(species, again)
    assert set(species) <= {"C", "Si"}
    assert (positions_A >= -MARGIN_A).all()
    assert (positions_A <= np.array([40.0, 30.0]) + MARGIN_A).all()
    assert cKDTree(positions_A).query(positions_A, 2)[0][:, 1].min() > 1.15


def test_random_sheets_cover_the_field_in_most_draws_and_hold_all_kinds():
    drawn = [random_graphene(40.0, 40.0, np.random.default_rng(seed)) for seed in range(60)]
    points_A = np.stack(np.meshgrid(np.arange(41.0), np.arange(41.0)), -1).reshape(-1, 2)
    empty = [(cKDTree(positions_A).query(points_A)[0] > 3.2).any() for positions_A, _ in drawn]
    assert 0.05 < np.mean(empty) < 0.45, "holes and edges are in some sheets"
    with_silicon = np.mean([(species == "Si").any() for _, species in drawn])
    assert 0.5 < with_silicon < 0.98
