"""`hpcstem decode` of many movies: what it prints, and how it ends."""

import json
import shutil

import pytest
import torch
from many_movies import PIXEL_A, rows, small_frames, write_movies

from hpcstem.frames import MovieMetadata, write_movie
from hpcstem.segmentation import Ensemble
from hpcstem.segmentation.ensemble import find_ensemble, save_member
from hpcstem.segmentation.reference import TOO_SMALL


@pytest.fixture(scope="module")
def movies(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli")
    write_movies(folder / "movies", 2)
    (folder / "serial.yaml").write_text("executor: serial\n")
    (folder / "list.txt").write_text("movies/m0000.h5\nmovies/m0001.h5\nmovies/gone.h5\n")
    return folder


def test_a_pattern_a_manifest_and_a_dry_run(run_here, movies, tmp_path):
    where = ("--out", tmp_path / "out", "--site", movies / "serial.yaml")
    status, out, _ = run_here("decode", movies / "movies/*.h5", *where, "--dry-run")
    assert (status, out.splitlines()[1]) == (0, "to do: 4 frames in 1 chunks")
    assert not (tmp_path / "out").exists()
    status, out, err = run_here("decode", movies / "movies/*.h5", *where)
    assert (status, err) == (0, "")
    assert {(row["score"], row["because"]) for row in rows(tmp_path / "out", "movies.parquet")} == {(None, TOO_SMALL)}
    assert out.startswith("2 of 2 movies, 4 of 4 frames, ")
    status, out, _ = run_here("decode", "--manifest", movies / "list.txt", *where)
    assert status == 4
    assert f"{movies}/movies/gone.h5: missing, tried once" in out
    assert f"faults: {tmp_path}/out/faults.parquet" in out
    status, out, _ = run_here("decode", movies / "movies/m0000.h5", *where, "--json")
    assert status == 0
    found = json.loads(out)
    assert (found["n_movies"], found["n_frames_done"], found["n_frames_done_now"]) == (1, 2, 0)


def test_broken_frames_that_are_neighbours_are_told_as_one(run_here, movies, tmp_path):
    frames = small_frames()
    frames[1:] = 0
    write_movie(tmp_path / "broken.h5", frames, MovieMetadata(pixel_size_A=PIXEL_A))
    (tmp_path / "junk.h5").write_bytes(b"junk")
    status, out, _ = run_here("decode", f"{tmp_path}/*.h5", "--out", tmp_path / "out", "--site", movies / "serial.yaml")
    assert status == 4
    told = [line for line in out.splitlines() if line.startswith("  ")]
    assert told[0] == f"  {tmp_path}/broken.h5 frames 1 to 3: empty, tried once"
    assert told[1].startswith(f"  {tmp_path}/junk.h5: unreadable, tried once; the file cannot be opened; got ")
    assert len(told) == 2


def test_a_member_that_does_not_vote_is_told_of(run_here, movies, tmp_path):
    """One of three sees nothing; the others' chance was measured with all three."""
    model = tmp_path / "model"
    shutil.copytree(find_ensemble("graphene-si"), model)
    (model / "reference.json").unlink()
    names = Ensemble.load(model).card.members
    blind = {key: torch.zeros_like(value) for key, value in Ensemble.load(model).weights[1].items()}
    save_member(model / names[1], blind)
    where = ("--model", model, "--out", tmp_path / "out", "--site", movies / "serial.yaml")
    status, _, err = run_here("decode", movies / "movies/m0000.h5", *where, "--members", "agreeing")
    assert status == 0
    assert "movie m0000 was decoded by 2 of 3 networks; `probability` was calibrated with all of them" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["x.h5", "--dry-run"], "go with a quoted pattern or --manifest"),
        (["x.h5", "--retry-faults"], "go with a quoted pattern or --manifest"),
        (["*.h5", "--bad-frames", "refuse"], "does not go with a dataset"),
        (["*.h5"], "no file"),
        (["x.h5", "--manifest", "l.txt"], "--manifest goes without MOVIES"),
        (["--manifest", "l.txt"], "cannot read the manifest l.txt"),
        (["*.h5", "--chunk-MB", "0"], "--chunk-MB"),
    ],
)
def test_what_does_not_go_together_is_explained(run_here, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    status, out, err = run_here("decode", *arguments, "--out", "o")
    assert status == 2
    assert message in err + out
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gone", "--out", "o"], "no such folder"),
        ([".", "--out", "full"], "other files and no watch.json"),
        ([".", "--out", "o", "--model", "none"], "no ensemble in none"),
        ([".", "--out", "o", "--settle-s", "-1"], "--settle-s"),
    ],
)
def test_what_cannot_be_watched_is_explained(run_here, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").touch()
    status, out, err = run_here("watch", *arguments)
    assert status == 2
    assert message in err + out
    assert not (tmp_path / "o").exists()
