"""Adding, running and reading jobs, with a real FireWorks launchpad, real workers and GFN1-xTB."""

import pytest
from ase.build import molecule

from hpcstem.errors import DatabaseError, SimulationError
from hpcstem.files import sha256
from hpcstem.simulation.checks import checks
from hpcstem.simulation.launcher import launch
from hpcstem.simulation.launchpad import open_launchpad
from hpcstem.simulation.queue import queue_counts, queue_status, rerun
from hpcstem.simulation.results import find_result, results
from hpcstem.simulation.settings import NVTSettings, RelaxSettings
from hpcstem.simulation.workflow import add_relax_nvt

RELAX = RelaxSettings(fmax_eV_A=0.05)


def nvt(*temperatures_K):
    return [NVTSettings(temperature_K=temperature_K, n_steps=20) for temperature_K in temperatures_K]


def test_adding_twice_adds_nothing_and_more_temperatures_add_those(launchpad, benzene):
    first = add_relax_nvt(launchpad, "benzene", benzene, RELAX, nvt(300, 500))
    assert first.n_new == 3
    again = add_relax_nvt(launchpad, "benzene", benzene, RELAX, nvt(300, 500))
    assert (again.n_new, again.relax, again.nvt) == (0, first.relax, first.nvt)
    more = add_relax_nvt(launchpad, "benzene", benzene, RELAX, nvt(500, 700, 700))
    assert more.n_new == 1
    assert more.nvt[1] == more.nvt[2]
    assert queue_counts(launchpad) == {"READY": 1, "WAITING": 3}
    assert [job.name for job in queue_status(launchpad).jobs] == [
        "benzene relax",
        "benzene NVT 300 K",
        "benzene NVT 500 K",
        "benzene NVT 700 K",
    ]


def test_a_sweep_runs_to_its_end_and_failures_say_why(launchpad, tmp_path, benzene):
    good = add_relax_nvt(launchpad, "benzene", benzene, RELAX, nvt(300, 500))
    lame = add_relax_nvt(launchpad, "water", molecule("H2O"), RelaxSettings(max_steps=1), nvt(300))
    seen = []
    status = launch(launchpad, tmp_path / "run", workers=2, progress=seen.append)
    assert status.counts == {"COMPLETED": 4, "FIZZLED": 1} == seen[-1]
    jobs = {job.key: job for job in status.jobs}
    assert jobs[lame.nvt[0]].state == "FIZZLED"
    assert "a relaxation that stopped after 1 steps" in jobs[lame.nvt[0]].failure
    assert "a larger max_steps" in jobs[lame.nvt[0]].failure
    assert all(job.host and job.seconds > 0 and not job.failure for job in status.jobs if job.state == "COMPLETED")

    found = {result.key: result for result in results(launchpad)}
    assert set(found) == {good.relax, *good.nvt, lame.relax}
    relaxed = found[good.relax]
    assert relaxed.converged
    assert relaxed.max_force_eV_A < 0.05
    assert not found[lame.relax].converged
    for result in found.values():
        assert result.method.startswith("GFN1-xTB (tblite ")
        assert sha256(tmp_path / "run" / result.structure) == result.structure_sha256
        assert (tmp_path / "run" / result.trajectory).exists()
    assert [r.settings["temperature_K"] for r in results(launchpad) if r.kind == "nvt"] == [300, 500]
    assert all(found[key].n_steps == 20 and found[key].temperature_K > 0 for key in good.nvt)

    # A job added later to a relaxation that has ended starts from its outcome.
    late = add_relax_nvt(launchpad, "benzene", benzene, RELAX, nvt(900))
    assert launch(launchpad, tmp_path / "run", workers=1).counts == {"COMPLETED": 5, "FIZZLED": 1}
    assert find_result(launchpad, late.nvt[0]).temperature_K > found[good.nvt[0]].temperature_K
    # Only failed jobs are run again.
    assert rerun(launchpad, [lame.nvt[0], good.relax]) == 1
    assert queue_counts(launchpad) == {"COMPLETED": 5, "READY": 1}


