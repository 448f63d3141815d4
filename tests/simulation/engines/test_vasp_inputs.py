"""Inputs of VASP for the paper's settings: as they always were, and as pymatgen and ASE read them."""

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.io import read

from hpcstem.errors import ConfigError, SimulationError
from hpcstem.simulation.constraints import free_coordinates
from hpcstem.simulation.engine_settings import VaspSettings
from hpcstem.simulation.engines import vasp_inputs
from hpcstem.simulation.settings import NVTSettings, RelaxSettings
from hpcstem.structure.cells import make_cell

GOLDEN = Path(__file__).parents[2] / "golden" / "engines" / "vasp"
CHROMIUM = VaspSettings(
    dispersion="D3-BJ",
    spin_polarised=True,
    magnetic_moments_muB={"Cr": 5},
    potcars={"Cr": "Cr_pv"},
    incar={"NCORE": 4, "ALGO": "Fast"},
)
TEMPERATURES_K = (300, 500, 700, 900, 1200, 2000, 3000, 4000, 5000)
PAPER = {
    "relax-free-cell": RelaxSettings(engine="vasp", fmax_eV_A=1e-3, constraint="free-cell"),
    "relax-perimeter-fixed": RelaxSettings(engine="vasp", fmax_eV_A=1e-3, constraint="perimeter-fixed"),
    "relax-only-z": RelaxSettings(engine="vasp", fmax_eV_A=1e-3, constraint="only-z"),
    "relax-hydrogen-fixed": RelaxSettings(engine="vasp", fmax_eV_A=1e-3, constraint="hydrogen-fixed"),
    "aimd-300K": NVTSettings(engine="vasp", temperature_K=300, timestep_fs=1.0, seed=7),
    "aimd-chromium-500K": NVTSettings(engine=CHROMIUM, temperature_K=500, timestep_fs=1.0, seed=7),
}


def patch(name: str) -> Atoms:
    """Coronene, a flake of graphene ended by hydrogen; with Cr above its middle where the name says so."""
    basis = 1.42 * np.array([[np.sqrt(3), 0], [np.sqrt(3) / 2, 1.5]])
    cells = np.array([[i, j] for i in range(-4, 5) for j in range(-4, 5)]) @ basis
    sites = np.concatenate([cells + 1.42 * np.eye(2)[1], cells - 1.42 * np.eye(2)[1]])
    flake = sites[np.linalg.norm(sites, axis=1) < 3.8]
    atoms = make_cell(flake, np.array(["C"] * len(flake)), cell=[18, 18, 20])
    if "chromium" in name:
        middle = atoms.cell.array.sum(axis=0) / 2 + np.array([0, 0, 1.6])
        atoms = Atoms("Cr", [middle], cell=atoms.cell, pbc=True) + atoms
    return atoms


def texts(name: str) -> dict[str, str]:
    settings, atoms = PAPER[name], patch(name)
    order = vasp_inputs.species_order(atoms)
    free = free_coordinates(atoms, settings.constraint, settings.fixed)
    tags = vasp_inputs.incar(atoms[order], settings, settings.engine, False)
    return {
        "INCAR": vasp_inputs.incar_text(tags),
        "KPOINTS": vasp_inputs.kpoints_text(settings.engine),
        "POSCAR": vasp_inputs.poscar_text(atoms[order], free[order], "patch"),
    }


@pytest.mark.parametrize("name", PAPER)
def test_inputs_of_the_paper_are_the_golden_ones(name):
    for file, text in texts(name).items():
        assert text == (GOLDEN / f"{name}.{file}").read_text(), file


