import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sheets import bond_at, perfect_sheet, periodic_sheet

from hpcstem.errors import StructureError
from hpcstem.structure.bonds import MAX_COORDINATION, BondGraph, bond_cutoff_A, bond_graph, crossing_bonds
from hpcstem.structure.defects_library import silicon_on_four


def test_sheet_has_three_bonds_of_one_length():
    sheet = perfect_sheet()
    inside = (np.abs(sheet.positions_A - 20.0) < 17.0).all(axis=1)
    assert (sheet.coordination[inside] == 3).all()
    np.testing.assert_allclose(sheet.lengths_A, 1.42, atol=1e-9)
    atom = int(np.flatnonzero(inside)[0])
    assert len(sheet.neighbours(atom)) == 3
    assert all(atom in sheet.neighbours(other) for other in sheet.neighbours(atom))


@pytest.mark.parametrize("dimension", [2, 3])
def test_periodic_sheet_has_three_bonds_everywhere(dimension):
    positions_A, cell_A = periodic_sheet(4, 3)
    if dimension == 3:
        positions_A = np.column_stack([positions_A, np.zeros(len(positions_A))])
        cell_A = np.block([[cell_A, np.zeros((2, 1))], [np.zeros((1, 2)), np.array([[15.0]])]])
    graph = bond_graph(positions_A, np.full(len(positions_A), "C"), cell_A)
    assert (graph.coordination == 3).all()
    np.testing.assert_allclose(graph.lengths_A, 1.42, atol=1e-9)


@given(seed=st.integers(0, 10_000), n=st.integers(2, 60))
@settings(max_examples=60)
def test_random_atoms_keep_the_rules(seed, n):
    rng = np.random.default_rng(seed)
    positions_A, species = rng.uniform(0.0, 9.0, (n, 2)), rng.choice(["C", "Si"], n)
    graph = bond_graph(positions_A, species)
    cutoffs_A = [bond_cutoff_A(species[i], species[j]) for i, j in graph.edges]
    assert (graph.lengths_A <= cutoffs_A).all()
    assert all(graph.coordination[k] <= MAX_COORDINATION[species[k]] for k in range(n))
    assert len(crossing_bonds(graph)) == 0
    # The same atoms in another order have the same bonds.
    order = rng.permutation(n)
    shuffled = bond_graph(positions_A[order], species[order])
    assert {frozenset(order[list(e)].tolist()) for e in shuffled.edges} == {frozenset(e.tolist()) for e in graph.edges}


def test_crossings_are_found_and_the_longer_goes():
    square_A = np.array([[0.0, 0.0], [1.4, 1.3], [0.0, 1.3], [1.5, 0.0]])
    drawn = BondGraph(square_A, np.full(4, "C"), [[0, 1], [2, 3]])
    assert crossing_bonds(drawn).tolist() == [[0, 1]]
    edges = {tuple(edge) for edge in bond_graph(square_A, np.full(4, "C")).edges.tolist()}
    assert (0, 1) in edges
    assert (2, 3) not in edges


def test_silicon_has_its_own_cutoffs():
    sheet = perfect_sheet()
    with_silicon = silicon_on_four(sheet, bond_at(sheet, (20.0, 20.0)))
    graph = bond_graph(with_silicon.positions_A, with_silicon.species)
    assert graph.coordination[graph.species == "Si"].tolist() == [4]
    assert bond_cutoff_A("Si", "C") == bond_cutoff_A("C", "Si")
    assert bond_cutoff_A("C", "N") == pytest.approx(1.25 * (0.76 + 0.71))


def test_noise_of_a_tenth_of_an_angstrom_breaks_few_bonds():
    sheet = perfect_sheet(60.0)
    rng = np.random.default_rng(0)
    noisy = bond_graph(sheet.positions_A + rng.normal(0.0, 0.1, sheet.positions_A.shape), sheet.species)
    true, found = ({tuple(edge) for edge in graph.edges.tolist()} for graph in (sheet, noisy))
    assert len(true ^ found) <= 2e-3 * len(true)


def test_bad_input_is_named():
    with pytest.raises(StructureError, match="finite"):
        bond_graph(np.array([[0.0, np.nan]]), np.array(["C"]))
    with pytest.raises(StructureError, match="Xx"):
        bond_graph(np.zeros((2, 2)), np.array(["C", "Xx"]))
    with pytest.raises(StructureError, match="indices"):
        BondGraph(np.zeros((2, 2)), np.array(["C", "C"]), [[0, 5]])
    with pytest.raises(StructureError, match="species"):
        BondGraph(np.zeros((2, 2)), np.array(["C"]), [[0, 1]])
    assert len(bond_graph(np.zeros((0, 2)), np.array([], dtype=str)).edges) == 0


@pytest.mark.real
def test_polycrystal_has_the_bonds_its_authors_list(shared_data):
    lines = (shared_data / "coordinates/3200-625eV.data").read_text().splitlines()
    rows = [line.split() for line in lines[4:] if line.strip()]
    positions_A = np.array([row[1:3] for row in rows if len(row) == 4], float)
    listed = {tuple(sorted(map(int, row[1:]))) for row in rows if len(row) == 3}
    graph = bond_graph(positions_A, np.full(len(positions_A), "C"), np.diag([float(lines[0]), float(lines[1])]))
    assert {tuple(sorted(edge)) for edge in graph.edges.tolist()} == listed
