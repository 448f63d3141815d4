"""Kill a worker, the launcher or the database at an awkward moment: the answer is that of an unbroken run."""

import datetime
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from ase.build import molecule
from fireworks import FWAction, FWorker

from hpcstem.errors import SimulationError
from hpcstem.simulation.database import database_status, start_database, stop_database
from hpcstem.simulation.launcher import launch
from hpcstem.simulation.launchpad import open_launchpad
from hpcstem.simulation.owner import Owner
from hpcstem.simulation.queue import queue_counts, queue_status
from hpcstem.simulation.recovery import mend_workflows, owner_document, recover_lost_runs
from hpcstem.simulation.results import find_result, results
from hpcstem.simulation.settings import NVTSettings, RelaxSettings
from hpcstem.simulation.workflow import add_relax_nvt

# The tight relaxation cannot be reached, so that it takes its 150 steps on any machine.
SLOW_RELAX = RelaxSettings(fmax_eV_A=1e-9, max_steps=150, checkpoint_steps=5)
RELAX = RelaxSettings(fmax_eV_A=0.05)
NVT = [NVTSettings(temperature_K=500, n_steps=150, checkpoint_steps=10)]
FILES = ("relaxation.xyz", "relax-final.xyz", "trajectory.xyz", "energies.csv", "nvt-final.xyz")
LAUNCH = """
import sys
from hpcstem.simulation.launcher import launch
from hpcstem.simulation.launchpad import open_launchpad
launch(open_launchpad(sys.argv[1]), sys.argv[2], workers=2)
"""


def add(launchpad, benzene):
    slow = add_relax_nvt(launchpad, "slow", benzene, SLOW_RELAX)
    sweep = add_relax_nvt(launchpad, "sweep", benzene, RELAX, NVT)
    return [slow.relax, sweep.relax, *sweep.nvt]


def outcomes(launchpad, run: Path) -> dict:
    """Return everything that must not depend on what was killed."""
    found = {}
    for result in results(launchpad):
        files = {name: run / "jobs" / result.key / name for name in FILES}
        content = {name: path.read_bytes() for name, path in files.items() if path.exists()}
        found[result.key] = replace(result, wall_s=0.0, segments=()), content
    return found


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory, benzene):
    folder = tmp_path_factory.mktemp("unbroken")
    launchpad = open_launchpad(folder / "db")
    try:
        add(launchpad, benzene)
        assert launch(launchpad, folder / "run", workers=2).counts == {"COMPLETED": 3}
        yield outcomes(launchpad, folder / "run")
    finally:
        stop_database(folder / "db")


def start_launcher(database: Path, run: Path) -> subprocess.Popen:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", LAUNCH, str(database), str(run)]
    return subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL, start_new_session=True)


def wait_for(condition, timeout_s: float = 240.0):
    deadline = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)
    return found


def worker_of(launchpad, key: str) -> int:
    fw_id = launchpad.fireworks.find_one({"spec.key": key})["fw_id"]
    running = launchpad.launches.find_one({"fw_id": fw_id, "state": "RUNNING"})
    return owner_document(running)["pid"]


def n_runs(launchpad, key: str) -> int:
    firework = launchpad.fireworks.find_one({"spec.key": key})
    return len(firework["launches"]) + len(firework["archived_launches"])


def kill_worker_at(launchpad, run, key, checkpoint):
    wait_for((run / "jobs" / key / checkpoint).exists)
    assert not (run / "jobs" / key / "result.json").exists(), "it has ended before it could be killed"
    os.kill(worker_of(launchpad, key), signal.SIGKILL)


def test_killed_workers_in_a_relaxation_and_in_dynamics_change_nothing(database, tmp_path, benzene, unbroken):
    launchpad = open_launchpad(database)
    slow, quick, nvt = add(launchpad, benzene)
    run = tmp_path / "run"
    launcher = start_launcher(database, run)
    kill_worker_at(launchpad, run, slow, "relaxation.npz")
    kill_worker_at(launchpad, run, nvt, "nvt.npz")
    assert launcher.wait(timeout=300) == 0
    assert queue_counts(launchpad) == {"COMPLETED": 3}
    assert outcomes(launchpad, run) == unbroken
    assert [n_runs(launchpad, key) for key in (slow, quick, nvt)] == [2, 1, 2]