@pytest.mark.parametrize("name", PAPER)
@pytest.mark.filterwarnings("ignore")
def test_pymatgen_and_ase_read_what_was_meant(name, tmp_path):
    inputs = pytest.importorskip("pymatgen.io.vasp.inputs", reason="pip install 'hpcstem[vasp]'")
    for file, text in texts(name).items():
        (tmp_path / file).write_text(text)
    settings, atoms = PAPER[name], patch(name)
    order = vasp_inputs.species_order(atoms)
    incar = inputs.Incar.from_file(tmp_path / "INCAR")
    assert incar["ENCUT"] == 400
    assert incar["LCHARG"] is False
    if isinstance(settings, NVTSettings):
        wanted = {"IBRION": 0, "MDALGO": 2, "ISIF": 2, "SMASS": 0, "NSW": 2000, "POTIM": 1.0, "ISYM": 0}
        assert wanted.items() <= dict(incar).items()
        assert incar["TEBEG"] == incar["TEEND"] == settings.temperature_K
    else:
        assert incar["EDIFFG"] == -1e-3
        assert incar["ISIF"] == (3 if settings.constraint == "free-cell" else 2)
    if "chromium" in name:
        assert (incar["ISPIN"], incar["IVDW"], incar["NCORE"]) == (2, 12, 4)
        assert incar["MAGMOM"] == [5.0] + [0.0] * 36
    kpoints = inputs.Kpoints.from_file(tmp_path / "KPOINTS")
    assert kpoints.kpts == [(2, 2, 2)]
    assert kpoints.style == inputs.KpointsSupportedModes.Monkhorst
    found = read(tmp_path / "POSCAR", format="vasp")
    assert found.get_chemical_symbols() == atoms[order].get_chemical_symbols()
    assert np.allclose(found.positions, atoms[order].positions, atol=1e-12)
    assert np.allclose(found.cell, atoms.cell)
    poscar = inputs.Poscar.from_file(tmp_path / "POSCAR")
    free = free_coordinates(atoms, settings.constraint)[order]
    if free.all():
        assert poscar.selective_dynamics is None
    else:
        assert (np.array(poscar.selective_dynamics) == free).all()


def test_the_sweep_of_temperatures_differs_in_the_temperature_alone():
    documents = []
    for temperature_K in TEMPERATURES_K:
        settings = NVTSettings(engine="vasp", temperature_K=temperature_K, timestep_fs=1.0)
        tags = vasp_inputs.incar(molecule("C6H6"), settings, settings.engine, False)
        assert tags.pop("TEBEG") == tags.pop("TEEND") == f"{temperature_K}"
        documents.append(tags)
    assert all(tags == documents[0] for tags in documents)


def test_potcars_are_joined_in_the_order_of_the_species(potcars, tmp_path):
    atoms = patch("chromium")
    found = vasp_inputs.find_potcars(atoms, CHROMIUM, potcars)
    assert [(one.symbol, one.name) for one in found] == [("Cr", "Cr_pv"), ("C", "C"), ("H", "H")]
    vasp_inputs.write_potcar(tmp_path / "POTCAR", found, potcars)
    text = (tmp_path / "POTCAR").read_text()
    assert text == "".join((potcars / name / "POTCAR").read_text() for name in ("Cr_pv", "C", "H"))
    assert (tmp_path / "POTCAR").stat().st_mode & 0o777 == 0o600
    with pytest.raises(SimulationError, match="HPCSTEM_POTCAR_LIBRARY"):
        vasp_inputs.find_potcars(atoms, CHROMIUM, None)


def test_a_molecule_without_a_cell_is_refused():
    atoms = molecule("CH4")
    with pytest.raises(SimulationError, match="rank 0; wanted three vectors"):
        vasp_inputs.poscar_text(atoms, np.ones((5, 3), bool), "methane")


def test_motion_along_z_needs_a_third_vector_along_z():
    atoms = Atoms("C2", [[0, 0, 0], [1.4, 0, 0]], cell=[[5, 0, 0], [0, 5, 0], [1, 0, 9]], pbc=True)
    with pytest.raises(SimulationError, match="tilted third vector"):
        vasp_inputs.poscar_text(atoms, free_coordinates(atoms, "only-z"), "tilted")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"incar": {"ENCUT": 300}}, "ENCUT follows from other settings"),
        ({"incar": {"ALGO": "Fast\nNSW = 0"}}, "on one line"),
        ({"incar": {"algo": "Fast"}}, "capital letters"),
        ({"potcars": {"C": "../C"}}, "potcars.C"),
        ({"spin_polarised": True}, "go together"),
        ({"cutoff": 300}, "cutoff"),
    ],
)
def test_settings_that_vasp_should_not_get(changes, message):
    with pytest.raises(ConfigError, match=message):
        RelaxSettings.parse({"engine": {"name": "vasp", **changes}})