def test_a_result_that_is_there_is_not_computed_again(launchpad, tmp_path, benzene):
    added = add_relax_nvt(launchpad, "benzene", benzene, RELAX)
    launch(launchpad, tmp_path / "run", workers=1)
    folder = tmp_path / "run" / "jobs" / added.relax
    before = (folder / "relaxation.xyz").stat().st_mtime_ns
    expected = find_result(launchpad, added.relax)
    launchpad.fireworks.update_many({}, {"$set": {"state": "FIZZLED"}})

    # From the database, although the folder has lost everything.
    spooled = (folder / "result.json").read_bytes()
    (folder / "result.json").unlink()
    rerun(launchpad, [added.relax])
    assert launch(launchpad, tmp_path / "run", workers=1).counts == {"COMPLETED": 1}
    assert not (folder / "result.json").exists()
    # From the folder, although the database has never heard of it.
    (folder / "result.json").write_bytes(spooled)
    launchpad.db.results.delete_many({})
    launchpad.fireworks.update_many({}, {"$set": {"state": "FIZZLED"}})
    rerun(launchpad, [added.relax])
    launch(launchpad, tmp_path / "run", workers=1)
    assert find_result(launchpad, added.relax) == expected
    assert (folder / "relaxation.xyz").stat().st_mtime_ns == before


def test_priorities(launchpad, tmp_path):
    names = {"last": 0, "first": 5, "second": 3}
    for name, priority in names.items():
        settings = RelaxSettings(max_steps=1, seed=priority)
        add_relax_nvt(launchpad, name, molecule("H2"), settings, priority=priority)
    launch(launchpad, tmp_path / "run", workers=1)
    starts = {launch_["fw_id"]: launch_["time_start"] for launch_ in launchpad.launches.find({})}
    order = [fw["name"] for fw in sorted(launchpad.fireworks.find({}), key=lambda fw: starts[fw["fw_id"]])]
    assert order == ["first relax", "second relax", "last relax"]


EVIL = [
    {"_tasks": [{"_fw_name": "PyTask", "func": "os.mkdir", "args": ["PLACE"]}]},
    {"_tasks": [{"_fw_name": "ScriptTask", "script": "mkdir PLACE"}]},
    {"_tasks": [{"_fw_name": "{{subprocess.Popen}}", "args": ["mkdir", "PLACE"]}]},
    {"_tasks": [], "_background_tasks": [{"_fw_name": "BackgroundTask"}]},
    {"_launch_dir": "PLACE"},
    {"_recovery": {"_prev_dir": "/etc", "_mode": "cp"}},
    {"extra": {"@module": "pathlib", "@class": "Path"}},
]


def test_jobs_that_are_not_ours_are_refused_and_do_nothing(launchpad, tmp_path):
    place = tmp_path / "evil"
    for number, change in enumerate(EVIL):
        settings = RelaxSettings(seed=number)
        added = add_relax_nvt(launchpad, str(number), molecule("H2"), settings, nvt(300))
        changes = {f"spec.{name}": _at(value, str(place)) for name, value in change.items()}
        launchpad.fireworks.update_one({"spec.key": added.relax}, {"$set": changes})
    status = launch(launchpad, tmp_path / "run", workers=1)
    assert status.counts == {"FIZZLED": len(EVIL), "WAITING": len(EVIL)}
    assert not place.exists()
    assert all("SimulationError" in job.failure for job in status.jobs if job.kind == "relax")
    assert results(launchpad) == []


def _at(value, place):
    if isinstance(value, dict):
        return {name: _at(inner, place) for name, inner in value.items()}
    if isinstance(value, list):
        return [_at(inner, place) for inner in value]
    return value.replace("PLACE", place)


def test_numbers_that_make_no_sense(launchpad, tmp_path):
    with pytest.raises(SimulationError, match="workers; got 0"):
        launch(launchpad, tmp_path, workers=0)
    with pytest.raises(SimulationError, match="heartbeat_s"):
        launch(launchpad, tmp_path, heartbeat_s=60, lost_after_s=60)


def test_an_empty_queue_is_done_at_once(launchpad, tmp_path):
    assert launch(launchpad, tmp_path / "run").jobs == ()


def test_a_database_that_cannot_be_reached_does_not_show_its_password(monkeypatch):
    monkeypatch.setattr("hpcstem.simulation.launchpad._REMOTE_SELECTION_MS", 50)
    for uri in ("mongodb://user:secret@127.0.0.1:1/jobs", "mongodb://user:secret@@/"):
        with pytest.raises(DatabaseError) as error:
            open_launchpad(uri)
        assert "secret" not in str(error.value)


def test_two_databases_in_one_server_are_apart(launchpad, server_uri):
    add_relax_nvt(launchpad, "h2", molecule("H2"), RELAX)
    assert queue_counts(open_launchpad(launchpad.address)) == {"READY": 1}
    assert queue_counts(open_launchpad(server_uri + "other")) == {}


def test_the_doctor():
    found = {check.name: check for check in checks()}
    for name in ("embedded database", "FireWorks", "GFN1-xTB"):
        assert found[name].status == "ok", found[name]
    for name in ("VASP", "DFTB+"):
        assert found[name].status in ("ok", "absent")
        assert found[name].fix or found[name].status == "ok"
