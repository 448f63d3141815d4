import numpy as np
import pytest
from sheets import perfect_sheet, periodic_sheet, table_of

from hpcstem.errors import StructureError
from hpcstem.structure.bonds import bond_graph
from hpcstem.structure.cells import make_cell
from hpcstem.structure.defects_library import atom_near, hole, without_atoms, without_dangling
from hpcstem.structure.regions import select_region

CENTRE_A = np.array([20.0, 20.0])


def patch_of(sheet, n_atoms=91, sigma_A=0.0, seed=0):
    noisy_A = sheet.positions_A + np.random.default_rng(seed).normal(0.0, sigma_A, sheet.positions_A.shape)
    atoms = table_of(noisy_A, sheet.species)
    rows = select_region(atoms, "certainty", n_atoms=n_atoms).atoms
    return noisy_A[rows], sheet.species[rows]


def graph_of(atoms):
    return bond_graph(atoms.positions, np.array(atoms.get_chemical_symbols()))


@pytest.mark.parametrize("sigma_A", [0.0, 0.05, 0.1])
def test_every_cut_carbon_gets_one_hydrogen(sigma_A):
    positions_A, species = patch_of(perfect_sheet(), sigma_A=sigma_A)
    atoms = make_cell(positions_A, species)
    graph = graph_of(atoms)
    hydrogen = graph.species == "H"
    assert (graph.coordination[~hydrogen] == 3).all()
    assert (graph.coordination[hydrogen] == 1).all()
    lengths_A = graph.lengths_A[hydrogen[graph.edges].any(axis=1)]
    np.testing.assert_allclose(lengths_A, 1.09, atol=1e-9)
    assert not hydrogen[: len(species)].any()
    np.testing.assert_allclose(np.ptp(atoms.positions[: len(species), :2], axis=0) + 16.0, atoms.cell.lengths()[:2])
    np.testing.assert_allclose(atoms.positions[: len(species), 2], 10.0)
    assert atoms.pbc.all()


def test_hydrogen_points_outward_along_the_bisector():
    positions_A, species = patch_of(perfect_sheet())
    atoms = make_cell(positions_A, species)
    graph = graph_of(atoms)
    for hydrogen in np.flatnonzero(graph.species == "H"):
        (carbon,) = graph.neighbours(hydrogen)
        towards = atoms.positions[graph.neighbours(carbon)] - atoms.positions[carbon]
        cosines = towards @ towards[graph.neighbours(carbon) == hydrogen][0]
        angles_deg = np.degrees(np.arccos(np.clip(cosines / np.linalg.norm(towards, axis=1) / 1.09, -1.0, 1.0)))
        assert sorted(np.round(angles_deg)) == [0, 120, 120]


def test_hole_edges_get_hydrogen_too_and_clashes_are_bent():
    sheet = perfect_sheet()
    vacancy = without_atoms(sheet, np.array([atom_near(sheet, CENTRE_A)]))
    heights_A = []
    for pierced in (hole(sheet, CENTRE_A, 4.0), vacancy):
        pierced = without_dangling(pierced)
        atoms = make_cell(pierced.positions_A, pierced.species)
        graph = graph_of(atoms)
        hydrogen = graph.species == "H"
        assert hydrogen.sum() == (pierced.coordination == 2).sum()
        assert (graph.coordination[~hydrogen] == 3).all()
        apart_A = atoms[hydrogen].get_all_distances(mic=True)
        assert apart_A[np.triu_indices(len(apart_A), 1)].min() > 1.2
        heights_A.append(np.abs(atoms.positions[:, 2] - 10.0).max())
    # Three hydrogen atoms have no room in the plane of a single vacancy.
    assert heights_A[1] > 0.2


def test_periodic_sheet_needs_no_hydrogen():
    positions_A, cell_A = periodic_sheet(5, 3)
    atoms = make_cell(positions_A, np.full(len(positions_A), "C"), [cell_A[0, 0], cell_A[1, 1], 15.0])
    assert set(atoms.get_chemical_symbols()) == {"C"}
    ribbon = make_cell(positions_A, np.full(len(positions_A), "C"), [cell_A[0, 0], 30.0, 15.0], (True, False, False))
    assert (ribbon.symbols == "H").sum() == 10


@pytest.mark.parametrize(
    "cell", [[25.786] * 3, [28.0, 28.0, 15.0, 90.0, 90.0, 60.0], np.array([[30.0, 1, 0], [0, 30.0, 0], [3.0, 0, 16.0]])]
)
def test_any_bravais_cell_with_the_patch_in_its_middle(cell):
    positions_A, species = patch_of(perfect_sheet(), n_atoms=40)
    atoms = make_cell(positions_A, species, cell)
    sheet_A = atoms.positions[: len(species)]
    np.testing.assert_allclose((sheet_A.min(axis=0) + sheet_A.max(axis=0)) / 2, atoms.cell.array.sum(axis=0) / 2)
    assert atoms.cell.volume == pytest.approx(abs(np.linalg.det(atoms.cell.array)))


def test_overlap_with_images_or_atoms_is_refused_with_the_pairs():
    positions_A, species = patch_of(perfect_sheet())
    with pytest.raises(StructureError, match=r"C\d+-C\d+ 0\.\d\d Å"):
        make_cell(positions_A, species, [9.9, 40.0, 20.0])
    with pytest.raises(StructureError, match="overlap"):
        make_cell(np.vstack([positions_A, positions_A[:1] + 0.2]), np.append(species, "C"))


def test_bad_cells_and_patches_are_named():
    positions_A, species = patch_of(perfect_sheet())
    for cell in ([10.0, 10.0], [10.0, 10.0, 10.0, 90.0, 90.0, 190.0], np.zeros((3, 3)), [10.0, np.nan, 10.0]):
        with pytest.raises(StructureError, match="cell"):
            make_cell(positions_A, species, cell)
    with pytest.raises(StructureError, match="dangling"):
        make_cell(np.vstack([positions_A, positions_A.max(axis=0) + 1.0]), np.append(species, "C"))
    with pytest.raises(StructureError, match="patch"):
        make_cell(np.zeros((0, 2)), np.array([], dtype=str))


def test_decoded_noise_of_015_angstrom_still_makes_a_cell():
    made = 0
    for seed in range(10):
        positions_A, species = patch_of(perfect_sheet(), sigma_A=0.15, seed=seed)
        try:
            make_cell(positions_A, species)
            made += 1
        except StructureError:
            continue
    assert made >= 8
