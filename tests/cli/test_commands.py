"""Commands on movies and models, by the installed program."""

import json
import shutil

import h5py
import numpy as np
import pytest
import tifffile
import yaml
from small_run import hpcstem, states

from hpcstem.atoms import AtomTable
from hpcstem.frames import MovieMetadata, open_movie, write_movie


@pytest.fixture(scope="module")
def frames():
    """Two small frames."""
    return np.random.default_rng(3).poisson(50, (2, 48, 64)).astype(np.float32)


def write_npy(path, frames):
    np.save(path, frames)


def write_tiff(path, frames):
    tifffile.imwrite(path, frames)


def write_hdf5(path, frames):
    write_movie(path, frames, MovieMetadata(pixel_size_A=0.12, frame_time_s=2.0, beam_current_pA=20.0))


def write_zarr(path, frames):
    import zarr

    zarr.save_array(str(path), frames)


@pytest.mark.parametrize(
    ("name", "write"), [("m.npy", write_npy), ("m.tif", write_tiff), ("m.h5", write_hdf5), ("m.zarr", write_zarr)]
)
def test_frames_info_on_several_formats(run_here, tmp_path, frames, name, write):
    path = tmp_path / name
    write(path, frames)
    status, out, err = run_here("frames", "info", path, "--check", "--json", "--pixel-size-A", "0.2")
    assert (status, err) == (0, "")
    (found,) = json.loads(out)
    assert (found["frames"], found["rows"], found["columns"]) == (2, 48, 64)
    assert found["pixel_size_A"] == 0.2
    assert (found["bad_frames"], found["faults"]) == (0, [])
    assert found["movie"] == str(path)


def test_frames_info_for_people_of_many_movies(tmp_path, frames):
    write_hdf5(tmp_path / "a.h5", frames)
    broken = frames.copy()
    broken[1] = np.nan
    write_npy(tmp_path / "b.npy", broken)
    lines = hpcstem("frames", "info", tmp_path / "a.h5", tmp_path / "b.npy", "--check").stdout.splitlines()
    rows = [line.split() for line in lines]
    assert ["pixel_size_A", "0.12"] in rows
    assert ["pixel_size_A", "unknown"] in rows
    assert ["bad_frames", "1"] in rows
    assert "  frame 1: non-finite" in lines
    dose = next(float(row[1]) for row in rows if row[0] == "dose_e_per_A2_per_frame")
    assert dose == pytest.approx(20e-12 * 2.0 / 1.602176634e-19 / (48 * 64 * 0.12**2))


def test_frames_info_of_one_dataset(run_here, tmp_path, frames):
    with h5py.File(tmp_path / "two.h5", "w") as file:
        file["first"], file["second"] = frames, frames[:1]
    status, _, err = run_here("frames", "info", tmp_path / "two.h5")
    assert status == 2
    assert "first" in err
    assert "second" in err
    status, out, _ = run_here("frames", "info", tmp_path / "two.h5", "--dataset", "second", "--json")
    assert status == 0
    assert json.loads(out)[0]["frames"] == 1


def test_simulate_movie_writes_a_movie_and_its_truth(run_here, tmp_path):
    config = tmp_path / "simulate.yaml"
    config.write_text(yaml.safe_dump({"shape": [96, 128], "n_silicon": 1, "hole_radius_A": 0, "name": "mine"}))
    arguments = ("simulate-movie", "--config", config, "--frames", 2, "--seed", 3, "--json")
    status, out, _ = run_here(*arguments, "--out", tmp_path / "one")
    assert status == 0
    found = json.loads(out)
    movie = open_movie(found["movie"])
    assert (movie.name, movie.n_frames, movie.shape) == ("mine", 2, (96, 128))
    truth = AtomTable.read(found["truth"])
    assert set(truth.frame.tolist()) == {0, 1}
    assert set(truth.movie.tolist()) == {"mine"}
    density_per_A2 = len(truth.in_frame(0)) / (9.6 * 12.8)
    assert density_per_A2 == pytest.approx(0.3818, rel=0.1)
    assert run_here(*arguments, "--out", tmp_path / "two")[0] == 0
    np.testing.assert_array_equal(open_movie(tmp_path / "two/movies/mine.h5").read(0, 2), movie.read(0, 2))
    other = ("simulate-movie", "--config", config, "--frames", 2, "--seed", 4, "--out", tmp_path / "three")
    assert run_here(*other)[0] == 0
    assert (open_movie(tmp_path / "three/movies/mine.h5").read(0, 2) != movie.read(0, 2)).any()


