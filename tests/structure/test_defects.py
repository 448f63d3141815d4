from collections import Counter

import numpy as np
import pytest
from sheets import bond_at, perfect_sheet, periodic_sheet, table_of

from hpcstem.errors import StructureError
from hpcstem.structure.bonds import bond_graph
from hpcstem.structure.building import random_graphene
from hpcstem.structure.defects import DefectKind, defects_of_frame, edge_atoms, find_defects
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
    without_atoms,
)
from hpcstem.structure.rings import find_rings

CENTRE_A = np.array([20.0, 20.0])
BUILD = {
    DefectKind.SINGLE_VACANCY: lambda sheet: single_vacancy(sheet, atom_near(sheet, CENTRE_A)),
    DefectKind.DOUBLE_VACANCY: lambda sheet: double_vacancy(sheet, bond_at(sheet, (20.0, 20.0))),
    DefectKind.STONE_WALES: lambda sheet: stone_wales(sheet, bond_at(sheet, (20.0, 20.0))),
    DefectKind.SILICON_ON_THREE: lambda sheet: silicon_on_three(sheet, atom_near(sheet, CENTRE_A)),
    DefectKind.SILICON_ON_FOUR: lambda sheet: silicon_on_four(sheet, bond_at(sheet, (20.0, 20.0))),
    DefectKind.SILICON_CLUSTER: lambda sheet: silicon_trimer(sheet, hexagon_at(sheet, atom_near(sheet, CENTRE_A))),
    DefectKind.HOLE: lambda sheet: hole(sheet, CENTRE_A, 5.0),
}


@pytest.mark.parametrize("kind", BUILD)
def test_each_defect_has_its_name_and_place_in_noise(kind):
    sheet, rng = BUILD[kind](perfect_sheet()), np.random.default_rng(0)
    for _ in range(20):
        noisy_A = sheet.positions_A + rng.normal(0.0, 0.05, sheet.positions_A.shape)
        defects = defects_of_frame(table_of(noisy_A, sheet.species), (40.0, 40.0))
        assert [defect.kind for defect in defects] == [kind]
        assert np.linalg.norm(defects[0].centre_A - CENTRE_A) < 3.0


@pytest.mark.parametrize("kind", BUILD)
def test_names_survive_noise_of_a_tenth_of_an_angstrom(kind):
    sheet, rng = BUILD[kind](perfect_sheet()), np.random.default_rng(1)
    noisy_A = [sheet.positions_A + rng.normal(0.0, 0.1, sheet.positions_A.shape) for _ in range(40)]
    named = [[d.kind for d in defects_of_frame(table_of(frame_A, sheet.species))] for frame_A in noisy_A]
    assert sum(kind in names for names in named) >= 38
    assert sum(names == [kind] for names in named) >= 35


def test_vacancy_that_has_not_closed_is_a_single_vacancy():
    sheet = perfect_sheet()
    opened = without_atoms(sheet, np.array([atom_near(sheet, CENTRE_A)]))
    assert [d.kind for d in find_defects(opened, find_rings(opened))] == [DefectKind.SINGLE_VACANCY]


def test_perfect_sheet_has_no_defect_with_or_without_edges():
    sheet = perfect_sheet()
    assert find_defects(sheet, find_rings(sheet)) == []
    positions_A, cell_A = periodic_sheet(6, 4)
    periodic = bond_graph(positions_A, np.full(len(positions_A), "C"), cell_A)
    assert find_defects(periodic, find_rings(periodic)) == []
    assert not edge_atoms(periodic, find_rings(periodic)).any()


def test_defect_at_the_edge_is_not_named():
    sheet = perfect_sheet()
    rim = np.zeros(len(sheet), bool)
    for members in find_rings(sheet).rims:
        rim[members] = True
    species = sheet.species.astype("<U2")
    species[np.flatnonzero(rim & (sheet.coordination == 3))[:5]] = "Si"
    graph = bond_graph(sheet.positions_A, species)
    assert find_defects(graph, find_rings(graph)) == []


@pytest.mark.parametrize("kind", [DefectKind.STONE_WALES, DefectKind.DOUBLE_VACANCY, DefectKind.SINGLE_VACANCY])
def test_at_the_edge_a_pattern_is_named_where_its_rings_were_seen_whole(kind):
    """As the frame moves over it, it has its name while all of its rings are there, and no other name ever."""
    sheet = BUILD[kind](perfect_sheet())
    (whole,) = find_defects(sheet, find_rings(sheet))
    end_A = float(sheet.positions_A[whole.atoms, 0].max())
    for right_A in np.arange(end_A - 6.0, end_A + 3.0, 0.25):
        seen = sheet.positions_A[:, 0] <= right_A
        graph = bond_graph(sheet.positions_A[seen], sheet.species[seen])
        named = [defect.kind for defect in find_defects(graph, find_rings(graph), field_A=(right_A, 40.0))]
        assert named == ([kind] if right_A >= end_A else []), right_A


