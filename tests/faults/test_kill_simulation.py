"""Simulations go on after kill -9: no job lost, none done twice, the same energies."""

import json
import shutil

import psutil
import pytest
from killing import descendants, finish, kill, started, wait_for, wait_until_gone
from small_run import SMALL, digest, hpcstem, write_campaign

from hpcstem.files import read_json
from hpcstem.simulation.database import database_status, stop_database
from hpcstem.simulation.launchpad import open_launchpad

N_STEPS = 60
WORKER = "hpcstem.simulation.worker"


@pytest.fixture(scope="module")
def prepared(finished_run, tmp_path_factory):
    """A campaign with longer dynamics, and a run of it whose simulation has not begun."""
    folder = tmp_path_factory.mktemp("prepared")
    campaign = write_campaign(folder / "c.yaml", simulation=SMALL["simulation"] | {"n_steps": N_STEPS})
    run = folder / "run"
    shutil.copytree(finished_run.folder, run)
    shutil.rmtree(run / "simulation")
    (run / "stages" / "simulation.json").unlink()
    return campaign, run


@pytest.fixture(scope="module")
def unbroken(prepared, tmp_path_factory):
    """Results of a run that nothing happens to."""
    campaign, run = prepared
    folder = tmp_path_factory.mktemp("unbroken") / "run"
    shutil.copytree(run, folder)
    hpcstem("run", campaign, "--out", folder, "--until", "simulation")
    found = outcome(folder)
    assert len(found["energies"]) == 3
    return found


@pytest.fixture
def run(prepared, tmp_path):
    """A run whose simulation has not begun; no server of it is left."""
    folder = tmp_path / "run"
    shutil.copytree(prepared[1], folder)
    yield folder
    stop_database(folder / "simulation" / "database")


def simulating(prepared, run):
    """Start the run as far as its simulations."""
    return started("run", prepared[0], "--out", run, "--until", "simulation", "--json")


def outcome(run):
    """What must not depend on what happened: energies, structures and trajectories."""
    jobs = read_json(run / "simulation" / "simulation.json")["jobs"]
    return {
        "energies": {job["key"]: (job["energy_eV"], job["temperature_mean_K"]) for job in jobs},
        "files": {path.name: digest(path) for path in sorted((run / "simulation").glob("*.xyz"))},
        "steps": {path.parent.name: path.read_text() for path in (run / "simulation" / "jobs").glob("*/energies.csv")},
    }


def dynamics_are_under_way(run):
    """Whether one of the dynamics has gone a part of its way."""
    lines = [len(path.read_text().splitlines()) for path in run.glob("simulation/jobs/*/energies.csv")]
    return any(5 < n < N_STEPS - 10 for n in lines)


def database_process(run):
    """Number of the process that serves the database."""
    owner = database_status(run / "simulation" / "database").owner
    assert owner is not None
    return owner.pid


def assert_each_job_was_done_once(run, n_launches):
    """Three jobs, three results, one completed launch each."""
    launchpad = open_launchpad(run / "simulation" / "database")
    try:
        assert launchpad.db.results.count_documents({}) == 3
        assert len(launchpad.db.results.distinct("key")) == 3
        assert launchpad.fireworks.count_documents({}) == 3
        assert launchpad.fireworks.count_documents({"state": "COMPLETED"}) == 3
        assert launchpad.launches.count_documents({"state": "COMPLETED"}) == 3
        assert launchpad.launches.count_documents({}) in n_launches
    finally:
        stop_database(run / "simulation" / "database")
    for path in (run / "simulation" / "jobs").glob("*/energies.csv"):
        steps = [int(line.split(",")[0]) for line in path.read_text().splitlines()[1:]]
        assert steps == sorted(set(steps))
        assert steps[-1] == N_STEPS


def test_a_killed_worker_is_replaced(prepared, unbroken, run):
    with simulating(prepared, run) as program:
        wait_for(lambda: dynamics_are_under_way(run), program)
        workers = descendants(program, WORKER)
        assert 1 <= len(workers) <= 2
        for worker in workers:
            kill(worker)
        finish(program)
    assert outcome(run) == unbroken
    assert not database_status(run / "simulation" / "database").running
    assert_each_job_was_done_once(run, n_launches=(4, 5))


def test_a_killed_database_is_started_again(prepared, unbroken, run):
    with simulating(prepared, run) as program:
        wait_for(lambda: dynamics_are_under_way(run), program)
        kill(psutil.Process(database_process(run)))
        finish(program)
    assert outcome(run) == unbroken
    assert not database_status(run / "simulation" / "database").running
    assert_each_job_was_done_once(run, n_launches=(3,))


def test_a_killed_run_goes_on_where_it_was(prepared, unbroken, run):
    with simulating(prepared, run) as program:
        wait_for(lambda: dynamics_are_under_way(run), program)
        workers = descendants(program, WORKER)
        assert workers
        kill(program)
    wait_until_gone(workers)
    assert not (run / "stages" / "simulation.json").exists()
    # Its database outlives it, and is stopped by the run that goes on.
    assert database_status(run / "simulation" / "database").running
    with simulating(prepared, run) as program:
        ended = {stage["name"]: stage["status"] for stage in json.loads(finish(program))["stages"]}
        assert ended["simulation"] == "done"
    assert outcome(run) == unbroken
    assert not database_status(run / "simulation" / "database").running
    assert_each_job_was_done_once(run, n_launches=(4, 5))


def test_everything_killed_at_once_goes_on_where_it_was(prepared, unbroken, run):
    with simulating(prepared, run) as program:
        wait_for(lambda: dynamics_are_under_way(run), program)
        # The program first: it would replace the others.
        for process in [program, *descendants(program, WORKER), psutil.Process(database_process(run))]:
            kill(process)
    with simulating(prepared, run) as program:
        finish(program)
    assert outcome(run) == unbroken
    assert_each_job_was_done_once(run, n_launches=(4, 5))