@pytest.mark.parametrize("victim", ["launcher", "terminal", "database"])
def test_a_killed_launcher_or_database_changes_nothing(database, tmp_path, benzene, unbroken, victim):
    launchpad = open_launchpad(database)
    _, _, nvt = keys = add(launchpad, benzene)
    run = tmp_path / "run"
    launcher = start_launcher(database, run)
    wait_for((run / "jobs" / nvt / "nvt.npz").exists)
    if victim == "launcher":
        os.kill(launcher.pid, signal.SIGKILL)
    elif victim == "terminal":
        os.killpg(launcher.pid, signal.SIGINT)
    else:
        os.kill(database_status(database).owner.pid, signal.SIGKILL)
    code = launcher.wait(timeout=300)
    if victim == "database":
        assert code == 0
    else:
        # Its workers end with it; the job is left as it is, and a new launcher takes it up.
        assert code != 0
        assert launch(launchpad, run, workers=2).counts == {"COMPLETED": 3}
    assert launchpad.patiently(lambda: queue_counts(launchpad)) == {"COMPLETED": 3}
    assert outcomes(launchpad, run) == unbroken
    assert set(unbroken) == set(keys)
    # Two jobs were cut off at the most: no other was repeated.
    assert sum(n_runs(launchpad, each) for each in keys) <= 5


def test_a_worker_that_dies_after_the_launcher_has_looked_is_found_soon(launchpad, tmp_path):
    """A new launcher may start before the workers of the killed one are gone."""
    add_relax_nvt(launchpad, "h2", molecule("H2"), RELAX)
    process = subprocess.Popen(["sleep", "60"])
    checkout(launchpad, Owner.of(process.pid))
    threading.Timer(1.0, process.kill).start()
    start = time.monotonic()
    assert launch(launchpad, tmp_path / "run", workers=1).counts == {"COMPLETED": 1}
    # Not only when its heartbeat has been missed for long.
    assert time.monotonic() - start < 150
    process.wait()


def test_two_launchers_never_run_a_job_twice(database, tmp_path):
    launchpad = open_launchpad(database)
    for seed in range(6):
        add_relax_nvt(launchpad, f"h2 {seed}", molecule("H2"), RelaxSettings(seed=seed))
    launchers = [start_launcher(database, tmp_path / "run") for _ in range(2)]
    assert [launcher.wait(timeout=300) for launcher in launchers] == [0, 0]
    assert queue_counts(launchpad) == {"COMPLETED": 6}
    assert launchpad.launches.count_documents({}) == 6
    assert len(results(launchpad)) == 6


def test_a_job_that_kills_its_workers_is_given_up(launchpad, tmp_path, benzene):
    # No worker comes to its end or to a checkpoint, however late the killer sees it.
    poison = SLOW_RELAX.model_copy(update={"checkpoint_steps": 10**6, "max_steps": 10**6})
    added = add_relax_nvt(launchpad, "poison", benzene, poison)
    add_relax_nvt(launchpad, "good", molecule("H2"), RELAX)
    folder = tmp_path / "run" / "jobs" / added.relax
    stop = threading.Event()

    def kill_whoever_runs_it():
        while not stop.is_set():
            fw = launchpad.fireworks.find_one({"spec.key": added.relax, "state": "RUNNING"})
            if fw and (folder / "lock").exists():
                running = launchpad.launches.find_one({"fw_id": fw["fw_id"], "state": "RUNNING"})
                owner = Owner.from_document(owner_document(running or {}))
                if owner and owner.is_alive:
                    os.kill(owner.pid, signal.SIGKILL)
            time.sleep(0.02)

    killer = threading.Thread(target=kill_whoever_runs_it)
    killer.start()
    try:
        status = launch(launchpad, tmp_path / "run", workers=2)
    finally:
        stop.set()
        killer.join()
    assert status.counts == {"COMPLETED": 1, "FIZZLED": 1}
    failed = next(job for job in status.jobs if job.state == "FIZZLED")
    assert failed.key == added.relax
    assert "its worker ended 3 times, last by signal 9" in failed.failure


def test_workers_that_cannot_start_are_an_error(launchpad, tmp_path, monkeypatch):
    add_relax_nvt(launchpad, "h2", molecule("H2"), RELAX)
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(SimulationError, match="workers end without a job"):
        launch(launchpad, tmp_path / "run")


@pytest.fixture
def ghost():
    """A process that has been killed."""
    process = subprocess.Popen(["sleep", "60"])
    owner = Owner.of(process.pid)
    process.kill()
    process.wait()
    return owner


def checkout(launchpad, owner):
    return launchpad.checkout_fw(FWorker(name="hpcstem", env={"owner": owner.to_document()}), "/nowhere")


def test_a_claim_without_a_launch_is_given_back(launchpad, ghost):
    add_relax_nvt(launchpad, "h2", molecule("H2"), RELAX)
    launchpad.fireworks.update_one({}, {"$set": {"state": "RESERVED", "owner": ghost.to_document()}})
    assert recover_lost_runs(launchpad, 300) == 1
    assert queue_counts(launchpad) == {"READY": 1}


