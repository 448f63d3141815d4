"""VASP's engine with a stand-in for VASP: relaxation, segments, errors; files and restarts, not physics."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from ase import Atoms
from ase.build import molecule
from ase.io import read

from hpcstem.errors import SimulationError
from hpcstem.simulation.deadline import Deadline, SegmentEnded
from hpcstem.simulation.engine_settings import VaspSettings
from hpcstem.simulation.engines import get_engine
from hpcstem.simulation.segments import read_segments
from hpcstem.simulation.settings import NVTSettings, RelaxSettings
from hpcstem.simulation.structures import to_xyz

SEED = np.random.SeedSequence(3)
DEADLINE_S = 300
ENGINE = VaspSettings(k_points=(1, 1, 1))
N_STEPS = 20
NVT = NVTSettings(engine=ENGINE, temperature_K=400, timestep_fs=0.5, n_steps=N_STEPS, trajectory_steps=1, seed=5)


@pytest.fixture
def methane() -> Atoms:
    """CH4 in a box, hydrogen and carbon mixed, so that VASP's order is not ours."""
    atoms = molecule("CH4", cell=[8, 8, 8], pbc=True)
    atoms.center()
    return atoms[[1, 0, 2, 3, 4]]


def fault(monkeypatch, **faults):
    monkeypatch.setenv("VASP_STANDIN", json.dumps(faults))


def run_nvt(atoms, folder, deadline=Deadline()):  # noqa: B008 - it does not change
    return get_engine(NVT.engine).nvt(atoms, NVT, SEED, folder, deadline)


def energies(folder):
    return np.loadtxt(folder / "energies.csv", delimiter=",", skiprows=1)


def test_a_relaxation_ends_in_the_right_order_and_leaves_no_potcar(vasp, tmp_path, methane):
    settings = RelaxSettings(engine=ENGINE, fmax_eV_A=0.02, constraint="hydrogen-fixed", rattle_A=0.05)
    outcome = get_engine(ENGINE).relax(methane, settings, SEED, tmp_path / "job")
    assert outcome.converged
    assert outcome.max_force_eV_A < 0.02
    assert outcome.atoms.get_chemical_symbols() == methane.get_chemical_symbols()
    hydrogen = methane.numbers == 1
    assert np.abs(outcome.atoms.positions - methane.positions)[hydrogen].max() < 1e-7
    path = read(tmp_path / "job" / "relaxation.xyz", ":")
    assert len(path) == outcome.n_steps > 2
    assert path[-1].get_potential_energy() == pytest.approx(outcome.energy_eV, abs=1e-6)
    assert path[-1].get_potential_energy() < path[0].get_potential_energy()
    assert [one["title"] for one in outcome.inputs["potcars"]] == ["PAW_PBE H 01Jan2000", "PAW_PBE C 01Jan2000"]
    assert outcome.inputs["program"] == "VASP 6.0.0-standin"
    assert not list((tmp_path / "job").rglob("POTCAR*"))


WORKER = """
import sys
import numpy as np
from pathlib import Path
from hpcstem.simulation.engines import get_engine
from hpcstem.simulation.settings import NVTSettings
from hpcstem.simulation.structures import from_xyz
settings = NVTSettings.parse(__import__("json").loads(sys.argv[2]))
get_engine(settings.engine).nvt(from_xyz(sys.argv[1]), settings, np.random.SeedSequence(3), Path(sys.argv[3]))
"""


def test_five_segments_with_a_kill_in_each_are_one_trajectory(vasp, tmp_path, methane, monkeypatch):
    """The worker is killed while VASP waits after its 4th step; its program goes with it."""
    whole = run_nvt(methane, tmp_path / "whole")
    folder = tmp_path / "parts"
    fault(monkeypatch, hang_after=4)
    for number in range(1, 5):
        arguments = [to_xyz(methane), json.dumps(NVT.to_document()), str(folder)]
        worker = subprocess.Popen([sys.executable, "-c", WORKER, *arguments], env=dict(os.environ))
        try:
            _wait(lambda number=number: (folder / "segments" / f"{number:04d}" / "hanging").exists(), worker)
            family = psutil.Process(worker.pid).children(recursive=True)
            assert any("vasp_std" in " ".join(process.cmdline()) for process in family)
            assert list(folder.rglob("POTCAR"))
        finally:
            worker.send_signal(signal.SIGKILL)
            worker.wait()
        _, alive = psutil.wait_procs(family, timeout=DEADLINE_S)
        assert not alive
    fault(monkeypatch)
    parts = run_nvt(methane, folder)
    assert parts.n_steps == whole.n_steps == N_STEPS
    segments = read_segments(folder)
    assert [(s.first_step, s.last_step) for s in segments] == [(0, 4), (4, 8), (8, 12), (12, 16), (16, 20)]
    assert [s.ended for s in segments] == ["killed"] * 4 + ["finished"]
    assert [_tag(folder, number, "NSW") for number in range(1, 6)] == ["20", "16", "12", "8", "4"]
    # VASP's files have 8 decimals, and CONTCAR's 16 leave rounding errors that motion magnifies.
    assert np.abs(energies(folder) - energies(tmp_path / "whole")).max() < 2e-6
    assert np.abs(parts.atoms.positions - whole.atoms.positions).max() < 2e-7
    assert not list(folder.rglob("POTCAR"))


def _tag(folder, number, name):
    lines = (folder / "segments" / f"{number:04d}" / "INCAR").read_text().splitlines()
    return next(line.split("=")[1].strip() for line in lines if line.startswith(name))


