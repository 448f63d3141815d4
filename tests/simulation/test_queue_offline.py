"""Jobs taken out for nodes that do not reach the database: they run without it, and their outcome comes back once."""

import secrets

import pytest
from ase.build import molecule
from small_run import run_here  # noqa: F401

from hpcstem.simulation import offline
from hpcstem.simulation.database import start_database, stop_database
from hpcstem.simulation.launcher import launch
from hpcstem.simulation.launchpad import open_launchpad
from hpcstem.simulation.place import create_place, read_place
from hpcstem.simulation.queue import queue_counts, queue_status
from hpcstem.simulation.results import find_result
from hpcstem.simulation.settings import NVTSettings, RelaxSettings
from hpcstem.simulation.steering import resume
from hpcstem.simulation.workflow import add_relax_nvt

HOT = [NVTSettings(temperature_K=300, n_steps=2)]


def test_jobs_run_while_their_database_is_away_and_come_back_once(tmp_path, run_here, monkeypatch):  # noqa: F811
    place = create_place(tmp_path / "q")
    launchpad = open_launchpad(place.address)
    done = add_relax_nvt(launchpad, "done", molecule("H2"), RelaxSettings())
    assert launch(launchpad, place.folder, workers=1).counts == {"COMPLETED": 1}
    # One starts from what is there already, one has its relaxation with it, one will fail.
    late = add_relax_nvt(launchpad, "done", molecule("H2"), RelaxSettings(), HOT)
    whole = add_relax_nvt(launchpad, "whole", molecule("H2"), RelaxSettings(seed=1), HOT)
    lame = add_relax_nvt(launchpad, "lame", molecule("H2O"), RelaxSettings(max_steps=1), HOT)
    status, text, err = run_here("queue", "take", tmp_path / "out", "--db", place.folder)
    assert status == 0, err
    assert "5 jobs in " in text
    assert queue_counts(launchpad) == {"COMPLETED": 1, "PAUSED": 5}
    # Nobody can start them here.
    assert resume(launchpad, {}) == 0
    assert launch(launchpad, place.folder, workers=1).counts == {"COMPLETED": 1, "PAUSED": 5}

    stop_database(place.address)
    status, text, err = run_here("queue", "launch", "--db", tmp_path / "out", "--slots", 1)
    assert status == 0, err
    assert text.startswith("4 COMPLETED, 1 FIZZLED")
    start_database(place.address)
    written = {path: path.stat().st_mtime_ns for path in place.folder.glob("jobs/*/*.xyz")}

    # Broken off in the middle, it goes on.
    recorded = offline.record_result

    def breaks_off(queue, result):
        if result.key == whole.nvt[0]:
            raise KeyboardInterrupt
        recorded(queue, result)

    with monkeypatch.context() as patch:
        patch.setattr(offline, "record_result", breaks_off)
        taken = read_place(tmp_path / "out")
        with pytest.raises(KeyboardInterrupt):
            offline.bring_back(launchpad, open_launchpad(taken.address), taken.token, place.folder)
    status, text, err = run_here("queue", "return", tmp_path / "out", "--db", place.folder)
    assert status == 0, err
    assert text.strip() == "2 with their outcome, 0 without, 0 still out"
    # What it held is given back as that of a dead worker, and its outcome taken from the folder.
    launchpad.launches.update_many({"state": "RUNNING"}, {"$set": {"fworker.env.owner.pid": 2**22 + 1}})
    final = launch(launchpad, place.folder, workers=1)
    assert final.counts == {"COMPLETED": 5, "FIZZLED": 1}
    assert "a relaxation that stopped after 1 steps" in next(job.failure for job in final.jobs if job.failure)
    assert all(find_result(launchpad, key) for key in (done.relax, late.nvt[0], whole.relax, whole.nvt[0], lame.relax))
    assert written == {path: path.stat().st_mtime_ns for path in place.folder.glob("jobs/*/*.xyz")}


def raises(error):
    def call(*_):
        raise error

    return call


def test_what_did_not_run_comes_back_when_asked_for(server_uri, tmp_path, run_here, monkeypatch):  # noqa: F811
    uri = f"{server_uri}o{secrets.token_hex(4)}"
    launchpad = open_launchpad(uri)
    add_relax_nvt(launchpad, "h2", molecule("H2"), RelaxSettings(), HOT)
    # Broken off between the two queues, nothing is lost.
    killed = open_launchpad(f"{uri}k")
    with monkeypatch.context() as patch:
        patch.setattr(offline, "add_trees", raises(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            offline.take(launchpad, killed, "token", {}, 9)
    assert queue_counts(launchpad) == {"PAUSED": 2}
    assert offline.bring_back(launchpad, killed, "token", tmp_path) == offline.BroughtBack(0, 2, 0)
    assert queue_counts(launchpad) == {"READY": 1, "WAITING": 1}
    arguments = (tmp_path / "out", "--db", uri, "--folder", tmp_path)
    assert run_here("queue", "take", *arguments)[0] == 0
    again = run_here("queue", "take", *arguments)
    assert (again[0] > 0, "wanted a new folder" in again[2]) == (True, True)
    assert run_here("queue", "return", *arguments)[1].strip() == "0 with their outcome, 0 without, 2 still out"
    status, text, err = run_here("queue", "return", *arguments, "--unfinished")
    assert (status, text.strip()) == (0, "0 with their outcome, 2 without, 0 still out"), err
    assert queue_counts(launchpad) == {"READY": 1, "WAITING": 1}
    assert [job.state for job in queue_status(launchpad).jobs] == ["READY", "WAITING"]
