"""Bad inputs: a message that names the thing and what to write, a status that is not 0, and nothing overwritten."""

import json
import shutil

import numpy as np
import pytest
import yaml
from small_run import hpcstem, site, states, write_campaign

from hpcstem.atoms import AtomTable
from hpcstem.files import read_json
from hpcstem.frames import MovieMetadata, open_movie, write_movie

MISTAKE, FAILURE = 2, 3


@pytest.fixture
def refused(run_here, tmp_path, monkeypatch):
    """Run a command that has to fail; returns its one-line message."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments, status=MISTAKE):
        found, _, err = run_here(*arguments)
        assert found == status
        assert "Traceback" not in err
        assert err.startswith("hpcstem: ")
        assert err.count("\n") == 1
        return err

    return run


@pytest.fixture
def movie(finished_run, tmp_path):
    """A good movie of three frames that a test may damage."""
    path = tmp_path / "movie.h5"
    shutil.copy2(finished_run.folder / "movies" / "sheet.h5", path)
    return path


@pytest.fixture
def small_movie(movie, tmp_path):
    """A good movie of one frame of 128 by 128 pixels, 0.1 Å each."""
    frames = open_movie(movie).read(0, 1)[:, 40:168, 40:168]
    write_movie(tmp_path / "small.h5", frames, MovieMetadata(pixel_size_A=0.1))
    return tmp_path / "small.h5"


@pytest.fixture
def campaign(movie, tmp_path):
    """Write a campaign of the movie, on the serial executor, with some sections changed."""

    def write(**changes):
        serial = str(site(tmp_path / "serial.yaml", "serial"))
        sections = {"simulate": None, "simulation": None, "movies": [{"path": str(movie)}], "site": serial} | changes
        return write_campaign(tmp_path / "campaign.yaml", **sections)

    return write


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: x\nmovies: [{path: a.h5}]\ndecod: {}\n", "unknown key decod; did you mean 'decode'?"),
        ("name: x\nmovies: [{path: a.h5, pixelsize_A: 1}]\n", "did you mean 'pixel_size_A'?"),
        ("name: x\nmovies: [{path: a.h5\n", "is not YAML"),
        ("name: ../x\nmovies: [{path: a.h5}]\n", "'../x' cannot name results; use letters"),
        ("name: x\nmovies: [{path: a.h5, name: ../../x}]\n", "'../../x' cannot name results"),
        ("name: x\nsimulate: {name: /etc/passwd}\n", "'/etc/passwd' cannot name results"),
        ("name: x\nsimulate: {}\nsimulation: {temperatures_K: [-300]}\n", "greater than 0, got -300"),
        ("name: x\n", "give either `movies:` or `simulate:`"),
        ("", "NoneType; wanted a mapping of keys to values"),
    ],
)
def test_a_wrong_campaign(refused, tmp_path, text, message):
    (tmp_path / "campaign.yaml").write_text(text)
    found = refused("run", "campaign.yaml", "--out", "run")
    assert "campaign.yaml" in found
    assert message in found
    assert not (tmp_path / "run").exists()


def test_a_campaign_that_is_absent(refused, tmp_path):
    found = refused("run", "absent.yaml", "--out", "run")
    assert "'absent.yaml'" in found
    assert "the path of a YAML file, or one of: " in found
    assert "quickstart" in found
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--until", "nothing"], "'nothing'; wanted one of: simulate, frames, training, decode"),
        (["--site", "nowhere"], "'nowhere'"),
        (["--site", "nowhere.yaml"], "nowhere.yaml"),
        (["--movie", "absent.h5"], "absent.h5; got No such file or directory"),
        (["--movie", "serial.yaml"], "serial.yaml"),
        (["--movie", "movie.h5", "--pixel-size-A", "-1"], "pixel_size_A"),
    ],
)
def test_a_wrong_option(refused, campaign, tmp_path, options, message):
    found = refused("run", campaign(), "--out", "run", *options)
    assert message in found
    assert not (tmp_path / "run" / "decode").exists()


@pytest.mark.parametrize("options", [["--until", "nothing"], ["--site", "nowhere"], ["--dry-run", "--site", "nowhere"]])
def test_a_wrong_name_is_refused_before_anything_is_written(refused, campaign, tmp_path, options):
    refused("run", campaign(), "--out", "run", *options)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("model", ["nothing", "./nothing", "../../../etc", "/nowhere/graphene-si", "./empty"])
def test_a_wrong_model(refused, campaign, tmp_path, model):
    (tmp_path / "empty").mkdir()
    found = refused("run", campaign(decode={"model": model}), "--out", "run", "--until", "decode")
    assert "ensemble" in found
    assert "wanted" in found
    assert not (tmp_path / "run" / "decode").exists()


def test_a_model_with_a_damaged_card(run_here, campaign, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "ensemble.json").write_text('{"format": 1}')
    out = tmp_path / "run"
    status, _, err = run_here("run", campaign(decode={"model": "./model"}), "--out", out, "--until", "decode")
    assert status == MISTAKE
    assert f"cannot read the ensemble in {tmp_path / 'model'}" in err
    assert "wanted files written by `hpcstem train`" in err


def test_a_model_with_damaged_weights(refused, campaign, tmp_path):
    from hpcstem.segmentation.ensemble import find_ensemble

    model = tmp_path / "model"
    shutil.copytree(find_ensemble("graphene-si"), model)
    weights = sorted(model.glob("*.safetensors"))[0]
    weights.write_bytes(weights.read_bytes()[:-1000])
    found = refused("run", campaign(decode={"model": "./model"}), "--out", "run", "--until", "decode")
    assert f"cannot read the ensemble in {model}" in found
    assert not list((tmp_path / "run").rglob("*.parquet"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.h5", b"", "empty.h5 cannot be opened"),
        ("empty.tif", b"", "empty.tif"),
        ("text.h5", b"not a movie", "text.h5 cannot be opened"),
        ("text.tif", b"not a movie", "text.tif cannot be opened"),
        ("text.npy", b"not a movie", "text.npy"),
        ("movie.docx", b"not a movie", "movie.docx"),
    ],
)
def test_what_is_no_movie(refused, tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    for arguments in (("frames", "info", name), ("decode", name, "--out", "run")):
        assert message in refused(*arguments)
    assert not (tmp_path / "run" / "decode").exists()


def test_a_movie_without_a_pixel_size(refused, tmp_path):
    np.save(tmp_path / "movie.npy", np.random.default_rng(1).random((2, 64, 64), np.float32))
    found = refused("decode", "movie.npy", "--out", "run")
    assert "pixel size of" in found
    assert "movie.npy; got none in the file; wanted give --pixel-size-A 0.1 (or in the campaign" in found


@pytest.mark.parametrize(
    ("pixel_size_A", "message"),
    [(0.15, "wanted pixel_size_A: 0.1"), (1.0, "pixel_size_A: 0.1"), (0.02, "pixel_size_A: 0.1")],
)
def test_a_wrong_pixel_size_is_told_the_right_one(refused, campaign, small_movie, tmp_path, pixel_size_A, message):
    """Half as much again, ten times too large, five times too small."""
    options = ["--movie", small_movie, "--pixel-size-A", pixel_size_A, "--until", "structure"]
    found = refused("run", campaign(), "--out", "run", *options)
    assert message in found.replace("0.099", "0.1")
    assert not (tmp_path / "run" / "structure" / "structure.json").exists()


def test_a_movie_decoded_at_a_wrong_pixel_size_is_told_the_right_one(run_here, small_movie, tmp_path):
    options = ["--pixel-size-A", 0.16, "--out", tmp_path / "run", "--site", site(tmp_path / "serial.yaml", "serial")]
    status, _, err = run_here("decode", small_movie, *options)
    assert status == 0
    assert "is not like the images that the ensemble was trained on" in err
    assert "wanted pixel_size_A: 0.1 instead of 0.16, if the lattice of movie small is graphene" in err.replace(
        "0.099", "0.1"
    )


def test_a_pixel_size_ten_times_too_small_is_told_the_right_one(refused, campaign, movie):
    options = ["--movie", movie, "--pixel-size-A", 0.01, "--until", "structure"]
    found = refused("run", campaign(), "--out", "run", *options)
    assert "field of 2.56 Å at 0.01 Å per pixel; wanted at least 4.0 Å" in found
    assert "pixel_size_A: 0.1 instead of 0.01, if the lattice of movie movie is graphene" in found


def test_a_truncated_movie(refused, run_here, campaign, movie, tmp_path):
    content = movie.read_bytes()
    movie.write_bytes(content[: 2 * len(content) // 3])
    found = refused("run", campaign(frames={"bad_frames": "refuse"}), "--out", "run", "--until", "decode")
    assert "of movie movie; got truncated; wanted whole frames; write `bad_frames: skip` under `frames:`" in found
    assert run_here("run", campaign(), "--out", "run", "--until", "decode")[0] == 0
    decoded = read_json(tmp_path / "run" / "decode" / "decode.json")
    assert {fault["kind"] for fault in decoded["faults"]} == {"truncated"}
    assert decoded["n_frames"] + len(decoded["faults"]) == 3


def test_a_frame_with_nan(refused, run_here, campaign, movie, tmp_path):
    good = open_movie(movie)
    frames = good.read(0, 3)
    frames[1, 100, 100] = np.nan
    write_movie(movie, frames, good.metadata)
    found = refused("run", campaign(frames={"bad_frames": "refuse"}), "--out", "run", "--until", "decode")
    assert "frame 1 of movie movie; got non-finite; wanted whole frames" in found
    assert run_here("run", campaign(), "--out", "run", "--until", "structure")[0] == 0
    decoded = read_json(tmp_path / "run" / "decode" / "decode.json")
    assert decoded["faults"] == [{"movie": "movie", "frame": 1, "kind": "non-finite"}]
    assert set(AtomTable.read(tmp_path / "run" / "decode" / "atoms" / "movie").frame.tolist()) == {0, 2}
    status, out, _ = run_here("decode", movie, "--out", "other", "--site", "serial.yaml")
    assert status == 0
    assert "  movie frame 1: non-finite" in out.splitlines()


def test_pure_noise(refused, campaign, tmp_path):
    noise = np.random.default_rng(1).poisson(100, (1, 192, 192)).astype(np.float32)
    write_movie(tmp_path / "noise.h5", noise, MovieMetadata(pixel_size_A=0.1))
    found = refused("run", campaign(movies=[{"path": "noise.h5"}]), "--out", "run", "--until", "structure")
    assert "length calibration on the first C–C peak" in found or "atoms of the movies; got none in any frame" in found
    # What could be done is kept: decoding found what it found.
    assert read_json(tmp_path / "run" / "decode" / "decode.json")["n_frames"] == 1


def test_no_atoms_at_all(refused, campaign, tmp_path):
    """Every frame is left out; that is said by the stage that cannot go on."""
    frames = np.full((2, 128, 128), np.nan, np.float32)
    write_movie(tmp_path / "empty.h5", frames, MovieMetadata(pixel_size_A=0.1))
    found = refused("run", campaign(movies=[{"path": "empty.h5"}]), "--out", "run")
    assert "atoms of the movies; got none in any frame; wanted frames in which atoms can be seen" in found
    decoded = read_json(tmp_path / "run" / "decode" / "decode.json")
    assert (decoded["n_frames"], decoded["n_atoms"], len(decoded["faults"])) == (0, {}, 2)


def test_a_region_larger_than_the_frame(refused, campaign, tmp_path):
    sections = {"structure": {"region_size_A": 50}, "simulation": {"temperatures_K": [300]}}
    found = refused("run", campaign(**sections), "--out", "run", status=FAILURE)
    assert "no region to simulate; got region of 50 Å; got a frame of 25." in found
    assert "wanted a smaller region; wanted another `region_size_A:`" in found
    structure = read_json(tmp_path / "run" / "structure" / "structure.json")
    assert structure["region"] is None
    assert len(structure["movies"][0]["frames"]) == 3


def test_a_region_of_before_is_not_simulated(refused, copied_run):
    sections = {"structure": {"region_size_A": 50}}
    write_campaign(copied_run.campaign, **sections)
    found = refused("run", copied_run.campaign, "--out", copied_run.folder, status=FAILURE)
    assert "no region to simulate" in found
    assert not (copied_run.folder / "structure" / "region.xyz").exists()


def test_atoms_of_an_unknown_species_are_found_again(run_here, copied_run):
    """Not a mistake that stops the run: the chunk is not what was written, and is decoded anew."""
    chunk = copied_run.folder / "decode" / "atoms" / "sheet" / "chunk-000000-000001.parquet"
    table = AtomTable.read(chunk)
    species = table.species.copy()
    species[0] = "Qq"
    table.with_columns(species=species).write(chunk)
    arguments = ["run", copied_run.campaign, "--out", copied_run.folder, "--until", "decode"]
    serial = site(copied_run.campaign.with_name("serial.yaml"), "serial")
    assert run_here(*arguments, "--site", serial)[0] == 0
    assert set(AtomTable.read(chunk).species.tolist()) <= {"C", "Si"}


def test_an_out_folder_of_other_files(refused, campaign, tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("precious")
    before = states(tmp_path / "thesis")
    for options in ([], ["--dry-run"]):
        found = refused("run", campaign(), "--out", "thesis", *options)
        assert "thesis holds other files and no run; wanted a new or empty --out folder" in found
    assert states(tmp_path / "thesis") == before


@pytest.mark.parametrize("name", ["run.lock", ".campaign.yaml.123.ab.tmp"])
def test_an_out_folder_of_a_run_that_was_killed_at_its_start(run_here, campaign, tmp_path, name):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / name).write_text("")
    assert run_here("run", campaign(), "--out", tmp_path / "run", "--until", "frames")[0] == 0


def test_an_out_folder_of_another_campaign(refused, finished_run, campaign):
    before = states(finished_run.folder)
    for options in ([], ["--dry-run"]):
        found = refused("run", campaign(name="other"), "--out", finished_run.folder, *options)
        assert "holds the run of campaign 'small'; got 'other'; wanted another --out folder" in found
    assert states(finished_run.folder) == before


@pytest.mark.parametrize("content", ["- 1\n", "a: [\n", "name: [small]\n"])
def test_an_out_folder_with_a_damaged_campaign(refused, copied_run, content):
    (copied_run.folder / "campaign.yaml").write_text(content)
    found = refused("run", copied_run.campaign, "--out", copied_run.folder)
    assert str(copied_run.folder) in found
    assert (copied_run.folder / "campaign.yaml").read_text() == content


def test_an_out_folder_that_is_a_file(refused, campaign, tmp_path):
    (tmp_path / "file").write_text("precious")
    assert "cannot write in" in refused("run", campaign(), "--out", "file")
    assert (tmp_path / "file").read_text() == "precious"


def test_an_out_folder_without_write_permission(campaign, tmp_path, without_privileges):
    closed = tmp_path / "closed"
    closed.mkdir()
    closed.chmod(0o555)
    done = hpcstem("run", campaign(), "--out", closed / "run", status=MISTAKE, before=without_privileges)
    assert "closed/run; got Permission denied; wanted another --out folder" in done.stderr
    done = hpcstem("run", campaign(), "--out", closed, status=MISTAKE, before=without_privileges)
    assert "closed; got Permission denied; wanted another --out folder" in done.stderr
    closed.chmod(0o755)
    assert not any(closed.iterdir())


def test_a_run_that_another_process_works_in(refused, copied_run):
    import fcntl

    with open(copied_run.folder / "run.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = refused("run", copied_run.campaign, "--out", copied_run.folder)
    assert "another hpcstem works in" in found


def test_a_damaged_record_of_a_stage(refused, run_here, copied_run):
    record = copied_run.folder / "stages" / "frames.json"
    record.write_text("[]")
    found = refused("run", copied_run.campaign, "--out", copied_run.folder, "--until", "frames")
    assert f"{record} is no record of a stage; wanted to delete it" in found
    record.unlink()
    status, out, _ = run_here("run", copied_run.campaign, "--out", copied_run.folder, "--until", "frames", "--json")
    assert status == 0
    assert [stage["status"] for stage in json.loads(out)["stages"]] == ["kept", "done"]


def test_a_site_with_a_wrong_key(refused, campaign, tmp_path):
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({"executr": "dask"}))
    found = refused("run", campaign(), "--out", "run", "--site", "mine.yaml")
    assert "mine.yaml" in found
    assert "unknown key executr" in found
    assert "'executor'" in found
    assert not (tmp_path / "run").exists()