def _wait(what, process):
    end = time.monotonic() + DEADLINE_S
    while not what():
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("faults", "n_kept"),
    [
        ({"die_after": 5, "torn_contcar": True}, 0),
        ({"die_after": 5, "late_vasprun": True}, 0),
        ({"die_after": 5}, 5),
    ],
)
def test_what_a_broken_off_segment_left_decides_where_the_next_begins(
    vasp, tmp_path, methane, monkeypatch, faults, n_kept
):
    """A CONTCAR that breaks off, or is ahead of vasprun.xml, cannot be gone on from without losing a step."""
    fault(monkeypatch, **faults)
    with pytest.raises(SimulationError, match=r"after step \d; got status 137"):
        run_nvt(methane, tmp_path / "job")
    fault(monkeypatch)
    outcome = run_nvt(methane, tmp_path / "job")
    assert outcome.n_steps == N_STEPS
    assert [s.first_step for s in read_segments(tmp_path / "job")] == [0, n_kept]
    times = energies(tmp_path / "job")[:, 1]
    assert np.allclose(times, 0.5 * np.arange(N_STEPS))
    conserved = energies(tmp_path / "job")[:, 5]
    assert np.ptp(conserved) < 0.02


def test_a_deadline_stops_vasp_by_a_file_and_the_next_allocation_goes_on(vasp, tmp_path, methane, monkeypatch):
    fault(monkeypatch, hang_after=6, hang_until_stopcar=True)
    with pytest.raises(SegmentEnded) as ended:
        run_nvt(methane, tmp_path / "job", _NearWhenHanging(tmp_path / "job"))
    assert ended.value.n_steps == 6
    fault(monkeypatch)
    assert run_nvt(methane, tmp_path / "job", Deadline(time.time() + 10_000)).n_steps == N_STEPS
    segments = read_segments(tmp_path / "job")
    assert [(s.last_step, s.ended) for s in segments] == [(6, "time limit"), (20, "finished")]
    first, second = (tmp_path / "job" / "segments" / name for name in ("0001", "0002"))
    assert (second / "POSCAR").read_bytes() == (first / "CONTCAR").read_bytes()
    assert _tag(tmp_path / "job", 2, "LWAVE") == ".TRUE."


class _NearWhenHanging(Deadline):
    """A deadline that nears once VASP waits, so that no clock decides."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        object.__setattr__(self, "folder", folder)

    def allows(self, work_s):
        return not list(self.folder.glob("segments/*/hanging"))


def test_an_error_that_custodian_knows_is_corrected_and_recorded(vasp, tmp_path, methane, monkeypatch):
    fault(monkeypatch, brmix=True)
    outcome = run_nvt(methane, tmp_path / "job")
    assert outcome.n_steps == N_STEPS
    first, second = read_segments(tmp_path / "job")
    assert (first.ended, second.ended) == ("corrected", "finished")
    assert first.corrections[0].startswith("brmix: ")
    assert {"ISTART = 1", "IMIX = 1"} & set((tmp_path / "job/segments/0002/INCAR").read_text().splitlines())


def test_an_error_that_nobody_knows_says_what_vasp_said(vasp, tmp_path, methane, monkeypatch):
    fault(monkeypatch, crash=True)
    with pytest.raises(SimulationError, match="segmentation fault"):
        run_nvt(methane, tmp_path / "job")
    assert read_segments(tmp_path / "job")[0].ended.startswith("failed: status 1: forrtl")


def test_steps_without_self_consistency_are_told(vasp, tmp_path, methane, monkeypatch):
    fault(monkeypatch, unconverged=True)
    outcome = run_nvt(methane, tmp_path / "job")
    assert f"did not converge in {N_STEPS} of {N_STEPS} steps" in outcome.remarks[-1]


def test_what_is_missing_is_named_before_anything_runs(vasp, tmp_path, monkeypatch):
    engine = get_engine(ENGINE)
    with pytest.raises(SimulationError, match=r"no Cr/POTCAR in .*; wanted a name in its library"):
        engine.relax(Atoms("Cr", cell=[5, 5, 5]), RelaxSettings(engine=ENGINE), SEED, tmp_path / "job")
    monkeypatch.setenv("HPCSTEM_VASP_COMMAND", "/nowhere/vasp_std --fast")
    with pytest.raises(SimulationError, match="no /nowhere/vasp_std on PATH"):
        get_engine(ENGINE).relax(molecule("CH4"), RelaxSettings(engine=ENGINE), SEED, tmp_path / "job")
    assert not (tmp_path / "job").exists()


def test_an_adsorbate_is_bound_by_the_sign_that_is_stated(vasp, tmp_path):
    """Adsorption energy E(sheet) + E(adsorbate) - E(both), positive where it is bound: H on benzene."""
    sheet = molecule("C6H6", cell=[10, 10, 10], pbc=True)
    sheet.center()
    adsorbate = Atoms("H", [sheet.positions[0] + np.array([0, 0, 1.1])], cell=sheet.cell, pbc=True)
    found = []
    for name, atoms in (("sheet", sheet), ("adsorbate", adsorbate), ("both", sheet + adsorbate)):
        settings = RelaxSettings(engine=ENGINE, fmax_eV_A=0.05)
        found.append(get_engine(ENGINE).relax(atoms, settings, SEED, tmp_path / name))
    assert all(outcome.converged for outcome in found)
    alone, lone, bound = found
    assert 0.5 < alone.energy_eV + lone.energy_eV - bound.energy_eV < 4
    assert bound.atoms.get_distance(0, 12) == pytest.approx(1.12, abs=0.08)