def test_a_5_7_pair_at_the_edge_is_not_named():
    """The other half of a turned bond may lie outside."""
    sheet = BUILD[DefectKind.STONE_WALES](perfect_sheet())
    rings = find_rings(sheet)
    heptagon = rings[int(np.flatnonzero(rings.sizes == 7)[0])]
    along_A = (sheet.positions_A - CENTRE_A) @ (sheet.positions_A[heptagon].mean(axis=0) - CENTRE_A)
    for end_A in np.linspace(0.0, along_A.max() / 3, 30):
        seen = along_A > -end_A
        graph = bond_graph(sheet.positions_A[seen], sheet.species[seen])
        assert {defect.kind for defect in find_defects(graph, find_rings(graph))} <= {DefectKind.STONE_WALES}


def test_periodic_defect_over_the_cell_edge_is_named_and_placed():
    positions_A, cell_A = periodic_sheet(10, 6)
    corner = positions_A - positions_A[0] - np.array([1e-3, 1e-3])
    removed = int(np.linalg.norm(corner, axis=1).argmin())
    kept = np.arange(len(positions_A)) != removed
    graph = bond_graph(positions_A[kept], np.full(kept.sum(), "C"), cell_A)
    (defect,) = find_defects(graph, find_rings(graph))
    assert defect.kind is DefectKind.SINGLE_VACANCY
    fractional = (defect.centre_A - positions_A[removed]) @ np.linalg.inv(cell_A)
    np.testing.assert_allclose((fractional - np.round(fractional)) @ cell_A, 0.0, atol=1e-9)


def test_confidence_is_that_of_the_least_certain_atom():
    sheet = BUILD[DefectKind.SILICON_ON_THREE](perfect_sheet())
    silicon = int(np.flatnonzero(sheet.species == "Si")[0])
    confidence = np.ones(len(sheet))
    confidence[sheet.neighbours(silicon)[1]] = 0.25
    (defect,) = find_defects(sheet, find_rings(sheet), confidence)
    assert defect.confidence == 0.25
    assert defect.atoms.tolist() == sorted([silicon, *sheet.neighbours(silicon)])
    with pytest.raises(StructureError, match="confidence"):
        find_defects(sheet, find_rings(sheet), confidence[:-1])


def test_random_sheets_hold_every_kind_that_is_built():
    named = Counter()
    for seed in range(120):
        graph = bond_graph(*random_graphene(40.0, 40.0, np.random.default_rng(seed)))
        named.update(defect.kind for defect in find_defects(graph, find_rings(graph)))
    assert all(named[kind] >= 3 for kind in (*BUILD, DefectKind.PAIR_5_7))


@pytest.mark.real
@pytest.mark.parametrize(("folder", "neighbours"), [("Si1C3", 3), ("Si1C4", 4)])
def test_real_silicon_has_the_neighbours_its_authors_saw(shared_data, folder, neighbours):
    h5py = pytest.importorskip("h5py")
    seen = []
    for path in sorted((shared_data / "stem/graphene-si/defects" / folder).glob("*.hdf5")):
        with h5py.File(path) as file:
            for name in file:
                if name.startswith("defect_coord"):
                    rows = file[name][:]
                    graph = bond_graph(rows[:, :2].astype(float) * 0.078, rows[:, 2].astype(str))
                    seen += graph.coordination[graph.species == "Si"].tolist()
    assert len(seen) >= 16
    assert set(seen) == {neighbours}


@pytest.mark.real
def test_real_grain_boundary_has_pentagons_and_heptagons(shared_data):
    rows = np.load(shared_data / "stem/graphene-si/G-GrainBoundary-4nm-coord.npy")
    graph = bond_graph(rows[:, [1, 0]] * 0.078, np.full(len(rows), "C"))
    rings = find_rings(graph)
    assert rings.planar
    counts = rings.counts()
    assert counts[5] >= 8
    assert counts[7] >= 8
    assert counts[6] > 200
    # The boundary runs through the frame: its chain is named although it goes on at both ends.
    chains = [defect for defect in find_defects(graph, rings) if defect.kind is DefectKind.CHAIN_5_7]
    assert len(chains) == 1
    assert np.ptp(graph.positions_A[chains[0].atoms], axis=0).max() > 25.0
