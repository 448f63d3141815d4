"""External engines through the real queue: a worker that is told to end leaves its job to the next."""

import json
import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest
from ase.build import molecule
from ase.io import read

from hpcstem.simulation.jobs import job_folder
from hpcstem.simulation.launcher import launch
from hpcstem.simulation.programs import POTCAR_LIBRARY, VASP_COMMAND
from hpcstem.simulation.queue import queue_counts
from hpcstem.simulation.results import find_result
from hpcstem.simulation.settings import NVTSettings, RelaxSettings
from hpcstem.simulation.workflow import add_relax_nvt

DEADLINE_S = 300
STANDIN = Path(__file__).parents[1] / "standins" / "vasp_std.py"


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A site with a stand-in for VASP."""
    if find_spec("custodian") is None:
        pytest.skip("pip install 'hpcstem[vasp]'")
    for name in ("C", "H"):
        path = tmp_path / "potcars" / name / "POTCAR"
        path.parent.mkdir(parents=True)
        path.write_text(f"  PAW_PBE {name} 01Jan2000\n")
    monkeypatch.setenv(VASP_COMMAND, f"{sys.executable} {STANDIN}")
    monkeypatch.setenv(POTCAR_LIBRARY, str(tmp_path / "potcars"))


def test_vasp_goes_on_in_the_next_allocation(launchpad, tmp_path, site, monkeypatch):
    engine = {"name": "vasp", "k_points": [1, 1, 1]}
    relax = RelaxSettings.parse({"engine": engine, "fmax_eV_A": 0.05})
    nvt = NVTSettings.parse({"engine": engine, "temperature_K": 300, "timestep_fs": 1.0, "n_steps": 8})
    methane = molecule("CH4", cell=[7, 7, 7], pbc=True)
    methane.center()
    added = add_relax_nvt(launchpad, "methane", methane, relax, [nvt])
    run_directory = tmp_path / "run"
    assert not run_directory.exists()
    # Dynamics cannot end before the worker is told to.
    monkeypatch.setenv("VASP_STANDIN", json.dumps({"hang_after": 3, "hang_until_stopcar": True, "only_dynamics": True}))
    folder = job_folder(run_directory, added.nvt[0])
    worker = _worker(launchpad, run_directory)
    try:
        _wait(lambda: (folder / "segments" / "0001" / "hanging").exists(), worker)
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(DEADLINE_S) == 0
    finally:
        worker.kill()
        worker.stdin.close()
    assert queue_counts(launchpad) == {"COMPLETED": 1, "READY": 1}
    monkeypatch.delenv("VASP_STANDIN")
    assert launch(launchpad, run_directory, workers=1).counts == {"COMPLETED": 2}
    result = find_result(launchpad, added.nvt[0])
    assert [(one["first_step"], one["last_step"], one["ended"]) for one in result.segments] == [
        (0, 3, "terminated"),
        (3, 8, "finished"),
    ]
    assert result.converged
    assert result.method == "PBE PAW, 400 eV, 1×1×1 k-points (VASP)"
    assert [one["name"] for one in result.inputs["potcars"]] == ["C", "H"]
    assert "coarse for bonds to hydrogen" in result.remarks[0]
    assert [frame.info["step"] for frame in read(run_directory / result.trajectory, ":")] == [0]
    assert not list(run_directory.rglob("POTCAR"))


def _worker(launchpad, run_directory):
    config = {"address": launchpad.address, "run_directory": str(run_directory), "heartbeat_s": 15}
    config |= {"end_time": None, "idle_s": None}
    run_directory.mkdir()
    worker = subprocess.Popen(
        [sys.executable, "-m", "hpcstem.simulation.worker"],
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=run_directory,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    worker.stdin.write(json.dumps(config) + "\n")
    worker.stdin.flush()
    return worker


def _wait(what, worker):
    deadline = time.monotonic() + DEADLINE_S
    while not what():
        assert worker.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