def test_the_claim_of_a_living_worker_stays(launchpad):
    add_relax_nvt(launchpad, "h2", molecule("H2"), RELAX)
    claim = {"state": "RESERVED", "owner": Owner.current().to_document()}
    launchpad.fireworks.update_one({}, {"$set": claim})
    assert recover_lost_runs(launchpad, 0) == 0
    assert queue_counts(launchpad) == {"RESERVED": 1}


def test_a_run_of_a_dead_process_is_given_back_once(launchpad, ghost):
    add_relax_nvt(launchpad, "h2", molecule("H2"), RELAX, NVT)
    checkout(launchpad, ghost)
    assert queue_counts(launchpad) == {"RUNNING": 1, "WAITING": 1}
    assert recover_lost_runs(launchpad, 300) == 1
    assert queue_counts(launchpad) == {"READY": 1, "WAITING": 1}
    assert recover_lost_runs(launchpad, 300) == 0
    assert [launch_["state"] for launch_ in launchpad.launches.find({})] == ["FIZZLED"]


def test_a_job_that_another_launcher_has_given_back_is_left_to_who_has_it_now(launchpad, ghost):
    """Two launchers see the same dead worker; the slower one must not take the job from whoever has it by then."""
    add_relax_nvt(launchpad, "h2", molecule("H2"), RELAX)
    fw, lost = checkout(launchpad, ghost)
    assert recover_lost_runs(launchpad, 300) == 1
    again, _ = checkout(launchpad, Owner.current())
    assert again.fw_id == fw.fw_id
    assert not launchpad.requeue(fw.fw_id, lost_launch=lost)
    assert queue_counts(launchpad) == {"RUNNING": 1}


def test_a_run_of_another_host_is_judged_by_its_heartbeat(launchpad, ghost):
    add_relax_nvt(launchpad, "h2", molecule("H2"), RELAX)
    _, launch_id = checkout(launchpad, replace(ghost, host="elsewhere"))
    assert recover_lost_runs(launchpad, 300) == 0
    launchpad.ping_launch(launch_id, datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=301))
    assert recover_lost_runs(launchpad, 300) == 1
    assert queue_counts(launchpad) == {"READY": 1}


def test_a_launch_that_ended_before_its_workflow_knew_is_brought_to_its_end(launchpad):
    add_relax_nvt(launchpad, "h2", molecule("H2"), RELAX, NVT)
    _, launch_id = checkout(launchpad, Owner.current())
    launchpad.launches.update_one(
        {"launch_id": launch_id}, {"$set": {"state": "COMPLETED", "action": FWAction().to_dict()}}
    )
    assert recover_lost_runs(launchpad, 300) == 0
    assert queue_counts(launchpad) == {"COMPLETED": 1, "READY": 1}


def test_a_workflow_that_was_left_half_changed_is_mended(launchpad):
    """Killed after the job was marked as done, before the workflow was: its child would wait for ever."""
    add_relax_nvt(launchpad, "h2", molecule("H2"), RELAX, NVT)
    fw, launch_id = checkout(launchpad, Owner.current())
    launchpad.launches.update_one(
        {"launch_id": launch_id}, {"$set": {"state": "COMPLETED", "action": FWAction().to_dict()}}
    )
    launchpad.fireworks.update_one({"fw_id": fw.fw_id}, {"$set": {"state": "COMPLETED"}})
    assert recover_lost_runs(launchpad, 300) == 0
    assert queue_counts(launchpad) == {"COMPLETED": 1, "WAITING": 1}
    assert mend_workflows(launchpad) == 1
    assert queue_counts(launchpad) == {"COMPLETED": 1, "READY": 1}
    assert mend_workflows(launchpad) == 0


@pytest.mark.parametrize("survivor", ["workflows", "fireworks"])
def test_an_interrupted_addition_is_undone_and_can_be_repeated(launchpad, survivor):
    add_relax_nvt(launchpad, "h2", molecule("H2"), RELAX, NVT)
    launchpad.db["fireworks" if survivor == "workflows" else "workflows"].delete_many({})
    mend_workflows(launchpad)
    assert launchpad.workflows.count_documents({}) == launchpad.fireworks.count_documents({}) == 0
    assert add_relax_nvt(launchpad, "h2", molecule("H2"), RELAX, NVT).n_new == 2
    assert mend_workflows(launchpad) == 0
    assert queue_counts(launchpad) == {"READY": 1, "WAITING": 1}


def test_a_call_in_a_restart_of_the_database_is_repeated(database):
    launchpad = open_launchpad(database)
    add_relax_nvt(launchpad, "h2", molecule("H2"), RELAX)
    os.kill(database_status(database).owner.pid, signal.SIGKILL)
    assert queue_counts(launchpad) == {"READY": 1}
    assert queue_status(launchpad).jobs[0].state == "READY"
    assert find_result(launchpad, "0" * 64) is None
    assert start_database(database)
