"""DFTB+'s engine with a stand-in for DFTB+, and its input as it always was; files and restarts, not physics."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.io import read

from hpcstem.errors import ConfigError, SimulationError
from hpcstem.simulation.constraints import free_coordinates
from hpcstem.simulation.deadline import NO_DEADLINE, Deadline, SegmentEnded
from hpcstem.simulation.engine_settings import DftbSettings, XtbSettings
from hpcstem.simulation.engines import dftb_inputs, get_engine
from hpcstem.simulation.engines.dftb_inputs import DftbState
from hpcstem.simulation.programs import DFTB_COMMAND, SLATER_KOSTER_LIBRARY
from hpcstem.simulation.segments import read_segments
from hpcstem.simulation.settings import NVTSettings, RelaxSettings

SEED = np.random.SeedSequence(8)
GOLDEN = Path(__file__).parents[2] / "golden" / "engines" / "dftb"
STANDIN = Path(__file__).parents[2] / "standins" / "dftb_plus.py"
N_STEPS = 15
NVT = NVTSettings(engine="dftb+", temperature_K=400, timestep_fs=0.5, n_steps=N_STEPS, trajectory_steps=1)
SLAKO = DftbSettings(hamiltonian="slater-koster", slater_koster_set="pbc-0-3", max_angular_momenta={"Si": "p"})


@pytest.fixture
def dftb(monkeypatch):
    monkeypatch.setenv(DFTB_COMMAND, f"{sys.executable} {STANDIN}")


@pytest.fixture
def library(tmp_path) -> Path:
    """Slater-Koster files without content."""
    for first in ("C", "H", "Si"):
        for second in ("C", "H", "Si"):
            path = tmp_path / "slako" / "pbc-0-3" / f"{first}-{second}.skf"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{first} {second}\n")
    return tmp_path / "slako"


@pytest.fixture
def methane() -> Atoms:
    atoms = molecule("CH4", cell=[8, 8, 8], pbc=True)
    atoms.center()
    return atoms[[1, 0, 2, 3, 4]]


def run_nvt(atoms, folder, deadline=NO_DEADLINE):
    return get_engine(NVT.engine).nvt(atoms, NVT, SEED, folder, deadline)


def energies(folder):
    return np.loadtxt(folder / "energies.csv", delimiter=",", skiprows=1)


def fault(monkeypatch, **faults):
    monkeypatch.setenv("DFTB_STANDIN", json.dumps(faults))


def test_a_relaxation(dftb, tmp_path, methane):
    settings = RelaxSettings(engine="dftb+", fmax_eV_A=0.02, constraint="hydrogen-fixed", rattle_A=0.05)
    outcome = get_engine(settings.engine).relax(methane, settings, SEED, tmp_path)
    assert outcome.converged
    assert outcome.max_force_eV_A < 0.02
    assert np.abs(outcome.atoms.positions - methane.positions)[methane.numbers == 1].max() < 1e-7
    path = read(tmp_path / "relaxation.xyz", ":")
    assert len(path) - 1 == outcome.n_steps > 2
    assert path[-1].get_potential_energy() < path[0].get_potential_energy()
    assert outcome.inputs["program"] == "DFTB+ stand-in 0"


def test_what_is_free_to_turn_is_at_the_temperature_asked_for(dftb, tmp_path, methane):
    """DFTB+ counts 12 degrees of freedom of a molecule in a box, of which the three rotations are at rest."""
    run_nvt(methane, tmp_path)
    text = next(tmp_path.glob("segments/*/dftb_in.hsd")).read_text()
    assert "Temperature [Kelvin] = 300\n" in text
    assert energies(tmp_path)[0, 4] == pytest.approx(NVT.temperature_K)


def test_segments_that_are_killed_are_one_trajectory(dftb, tmp_path, methane, monkeypatch):
    """DFTB+ is killed in the middle of writing its 4th step, again and again; the step is made once more."""
    whole, folder = run_nvt(methane, tmp_path / "whole"), tmp_path / "parts"
    fault(monkeypatch, die_after=4, torn=True)
    for _ in range(3):
        with pytest.raises(SimulationError, match="status 137"):
            run_nvt(methane, folder)
    fault(monkeypatch)
    parts = run_nvt(methane, folder)
    assert parts.n_steps == whole.n_steps == N_STEPS
    assert [s.first_step for s in read_segments(folder)] == [0, 3, 6, 9]
    found, wanted = energies(folder), energies(tmp_path / "whole")
    assert list(found[:, 0]) == list(range(N_STEPS + 1))
    # DFTB+ writes velocities and positions with 8 decimals, and motion magnifies what is lost.
    assert np.abs(found - wanted)[:, :4].max() < 1e-5
    assert np.abs(parts.atoms.positions - whole.atoms.positions).max() < 1e-6
    assert parts.drift_eV_atom_ps is None


def test_a_deadline_stops_it_by_a_file(dftb, tmp_path, methane, monkeypatch):
    class NearWhenHanging(Deadline):
        def allows(self, work_s):
            return not list(tmp_path.glob("segments/*/hanging"))

    fault(monkeypatch, hang_after=6, hang_until_stop=True)
    with pytest.raises(SegmentEnded) as ended:
        run_nvt(methane, tmp_path, NearWhenHanging())
    assert ended.value.n_steps == 6
    fault(monkeypatch)
    assert run_nvt(methane, tmp_path).n_steps == N_STEPS
    assert [(s.last_step, s.ended) for s in read_segments(tmp_path)] == [(6, "time limit"), (15, "finished")]
    assert not list(tmp_path.rglob("stop_driver"))


def inputs(library: Path) -> dict[str, str]:
    """Input of the full cell: relaxation and dynamics, xTB and Slater-Koster, with a thermostat to go on with."""
    cell = Atoms("CSiH", [[0, 0, 0], [1.8, 0, 0], [0, 1.1, 0]], cell=[9, 9, 9], pbc=True)
    relax = RelaxSettings(engine="dftb+", fmax_eV_A=0.01, constraint="hydrogen-fixed")
    nvt = NVTSettings(engine="dftb+", temperature_K=300, timestep_fs=1.0)
    first = DftbState(np.arange(9).reshape(3, 3) / 7)
    later = DftbState(first.velocities_A_ps, np.arange(9).reshape(3, 3) / 1e6 + 1)
    free = free_coordinates(cell, "none")
    held = free_coordinates(cell, relax.constraint)
    texts = {
        "relax-xtb": dftb_inputs.hsd(cell, held, relax, DftbSettings(), None, 1000),
        "relax-slater-koster": dftb_inputs.hsd(cell, held, relax, SLAKO, library, 1000),
        "nvt-xtb": dftb_inputs.hsd(cell, free, nvt, DftbSettings(), None, 2000, first),
        "nvt-slater-koster-continued": dftb_inputs.hsd(cell, free, nvt, SLAKO, library, 700, later, True),
        "forces-slater-koster": dftb_inputs.hsd_forces(cell, SLAKO, library, True),
        "geometry": dftb_inputs.gen_text(cell),
    }
    return {name: text.replace(str(library.resolve()), "/library") for name, text in texts.items()}


def test_inputs_are_the_golden_ones(library):
    for name, text in inputs(library).items():
        assert text == (GOLDEN / f"{name}.hsd").read_text(), name


def test_ase_reads_the_geometry(tmp_path, methane):
    (tmp_path / "g.gen").write_text(dftb_inputs.gen_text(methane))
    found = read(tmp_path / "g.gen", format="gen")
    assert found.get_chemical_symbols() == methane.get_chemical_symbols()
    assert np.allclose(found.positions, methane.positions)
    assert np.allclose(found.cell, methane.cell)


def test_what_is_missing_is_named_before_anything_runs(dftb, library, methane, monkeypatch):
    with pytest.raises(SimulationError, match="none; wanted `export HPCSTEM_SLATER_KOSTER_LIBRARY=FOLDER`"):
        get_engine(SLAKO).check(methane)
    monkeypatch.setenv(SLATER_KOSTER_LIBRARY, str(library))
    get_engine(SLAKO).check(methane)
    (library / "pbc-0-3" / "C-H.skf").unlink()
    with pytest.raises(SimulationError, match=r"no .*/C-H.skf"):
        get_engine(SLAKO).check(methane)
    with pytest.raises(SimulationError, match="none for Cr; wanted `max_angular_momenta"):
        get_engine(SLAKO).check(Atoms("Cr"))
    with pytest.raises(SimulationError, match="all directions or none"):
        get_engine(DftbSettings()).check(Atoms("C", cell=[3, 3, 9], pbc=(True, True, False)))


@pytest.mark.parametrize("constraint", ["free-cell", "only-z"])
def test_what_its_drivers_cannot_is_moved_by_our_own(dftb, tmp_path, methane, constraint):
    """The stand-in's forces are those of the embedded engine, and so are its steps."""
    methane.set_cell([5, 5.2, 5.4])
    settings = RelaxSettings(engine="dftb+", constraint=constraint, max_steps=2, rattle_A=0.05)
    found = get_engine(settings.engine).relax(methane, settings, SEED, tmp_path / "dftb")
    wanted = get_engine(XtbSettings()).relax(methane, settings, SEED, tmp_path / "xtb")
    assert found.inputs["program"] == "DFTB+ stand-in 0"
    assert found.energy_eV == pytest.approx(wanted.energy_eV, abs=1e-5)
    assert np.abs(found.atoms.positions - wanted.atoms.positions).max() < 1e-5
    assert np.abs(found.atoms.cell - wanted.atoms.cell).max() < 1e-5
    assert (np.abs(found.atoms.cell - methane.cell).max() > 1e-3) == (constraint == "free-cell")
    (path,) = tmp_path.glob("dftb/relaxation.xyz")
    assert len(read(path, ":")) == 3


def test_a_failure_says_why(tmp_path, methane, monkeypatch):
    settings = RelaxSettings(engine="dftb+", constraint="only-z")
    monkeypatch.setenv(DFTB_COMMAND, "sh -c 'echo ERROR! no; exit 3'")
    with pytest.raises(SimulationError, match=r"status 3: ERROR! no"):
        get_engine(settings.engine).relax(methane, settings, SEED, tmp_path)
    with pytest.raises(ConfigError, match="slater_koster_set"):
        RelaxSettings.parse({"engine": {"name": "dftb+", "slater_koster_set": "../../etc"}})
