import numpy as np
import pytest
from ase.build import molecule
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms
from hypothesis import given, settings
from hypothesis import strategies as st
from sheets import perfect_sheet

from hpcstem.errors import StructureError
from hpcstem.structure.cells import make_cell
from hpcstem.structure.defects_library import without_dangling
from hpcstem.structure.exchange import read_poscar, read_xyz, write_poscar, write_xyz

NUMBER = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(provenance=st.dictionaries(st.text(), JSON, max_size=4))
@settings(max_examples=60)
def test_provenance_comes_back_whole(tmp_path_factory, provenance):
    path = tmp_path_factory.mktemp("xyz") / "structure.xyz"
    write_xyz(path, molecule("CH4"), provenance)
    (atoms,), read = read_xyz(path)
    assert read == provenance
    assert atoms.get_chemical_formula() == "CH4"


def test_trajectory_comes_back_with_cell_and_energy(tmp_path):
    sheet = without_dangling(perfect_sheet(12.0))
    atoms = make_cell(sheet.positions_A, sheet.species)
    atoms.calc = SinglePointCalculator(atoms, energy=-3.5, forces=np.ones((len(atoms), 3)))
    moved = atoms.copy()
    moved.positions += 0.1
    write_xyz(tmp_path / "t.xyz", [atoms, moved], {"seed": 1})
    read, provenance = read_xyz(tmp_path / "t.xyz")
    assert provenance == {"seed": 1}
    assert read[0].get_potential_energy() == -3.5
    np.testing.assert_allclose(read[1].positions, moved.positions, atol=1e-7)
    np.testing.assert_allclose(read[0].cell.array, atoms.cell.array, atol=1e-7)
    assert read[0].pbc.all()
    assert atoms.info == {}, "the caller's structure is not touched"


def test_poscar_groups_species_and_gives_the_order_back(tmp_path):
    atoms = molecule("CH3CH2OH", vacuum=5.0)
    atoms.pbc = True
    atoms.set_constraint(FixAtoms([0]))
    order = write_poscar(tmp_path / "POSCAR", atoms)
    read = read_poscar(tmp_path / "POSCAR")
    assert read.get_chemical_symbols() == [atoms.get_chemical_symbols()[k] for k in order]
    np.testing.assert_allclose(read.positions, atoms.positions[order], atol=1e-6)
    assert read.get_chemical_symbols() == sorted(read.get_chemical_symbols(), key=atoms.get_chemical_symbols().index)
    assert [constraint.index.tolist() for constraint in read.constraints] == [[int(np.flatnonzero(order == 0)[0])]]


def test_damaged_files_are_named(tmp_path):
    with pytest.raises(StructureError, match=r"none\.xyz"):
        read_xyz(tmp_path / "none.xyz")
    (tmp_path / "bad").write_text("3\nnothing\nC 0 0\n")
    with pytest.raises(StructureError, match="bad"):
        read_xyz(tmp_path / "bad")
    with pytest.raises(StructureError, match="bad"):
        read_poscar(tmp_path / "bad")
    (tmp_path / "empty").write_text("")
    with pytest.raises(StructureError, match="empty"):
        read_xyz(tmp_path / "empty")


@pytest.mark.real
def test_real_contcar_is_read(shared_data):
    atoms = read_poscar(shared_data / "vasp/mos2/pristine-mos2/CONTCAR")
    assert {"Mo", "S"} == set(atoms.get_chemical_symbols())
