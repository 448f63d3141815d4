import numpy as np
import pytest
from sheets import bond_at, perfect_sheet, table_of

from hpcstem.atoms import AtomTable
from hpcstem.errors import StructureError
from hpcstem.structure.bonds import bond_graph
from hpcstem.structure.defects import DefectKind
from hpcstem.structure.defects_library import atom_near, silicon_on_three, stone_wales
from hpcstem.structure.regions import certainty, select_region, similarity


@pytest.fixture(scope="module")
def sheet():
    sheet = perfect_sheet(46.0)
    sheet = stone_wales(sheet, bond_at(sheet, (33.0, 33.0)))
    return silicon_on_three(sheet, atom_near(sheet, np.array([14.0, 32.0])))


@pytest.fixture(scope="module")
def atoms(sheet) -> AtomTable:
    doubtful = np.linalg.norm(sheet.positions_A - [12.0, 12.0], axis=1) < 9.0
    rng = np.random.default_rng(0)
    noisy_A = sheet.positions_A + rng.normal(0.0, 0.05, sheet.positions_A.shape)
    return table_of(noisy_A, sheet.species, frame=3, probability=np.where(doubtful, 0.4, 1.0))


def is_sound(atoms, region):
    graph = bond_graph(atoms.positions_A[region.atoms], atoms.species[region.atoms])
    return graph.coordination.min() >= 2 and (np.diff(region.atoms) > 0).all()


def test_certain_window_avoids_doubtful_atoms(atoms):
    region = select_region(atoms, "certainty", size_A=15.0)
    assert is_sound(atoms, region)
    assert atoms.probability[region.atoms].min() == 1.0
    assert region.score == pytest.approx(certainty(atoms).max())
    assert (np.abs(atoms.positions_A[region.atoms] - region.centre_A) <= 7.5).all()
    assert region.frame == 3


@pytest.mark.parametrize("kind", [DefectKind.STONE_WALES, DefectKind.SILICON_ON_THREE])
@pytest.mark.parametrize("by", ["certainty", "defect"])
def test_window_holds_the_defect_asked_for(atoms, by, kind):
    region = select_region(atoms, by, n_atoms=91, kind=kind)
    assert is_sound(atoms, region)
    assert 91 <= len(region.atoms) <= 95
    assert kind.value in region.reason
    assert (atoms.species[region.atoms] == "Si").any() == (kind is DefectKind.SILICON_ON_THREE)


def test_random_window_comes_from_its_generator(atoms):
    regions = [select_region(atoms, "random", size_A=12.0, rng=np.random.default_rng(s)) for s in (1, 1, 2)]
    np.testing.assert_array_equal(regions[0].atoms, regions[1].atoms)
    assert not np.array_equal(regions[0].centre_A, regions[2].centre_A)


def test_whole_frame_drops_only_dangling_atoms(atoms):
    region = select_region(atoms, "frame")
    assert is_sound(atoms, region)
    assert len(region.atoms) > 0.95 * len(atoms)


def test_small_part_is_left_out():
    sheet = perfect_sheet(20.0)
    torn = np.abs(sheet.positions_A[:, 0] - 15.0) > 1.5
    atoms = table_of(sheet.positions_A[torn], sheet.species[torn])
    region = select_region(atoms, "frame")
    assert atoms.x_A[region.atoms].max() < 15.0


def test_bad_requests_are_named(atoms):
    with pytest.raises(StructureError, match="one of the two"):
        select_region(atoms, "certainty")
    with pytest.raises(StructureError, match="smaller region"):
        select_region(atoms, "certainty", size_A=60.0)
    with pytest.raises(StructureError, match="none away from the edge"):
        select_region(atoms, "defect", size_A=15.0, kind=DefectKind.HOLE)
    with pytest.raises(StructureError, match="default_rng"):
        select_region(atoms, "random", size_A=15.0)
    with pytest.raises(StructureError, match="does not fit"):
        select_region(atoms, "defect", size_A=6.0, kind=DefectKind.STONE_WALES)
    with pytest.raises(StructureError, match="one frame"):
        select_region(AtomTable.concatenate([atoms, table_of(atoms.positions_A, atoms.species, 4)]), "frame")
    with pytest.raises(StructureError, match="atoms of the frame"):
        select_region(atoms, "certainty", n_atoms=100_000)


def test_similarity_is_one_for_equal_patches_and_less_with_defects(sheet):
    perfect = perfect_sheet(46.0)
    assert similarity(sheet, sheet) == pytest.approx(1.0)
    assert similarity(perfect, sheet) == pytest.approx(similarity(sheet, perfect))
    far = np.abs(sheet.positions_A - 33.0).max(axis=1) < 6.0
    defective = bond_graph(sheet.positions_A[far], sheet.species[far])
    clean = bond_graph(perfect.positions_A[far], perfect.species[far])
    assert similarity(clean, defective) < 0.95