@pytest.mark.parametrize("content", ["", "- 1", "n_frame: 2", "shape: [1, 1]", "a: [", "name: ../x"])
def test_a_bad_configuration_of_a_simulated_movie_is_an_error(run_here, tmp_path, content):
    config = tmp_path / "simulate.yaml"
    config.write_text(content)
    status, _, err = run_here("simulate-movie", "--config", config, "--frames", 2, "--out", tmp_path / "out")
    assert status == 2
    assert str(config) in err
    assert not (tmp_path / "out").exists()


def test_decode_twice_does_nothing_the_second_time(run_here, finished_run, tmp_path):
    movie = finished_run.folder / "movies" / "sheet.h5"
    # A mistyped path is no reason to want another folder for the right one; atoms that are there are.
    assert "No such file" in run_here("decode", tmp_path / "mistyped.h5", "--out", tmp_path / "out")[2]
    first = json.loads(hpcstem("decode", movie, "--out", tmp_path / "out", "--workers", 1, "--json").stdout)
    assert first["n_frames"] == 3
    assert first["n_chunks_decoded_now"] == first["n_chunks"] == 1
    assert first["n_atoms"]["C"] > 600
    assert first["faults"] == []
    table = AtomTable.read(first["atoms"][0])
    assert len(table) == sum(first["n_atoms"].values())
    before = states(tmp_path / "out")
    assert json.loads(run_here("decode", movie, "--out", tmp_path / "out", "--json")[1]) == first
    _, text, _ = run_here("decode", movie, "--out", tmp_path / "out")
    assert "holds the atoms of other movies; got sheet" in run_here("decode", "other.h5", "--out", tmp_path / "out")[2]
    assert states(tmp_path / "out") == before
    assert text.startswith("3 frames, ")
    assert f"atoms: {first['atoms'][0]}" in text
    # Chunks of one frame and chunks of three have the same atoms.
    whole = AtomTable.read(finished_run.folder / "decode" / "atoms" / "sheet")
    np.testing.assert_array_equal(whole.positions_A, table.positions_A)


TINY = {
    "members": 1,
    "steps": 40,
    "n_samples": 16,
    "n_validation": 4,
    "filters": 4,
    "seed": 1,
    "recipe": {"n_pixels": 64, "electrons_per_carbon": [500, 2000]},
}


def test_train_writes_an_ensemble_that_decodes(run_here, finished_run, tmp_path, monkeypatch):
    config = tmp_path / "tiny.yaml"
    config.write_text(yaml.safe_dump(TINY))
    assert json.loads(run_here("train", config, "--out", tmp_path / "model", "--dry-run")[1])["steps"] == 40
    assert not (tmp_path / "model").exists()
    train = ("train", config, "--out", tmp_path / "model", "--json")
    found = json.loads(hpcstem(*train, "--no-reference").stdout)
    assert found["ensemble"] == str(tmp_path / "model")
    before = states(tmp_path / "model")
    assert "reference.json" not in before
    monkeypatch.setattr("hpcstem.segmentation.reference.N_IMAGES", 16)
    monkeypatch.setattr("hpcstem.segmentation.reference.N_HELD_OUT", 8)
    monkeypatch.setattr("hpcstem.segmentation.reference.N_FAINT", 4)
    found = json.loads(run_here(*train)[1])
    examined = states(tmp_path / "model")
    assert "reference.json" in examined
    weights = "member-00.safetensors"
    assert examined[weights] == before[weights]
    assert json.loads(run_here(*train)[1]) == found
    assert states(tmp_path / "model") == examined
    movie = finished_run.folder / "movies" / "sheet.h5"
    site = tmp_path / "serial.yaml"
    site.write_text("executor: serial\n")
    arguments = ["decode", movie, "--out", tmp_path / "out", "--model", tmp_path / "model", "--site", site, "--json"]
    decoded = json.loads(run_here(*arguments)[1])
    described = {"name": "model", "sha256": found["sha256"], "n_members": 1, "calibrated": True, "pixel_size_A": 0.16}
    assert decoded["model"] == described


@pytest.mark.parametrize(
    ("change", "message"),
    [({"step": 1}, "unknown key step; did you mean 'steps'"), ({"members": 0}, "members"), ({"seed": -1}, "seed")],
)
def test_a_bad_configuration_of_a_training_is_an_error(run_here, tmp_path, change, message):
    config = tmp_path / "tiny.yaml"
    config.write_text(yaml.safe_dump(TINY | change))
    status, _, err = run_here("train", config, "--out", tmp_path / "model")
    assert status == 2
    assert message in err
    assert not (tmp_path / "model").exists()


