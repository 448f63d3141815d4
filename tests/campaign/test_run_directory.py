"""The run directory: what is done, from what, and who works in it."""

import json
import os
import subprocess
import sys
import time

import pytest

from hpcstem.campaign.run import InputDigests, Outputs, Run, fingerprint
from hpcstem.errors import HpcstemError
from hpcstem.files import sha256


@pytest.fixture
def run(tmp_path):
    """A run with one finished stage."""
    run = Run(tmp_path / "run")
    for name in ("data.bin", "notes.json"):
        path = run.path(f"out/{name}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"content of {name}")
    run.finish("stage", "f1", Outputs((run.path("out/data.bin"),), (run.path("out/notes.json"),)), 1.23456)
    return run


def test_a_fingerprint_depends_on_settings_and_inputs_and_not_on_their_order():
    first = fingerprint({"a": 1, "b": [1.5, None]}, {"x": "1", "y": "2"})
    assert first == fingerprint({"b": [1.5, None], "a": 1}, {"y": "2", "x": "1"})
    others = [
        fingerprint({"a": 1, "b": [1.5]}, {"x": "1", "y": "2"}),
        fingerprint({"a": 1, "b": [1.5, None]}, {"x": "1", "y": "3"}),
        fingerprint({"a": 1, "b": [1.5, None]}, {"x": "1"}),
        fingerprint({"a": 1, "b": [1.5, None]}, {"x": "1", "z": "2"}),
        fingerprint(None, {}),
    ]
    assert len({first, *others}) == 6


def test_a_stage_is_done_while_all_is_as_it_was(run):
    assert run.is_done("stage", "f1")
    assert not run.is_done("stage", "f2")
    assert not run.is_done("other", "f1")
    assert run.data_digests("stage") == {"out/data.bin": sha256(run.path("out/data.bin"))}
    assert run.data_digests("other") == {}
    assert run.record("stage")["seconds"] == 1.235


@pytest.mark.parametrize("name", ["out/data.bin", "out/notes.json"])
def test_a_file_that_is_touched_is_unchanged_and_one_that_differs_is_not(run, name):
    path = run.path(name)
    content = path.read_bytes()
    os.utime(path, ns=(1, time.time_ns()))
    assert run.is_done("stage", "f1")
    path.write_bytes(content[:-1] + b"X")
    assert not run.is_done("stage", "f1")
    path.write_bytes(content)
    assert run.is_done("stage", "f1")
    path.write_bytes(content + b"X")
    assert not run.is_done("stage", "f1")
    path.unlink()
    assert not run.is_done("stage", "f1")
    path.mkdir()
    assert not run.is_done("stage", "f1")


def test_intact_knows_recorded_data(run):
    path = run.path("out/data.bin")
    assert run.intact("stage", path)
    path.write_text("something else")
    assert not run.intact("stage", path)
    assert run.intact("other", path)
    assert run.intact("stage", run.path("out/new.bin"))


@pytest.mark.parametrize(("content", "message"), [("[]", "no record"), ('{"data": {}}', "no record"), ("{", "JSON")])
def test_a_damaged_record_is_an_error_that_names_it(run, content, message):
    run.path("stages/stage.json").write_text(content)
    with pytest.raises(HpcstemError, match=message) as error:
        run.is_done("stage", "f1")
    assert "stages/stage.json" in str(error.value)


def test_a_record_that_leads_out_is_refused(run):
    path = run.path("stages/stage.json")
    record = json.loads(path.read_text())
    record["data"] = {"../../secret": record["data"]["out/data.bin"]}
    path.write_text(json.dumps(record))
    with pytest.raises(HpcstemError, match="leads out"):
        run.is_done("stage", "f1")
    with pytest.raises(HpcstemError, match="leads out"):
        run.path("../secret")


def test_others_are_removed(run):
    kept = run.path("out/data.bin")
    stray = run.path("out/stray.bin")
    stray.write_text("left by a killed worker")
    run.remove_others("out/*.bin", [kept])
    assert sorted(path.name for path in run.path("out").iterdir()) == ["data.bin", "notes.json"]


def test_the_lock_is_held_against_other_processes_and_released_by_a_kill(run):
    script = """
import sys, time
from pathlib import Path
from hpcstem.campaign.run import Run
with Run(Path(sys.argv[1])).locked():
    print("held", flush=True)
    time.sleep(100)
"""
    holder = subprocess.Popen([sys.executable, "-c", script, str(run.folder)], stdout=subprocess.PIPE)
    try:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(HpcstemError, match="another hpcstem works in"), run.locked():
            pass
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()
    with run.locked():
        assert holder.poll() is not None


def test_the_lock_is_given_back_after_an_error(run):
    with pytest.raises(ZeroDivisionError), run.locked():
        1 / 0  # noqa: B018
    with run.locked():
        pass


def test_a_run_directory_that_is_a_file_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(HpcstemError, match="cannot write in"), Run(tmp_path / "file").locked():
        pass


def test_digests_of_inputs_are_computed_once(run, tmp_path, monkeypatch):
    path = tmp_path / "movie.h5"
    path.write_text("frames")
    first = InputDigests(run).of(path)
    assert first == sha256(path)

    def computed(path):
        raise AssertionError(f"{path} was read again")

    with monkeypatch.context() as patch:
        patch.setattr("hpcstem.campaign.run.sha256", computed)
        again = InputDigests(run)
        assert again.of(path) == first
        assert again.used == {str(path): first}
        path.write_text("other frames")
        with pytest.raises(AssertionError, match="read again"):
            again.of(path)
    assert InputDigests(run).of(path) == sha256(path) != first


def test_digests_of_folders_are_always_computed(run, tmp_path):
    store = tmp_path / "store.zarr"
    store.mkdir()
    (store / "chunk").write_text("1")
    digests = InputDigests(run)
    first = digests.of(store)
    before = store.stat()
    (store / "chunk").write_text("2")
    os.utime(store, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert digests.of(store) == sha256(store) != first


def test_digests_are_not_kept_where_nothing_may_be_written(run, tmp_path):
    path = tmp_path / "movie.h5"
    path.write_text("frames")
    assert InputDigests(run, keep=False).of(path) == sha256(path)
    assert not run.path("stages/inputs.json").exists()


def test_an_input_that_is_absent_is_an_error(run, tmp_path):
    with pytest.raises(HpcstemError, match=r"cannot read .*movie\.h5; got No such file"):
        InputDigests(run).of(tmp_path / "movie.h5")
