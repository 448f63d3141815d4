"""One trajectory over many allocations: stopped in time, terminated or killed, no step is lost or doubled."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from ase.build import molecule
from simulation_toys import Springs, cluster

from hpcstem.errors import SimulationError
from hpcstem.simulation.deadline import Deadline, SegmentEnded
from hpcstem.simulation.jobs import job_folder
from hpcstem.simulation.launcher import launch
from hpcstem.simulation.motion.dynamics import run_nvt
from hpcstem.simulation.motion.relaxation import run_relaxation
from hpcstem.simulation.queue import queue_counts
from hpcstem.simulation.results import find_result
from hpcstem.simulation.segments import SegmentLog, check_progress, read_segments
from hpcstem.simulation.settings import NVTSettings, RelaxSettings
from hpcstem.simulation.workflow import add_relax_nvt

SEED = np.random.SeedSequence(4)
DEADLINE_S = 300
LONG = NVTSettings(temperature_K=300, n_steps=100_000_000, checkpoint_steps=5)
"""Dynamics that cannot end by themselves in the time of a test."""


class AllowsSteps(Deadline):
    """A deadline that is asked so often and then says no."""

    def __init__(self, n_steps):
        super().__init__()
        object.__setattr__(self, "left", n_steps)

    def allows(self, work_s):
        object.__setattr__(self, "left", self.left - 1)
        return self.left > 0


def test_five_times_forty_steps_with_kills_are_bitwise_two_hundred(tmp_path):
    """Each segment is stopped by its deadline or killed, in turns, at steps that no checkpoint falls on."""
    settings = NVTSettings(temperature_K=700, n_steps=200, checkpoint_steps=10, trajectory_steps=7)
    sites = cluster().positions.round()
    whole = run_nvt(cluster(), settings, Springs(sites), SEED, tmp_path / "whole")
    for number in range(4):
        killed = number % 2 == 1
        with pytest.raises(KeyboardInterrupt if killed else SegmentEnded):
            run_nvt(
                cluster(),
                settings,
                Springs(sites, stop_after=43 if killed else None),
                SEED,
                tmp_path / "parts",
                AllowsSteps(10**9 if killed else 44),
            )
    parts = run_nvt(cluster(), settings, Springs(sites), SEED, tmp_path / "parts")
    assert (parts.atoms.positions == whole.atoms.positions).all()
    assert parts.drift_eV_atom_ps == whole.drift_eV_atom_ps
    for name in ("trajectory.xyz", "energies.csv"):
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    segments = read_segments(tmp_path / "parts")
    assert [s.ended for s in segments] == ["time limit", "killed", "time limit", "killed", "finished"]
    assert [(s.first_step, s.last_step) for s in segments] == [(0, 40), (40, 80), (80, 120), (120, 160), (160, 200)]


def test_a_relaxation_goes_on_too(tmp_path):
    settings = RelaxSettings(checkpoint_steps=3, fmax_eV_A=1e-4)
    whole = run_relaxation(cluster(), settings, Springs(cluster().positions.round()), SEED, tmp_path / "whole")
    sites = cluster().positions.round()
    with pytest.raises(SegmentEnded) as ended:
        run_relaxation(cluster(), settings, Springs(sites), SEED, tmp_path / "parts", AllowsSteps(5))
    assert ended.value.n_steps == 3
    parts = run_relaxation(cluster(), settings, Springs(cluster().positions.round()), SEED, tmp_path / "parts")
    assert (parts.atoms.positions == whole.atoms.positions).all()
    assert parts.n_steps == whole.n_steps > 5


def test_a_run_stops_before_a_checkpoint_that_it_cannot_reach(tmp_path):
    """One step fits into the time that is left, the ten to the next checkpoint do not."""

    class OnlyShortWork(Deadline):
        def allows(self, work_s):
            return work_s < 5 * step_s

    class Slow(Springs):
        def __call__(self, positions):
            time.sleep(step_s)
            return super().__call__(positions)

    step_s = 0.05
    settings = NVTSettings(temperature_K=300, n_steps=30, checkpoint_steps=10)
    with pytest.raises(SegmentEnded) as ended:
        run_nvt(cluster(), settings, Slow(cluster().positions.round()), SEED, tmp_path, OnlyShortWork())
    assert ended.value.n_steps in (0, 10)


def test_segments_without_a_step_come_to_an_end(tmp_path):
    def stopped(allocation_end_s):
        check_progress(tmp_path)
        SegmentLog(tmp_path).begin(7).stop(SegmentEnded(7, Deadline(allocation_end_s)))

    # What is claimed again when its allocation is nearly over says nothing of the next.
    for _ in range(5):
        stopped(1000.0)
    stopped(2000.0)
    stopped(3000.0)
    with pytest.raises(SimulationError, match="3 allocations in a row without a step"):
        check_progress(tmp_path)


def test_a_record_that_is_none(tmp_path):
    (tmp_path / "segments.jsonl").write_text('{"number": 1}\n')
    with pytest.raises(SimulationError, match="cannot read"):
        read_segments(tmp_path)


def test_an_allocation_that_ends_leaves_the_job_ready(launchpad, tmp_path):
    """The job is claimed, sees that no time is left, and is done by a later allocation."""
    from fireworks import FWorker
    from fireworks.core.rocket_launcher import launch_rocket

    added = add_relax_nvt(launchpad, "h2", molecule("H2"), RelaxSettings())
    environment = {"run_directory": str(tmp_path), "owner": launchpad.owner.to_document(), "end_time": time.time()}
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert launch_rocket(launchpad, FWorker(name="test", env=environment), strm_lvl="ERROR")
    assert queue_counts(launchpad) == {"READY": 1}
    assert launchpad.launches.count_documents({"state": "RUNNING"}) == 0
    assert launch(launchpad, tmp_path, workers=1).counts == {"COMPLETED": 1}
    result = find_result(launchpad, added.relax)
    assert [segment["ended"] for segment in result.segments] == ["time limit", "finished"]


def test_a_worker_told_to_end_stops_at_a_whole_step_and_the_next_goes_on(launchpad, tmp_path):
    added = add_relax_nvt(launchpad, "h2", molecule("H2"), RelaxSettings(), [LONG])
    (folder,) = (job_folder(tmp_path, key) for key in added.nvt)
    n_before = 0
    for _ in range(2):
        worker = _worker(launchpad, tmp_path)
        try:
            # More rows than any worker before has left: this one is at work.
            _wait(lambda n_before=n_before: _rows(folder) > n_before + 20, worker)
            worker.send_signal(signal.SIGTERM)
            status = worker.wait(DEADLINE_S)
        finally:
            worker.kill()
            worker.stdin.close()
        assert status == 0
        assert queue_counts(launchpad) == {"COMPLETED": 1, "READY": 1}
        n_before = _rows(folder)
    first, second = read_segments(folder)
    assert first.ended == second.ended == "terminated"
    assert 0 == first.first_step < first.last_step == second.first_step < second.last_step
    steps = np.loadtxt(folder / "energies.csv", delimiter=",", skiprows=1)[:, 0]
    assert (steps == np.arange(len(steps))).all()


def _worker(launchpad, run_directory):
    config = {"address": launchpad.address, "run_directory": str(run_directory), "heartbeat_s": 15}
    config |= {"end_time": None, "idle_s": None}
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


def _rows(folder):
    path = folder / "energies.csv"
    return len(path.read_text().splitlines()) if path.exists() else 0
