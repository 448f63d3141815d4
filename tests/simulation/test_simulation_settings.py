import pytest
from ase import Atoms

from hpcstem.errors import ConfigError, HpcstemError, SimulationError, StructureError
from hpcstem.files import sha256
from hpcstem.simulation.jobs import job_folder, nvt_job, read_structure, relax_job
from hpcstem.simulation.settings import NVTSettings, RelaxSettings
from hpcstem.simulation.structures import from_xyz, to_xyz


def test_settings_go_through_a_document():
    settings = NVTSettings(temperature_K=300, fixed=(1, 2))
    assert NVTSettings.parse(settings.to_document()) == settings


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"temperature": 300}, "temperature_K"),
        ({"temperature_K": 300, "steps": 5}, "steps"),
        ({"temperature_K": -5}, "temperature_K; got -5"),
        ({"temperature_K": float("inf")}, "temperature_K"),
        ({"temperature_K": 300, "timestep_fs": 20}, "thermostat_time_fs of at least"),
        ({"temperature_K": 300, "fixed": [-1]}, "fixed.0; got -1"),
    ],
)
def test_settings_that_cannot_be_used(document, message):
    with pytest.raises(ConfigError, match=message):
        NVTSettings.parse(document)


def test_a_key_depends_on_all_that_decides_the_answer_and_on_nothing_else(benzene):
    key = relax_job("a", benzene, RelaxSettings()).key
    assert relax_job("other name", benzene.copy(), RelaxSettings()).key == key
    moved = benzene.copy()
    moved.positions[0, 0] += 1e-3
    others = [
        relax_job("a", moved, RelaxSettings()).key,
        relax_job("a", benzene, RelaxSettings(fmax_eV_A=0.02)).key,
        relax_job("a", benzene, RelaxSettings(seed=1)).key,
        nvt_job("a", key, NVTSettings(temperature_K=300)).key,
        nvt_job("a", key, NVTSettings(temperature_K=301)).key,
    ]
    assert len({key, *others}) == 6


def test_a_structure_by_text_or_by_file_is_the_same(tmp_path, benzene):
    file = tmp_path / "structures" / "benzene.xyz"
    file.parent.mkdir()
    file.write_text(to_xyz(benzene))
    given = {"path": "structures/benzene.xyz", "sha256": sha256(file)}
    assert relax_job("a", given, RelaxSettings()).key == relax_job("a", benzene, RelaxSettings()).key
    assert read_structure(tmp_path, given) == read_structure(tmp_path, {"text": to_xyz(benzene)})
    file.write_text(to_xyz(benzene) + "\n")
    with pytest.raises(SimulationError, match="a changed file"):
        read_structure(tmp_path, given)
    with pytest.raises(SimulationError, match="no such file"):
        read_structure(tmp_path, {"path": "absent.xyz", "sha256": ""})
    with pytest.raises(HpcstemError, match="leads out"):
        read_structure(tmp_path, {"path": "../outside.xyz", "sha256": ""})
    with pytest.raises(SimulationError, match="path and sha256"):
        relax_job("a", {"path": "x"}, RelaxSettings())


@pytest.mark.parametrize("key", ["../../etc", "", "a" * 63, "G" * 64, "a" * 64 + "\n"])
def test_a_key_that_is_no_digest_names_no_folder(tmp_path, key):
    with pytest.raises(SimulationError, match="64 hexadecimal digits"):
        job_folder(tmp_path, key)


@pytest.mark.parametrize("text", ["", "nonsense", "2\n\nC 0 0 0\n", "1\n\nC nan 0 0\n", "0\n\n"])
def test_text_that_is_no_structure(text):
    with pytest.raises(StructureError):
        from_xyz(text)


def test_a_structure_goes_through_text():
    atoms = Atoms("SiC", [[0, 0, 0], [1.76, 0, 1 / 3]], cell=[5, 6, 7], pbc=(True, True, False))
    found = from_xyz(to_xyz(atoms, energy=-1.5))
    assert found.get_chemical_symbols() == ["Si", "C"]
    assert abs(found.positions - atoms.positions).max() < 1e-8
    assert (found.cell == atoms.cell).all()
    assert list(found.pbc) == [True, True, False]
