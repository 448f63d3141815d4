from itertools import pairwise

import ase
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sheets import bond_at, perfect_sheet, periodic_sheet

from hpcstem.structure.bonds import BondGraph, bond_graph
from hpcstem.structure.building import random_graphene
from hpcstem.structure.defects_library import (
    atom_near,
    double_vacancy,
    hexagon_at,
    hole,
    single_vacancy,
    stone_wales,
    without_atoms,
)
from hpcstem.structure.rings import LARGEST_RING, find_rings
from hpcstem.structure.shortest_path_rings import shortest_path_rings

CENTRE_A = np.array([20.0, 20.0])


def ring_sets(atoms, starts):
    return {frozenset(atoms[a:b].tolist()) for a, b in pairwise(starts)}


def odd_counts(rings):
    sizes, counts = np.unique(rings.sizes[rings.sizes != 6], return_counts=True)
    return dict(zip(sizes.tolist(), counts.tolist(), strict=True))


def test_named_defects_have_their_rings():
    sheet = perfect_sheet()
    atom, bond = atom_near(sheet, CENTRE_A), bond_at(sheet, (20.0, 20.0))
    assert odd_counts(find_rings(sheet)) == {}
    assert odd_counts(find_rings(single_vacancy(sheet, atom))) == {5: 1, 9: 1}
    assert odd_counts(find_rings(double_vacancy(sheet, bond))) == {5: 2, 8: 1}
    assert odd_counts(find_rings(stone_wales(sheet, bond))) == {5: 2, 7: 2}
    assert odd_counts(find_rings(without_atoms(sheet, np.array([atom])))) == {12: 1}
    assert find_rings(stone_wales(sheet, bond)).counts() == {5: 2, 6: len(find_rings(sheet)) - 4, 7: 2, 8: 0}


def test_hole_and_rim_are_not_rings():
    rings = find_rings(hole(perfect_sheet(), CENTRE_A, 5.0))
    assert rings.planar
    assert [len(members) > LARGEST_RING for members in rings.holes] == [True]
    assert len(rings.rims) == 1
    assert rings.sizes.max() == 6


@given(seed=st.integers(0, 10_000))
@settings(max_examples=25)
def test_faces_are_the_shortest_path_rings_of_random_sheets(seed):
    graph = bond_graph(*random_graphene(25.0, 25.0, np.random.default_rng(seed)))
    rings = find_rings(graph)
    assert rings.planar
    shortest = ring_sets(*shortest_path_rings(graph, LARGEST_RING))
    faces = ring_sets(rings.atoms, rings.starts)
    # A face is no shortest-path ring only where a path through a neighbouring small ring cuts it short.
    assert len(faces ^ shortest) <= 0.01 * len(faces)
    bonded = {frozenset(edge) for edge in graph.edges.tolist()}
    for ring in range(len(rings)):
        members = rings[ring].tolist()
        assert all(frozenset(pair) in bonded for pair in pairwise([*members, members[0]]))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_intact_sheets_agree_with_matscipy(seed):
    ring_statistics = pytest.importorskip("matscipy.rings", reason="matscipy is the reference").ring_statistics
    rng = np.random.default_rng(seed)
    graph = perfect_sheet(45.0, rng.uniform(0.0, 1.0))
    for _ in range(6):
        graph = stone_wales(graph, bond_at(graph, tuple(rng.uniform(8.0, 37.0, 2))))
    positions_A = np.column_stack([graph.positions_A, np.zeros(len(graph))])
    atoms = ase.Atoms("C" * len(graph), positions=positions_A, cell=[99.0, 99.0, 99.0])
    reference = ring_statistics(atoms, 1.7, maxlength=LARGEST_RING)
    counts = np.bincount(find_rings(graph).sizes, minlength=len(reference))
    assert counts[: len(reference)].tolist() == reference.tolist()
    assert counts[5] > 0


@pytest.mark.parametrize("dimension", [2, 3])
def test_periodic_sheet_has_half_as_many_rings_as_atoms(dimension):
    positions_A, cell_A = periodic_sheet(8, 5)
    if dimension == 3:
        positions_A = np.column_stack([positions_A, np.zeros(len(positions_A))])
        cell_A = np.block([[cell_A, np.zeros((2, 1))], [np.zeros((1, 2)), np.array([[15.0]])]])
    rings = find_rings(bond_graph(positions_A, np.full(len(positions_A), "C"), cell_A))
    assert rings.planar == (dimension == 2)
    assert rings.counts() == {5: 0, 6: len(positions_A) // 2, 7: 0, 8: 0}
    assert rings.holes == ()


def test_periodic_hole_is_a_hole():
    positions_A, cell_A = periodic_sheet(10, 6)
    outside = np.linalg.norm(positions_A - positions_A.mean(axis=0), axis=1) > 4.0
    rings = find_rings(bond_graph(positions_A[outside], np.full(outside.sum(), "C"), cell_A))
    assert rings.planar
    assert len(rings.holes) == 1
    assert set(rings.sizes.tolist()) == {6}


def test_crossing_bonds_fall_back_to_shortest_paths():
    sheet = perfect_sheet(25.0)
    whole = find_rings(sheet)
    hexagon = hexagon_at(sheet, atom_near(sheet, np.array([12.0, 12.0])))
    diagonals = [sorted((hexagon[0], hexagon[3])), sorted((hexagon[1], hexagon[4]))]
    crossed = np.vstack([sheet.edges, diagonals])
    rings = find_rings(BondGraph(sheet.positions_A, sheet.species, crossed))
    assert not rings.planar
    # Two diagonals leave no hexagon but four-membered rings.
    assert rings.counts()[6] < whole.counts()[6]
    assert (rings.sizes == 4).any()
    assert rings.holes == rings.rims == ()


def test_chains_and_lone_atoms_have_no_rings():
    chain_A = np.column_stack([np.arange(5) * 1.42, np.zeros(5)])
    assert len(find_rings(bond_graph(chain_A, np.full(5, "C")))) == 0
    assert len(find_rings(bond_graph(chain_A[:1], np.array(["C"])))) == 0
    assert len(find_rings(bond_graph(np.zeros((0, 2)), np.array([], dtype=str)))) == 0


@pytest.mark.real
def test_polycrystal_faces_equal_its_shortest_path_rings(shared_data):
    lines = (shared_data / "coordinates/3200-625eV.data").read_text().splitlines()
    positions_A = np.array([line.split()[1:3] for line in lines[4:] if len(line.split()) == 4], float)
    cell_A = np.diag([float(lines[0]), float(lines[1])])
    graph = bond_graph(positions_A, np.full(len(positions_A), "C"), cell_A)
    rings = find_rings(graph)
    assert rings.planar
    # Euler's formula on a torus with three bonds per atom: half as many rings as atoms, of mean size six.
    assert len(rings) == 1600
    assert rings.sizes.mean() == 6.0
    assert ring_sets(rings.atoms, rings.starts) == ring_sets(*shortest_path_rings(graph, LARGEST_RING))