def test_report_writes_where_it_is_told(finished_run, tmp_path):
    done = hpcstem("report", finished_run.folder, "--out", tmp_path / "page.html", "--json")
    assert json.loads(done.stdout) == {"report": str(tmp_path / "page.html")}
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.lstrip().casefold().startswith("<!doctype html>")
    assert "small" in page
    # Nothing from elsewhere.
    assert not any(mark in page for mark in ('src="http', 'href="http://', "@import", "<script src"))


def test_report_of_something_else_is_an_error(run_here, tmp_path):
    status, _, err = run_here("report", tmp_path)
    assert status == 2
    assert str(tmp_path) in err
    assert not any(tmp_path.iterdir())


def test_doctor_has_a_line_for_each_check_and_fails_where_something_needed_is_broken(run_here, monkeypatch):
    from hpcstem.checks import Check, Status

    good, bad = Check("one", Status.OK, "works"), Check("two", Status.BROKEN, "does not", "mend it")
    monkeypatch.setattr("hpcstem.execution.checks", lambda site: [good])
    monkeypatch.setattr("hpcstem.simulation.checks.checks", lambda: [bad, Check("three", Status.ABSENT, "is not here")])
    status, out, _ = run_here("doctor")
    assert status == 1
    assert [line.split() for line in out.splitlines()] == [
        ["ok", "one", "works"],
        ["broken", "two", "does", "not", "→", "mend", "it"],
        ["absent", "three", "is", "not", "here"],
    ]
    found = json.loads(run_here("doctor", "--json")[1])
    assert [(one["name"], one["status"]) for one in found] == [("one", "ok"), ("two", "broken"), ("three", "absent")]
    monkeypatch.setattr("hpcstem.simulation.checks.checks", lambda: [good])
    assert run_here("doctor")[0] == 0


def test_database_starts_once_and_stops(run_here, copied_run):
    def database(verb, *options):
        status, out, _ = run_here("db", verb, copied_run.folder, *options)
        assert status == 0
        return out

    assert json.loads(database("status", "--json"))["running"] is False
    uri = json.loads(database("start", "--json"))["uri"]
    assert uri.startswith("mongodb://")
    try:
        assert database("start").strip() == uri
        found = json.loads(database("status", "--json"))
        assert (found["running"], found["uri"]) == (True, uri)
        # What is running already is left running.
        assert run_here("queue", "status", "--db", copied_run.folder)[0] == 0
        assert json.loads(database("status", "--json"))["running"] is True
    finally:
        assert database("stop").strip() == "stopped"
    assert database("stop").strip() == "was not running"
    assert json.loads(database("status", "--json"))["running"] is False


def test_queue_status_names_each_job_and_stops_what_it_started(run_here, copied_run):
    status, out, _ = run_here("queue", "status", "--db", copied_run.folder, "--json")
    assert status == 0
    found = json.loads(out)
    assert found["counts"] == {"COMPLETED": 3}
    assert sorted(job["kind"] for job in found["jobs"]) == ["nvt", "nvt", "relax"]
    assert all(job["seconds"] > 0 and job["failure"] == "" for job in found["jobs"])
    status, out, _ = run_here("queue", "status", "--db", copied_run.folder)
    assert status == 0
    assert out.splitlines()[0] == "3 COMPLETED"
    assert "small NVT 600 K" in out
    assert json.loads(run_here("db", "status", copied_run.folder, "--json")[1])["running"] is False
    assert not (copied_run.folder / "simulation" / "database-claim.json").exists()


@pytest.mark.parametrize("arguments", [("db", "start"), ("db", "stop"), ("db", "status")])
def test_commands_on_a_run_refuse_another_folder(run_here, tmp_path, arguments):
    status, _, err = run_here(*arguments, tmp_path)
    assert status == 2
    assert "is no run directory; wanted the --out folder of `hpcstem run`" in err
    assert not any(tmp_path.iterdir())


def test_a_folder_without_a_queue_is_refused(run_here, tmp_path):
    status, _, err = run_here("queue", "status", "--db", tmp_path)
    assert status == 2
    assert f"{tmp_path} holds no queue; wanted `hpcstem queue init --db {tmp_path}`" in err
    assert not any(tmp_path.iterdir())


def test_queue_status_before_the_simulation_is_an_error(run_here, copied_run):
    shutil.rmtree(copied_run.folder / "simulation")
    status, _, err = run_here("queue", "status", "--db", copied_run.folder)
    assert status == 2
    assert "has no job queue yet" in err
