"""A dataset of many movies: what is in it, and what a second run does."""

import os
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
from many_movies import PIXEL_A, atoms_of_frames, rows, small_frames, write_movies

from hpcstem.analysis import Surviving
from hpcstem.atoms import AtomTable
from hpcstem.campaign.reprocessing import DatasetSettings, find_movies, plan_reprocessing, reprocess
from hpcstem.campaign.reprocessing.manifest import movie_key
from hpcstem.campaign.reprocessing.survey import SurveyMovies, ToSurvey
from hpcstem.errors import ExecutionError, HpcstemError
from hpcstem.files import sha256
from hpcstem.frames import MovieMetadata, write_movie

SETTINGS = DatasetSettings(chunk_MB=0.12)
"""Three small movies of two frames per chunk."""


@pytest.fixture(scope="module")
def serial(tmp_path_factory):
    path = tmp_path_factory.mktemp("site") / "serial.yaml"
    path.write_text("executor: serial\n")
    return str(path)


@pytest.fixture(scope="module")
def decoded(serial, tmp_path_factory):
    """Five movies and their dataset; copied by those who change it."""
    folder = tmp_path_factory.mktemp("five")
    write_movies(folder / "movies", 5)
    summary = reprocess(find_movies([f"{folder}/movies/*.h5"]), folder / "out", SETTINGS, site=serial)
    return folder, summary


@pytest.fixture
def dataset(decoded):
    """Put back as it was at the end; movies keep their paths, on which keys depend."""
    folder = decoded[0]
    kept = folder.with_name(folder.name + "-kept")
    shutil.copytree(folder, kept)
    yield folder
    shutil.rmtree(folder)
    kept.rename(folder)


@pytest.fixture
def run(dataset, serial):
    def again(pattern="*", settings=SETTINGS, **options):
        return reprocess(
            find_movies([f"{dataset}/movies/{pattern}"]), dataset / "out", settings, site=serial, **options
        )

    return again


def changes(folder):
    """Time of change of each file of atoms."""
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("out/atoms/??/*.parquet")}


def test_every_frame_is_there_and_can_be_traced(decoded):
    folder, summary = decoded
    assert (summary.n_movies, summary.n_movies_done, summary.n_frames, summary.n_frames_done) == (5, 5, 10, 10)
    assert (summary.n_frames_done_now, summary.faults, summary.n_files) == (10, (), 2)
    movies = {row["movie"]: row for row in rows(folder / "out", "movies.parquet")}
    atoms = atoms_of_frames(folder / "out")
    assert set(atoms) == {(movie, frame) for movie in movies for frame in (0, 1)}
    assert sum(map(len, atoms.values())) == sum(summary.n_atoms.values()) > 200
    for row in movies.values():
        assert row["file_sha256"] == sha256(row["path"])
        assert row["n_bytes"] == os.path.getsize(row["path"])
        assert (row["format"], row["pixel_size_A"], row["model"]) == (".h5", PIXEL_A, "graphene-si")
        assert row["n_atoms"] == sum(len(atoms[row["movie"], frame]) for frame in (0, 1))
    for row in rows(folder / "out", "files.parquet"):
        metadata = AtomTable.read(folder / "out" / row["file"]).metadata
        assert metadata["config_sha256"] == movies[row["movie"]]["config_sha256"]
        assert metadata["model_sha256"] == movies[row["movie"]]["model_sha256"]
    assert not list((folder / "out").rglob("*.tmp"))
    assert not list((folder / "out" / "ledger").glob("*"))


def frames_told(dataset):
    """Frames in the table of frames, each of which must be there once."""
    found = [(row["movie"], row["frame"]) for row in rows(dataset / "out", "frames.parquet")]
    assert len(set(found)) == len(found)
    return set(found)


def test_what_frames_show_besides_atoms_is_kept_and_movies_of_another_kind_are_named(dataset, run):
    assert frames_told(dataset) == atoms_of_frames(dataset / "out").keys()
    # A bright spot between the atoms, and a frame of nothing but noise.
    frame = small_frames(1, (160, 160))
    y, x = np.mgrid[: frame.shape[1], : frame.shape[2]]
    spot = 4 * frame.max() * np.exp(-((x - 80) ** 2 + (y - 70) ** 2) / 2 / 2.0**2)
    write_movie(dataset / "movies" / "spot.h5", frame + spot, MovieMetadata(pixel_size_A=PIXEL_A))
    noise = np.random.default_rng(1).poisson(20.0, (2, 128, 128)).astype(np.float32)
    write_movie(dataset / "movies" / "noise.h5", noise, MovieMetadata(pixel_size_A=PIXEL_A))
    again = run("[sn]*")
    assert again.n_frames_done_now == 3
    assert frames_told(dataset) >= {(movie, frame) for movie, frame in atoms_of_frames(dataset / "out")}
    assert [one.path for one in again.unlike] == [str(dataset / "movies" / "noise.h5")]
    assert again.unlike[0].score > 1
    assert "σ" in again.unlike[0].because
    keys = {row["path"]: row["movie"] for row in rows(dataset / "out", "movies.parquet")}
    candidates = rows(dataset / "out", "candidates.parquet")
    (here,) = [row for row in candidates if row["movie"] == keys[str(dataset / "movies" / "spot.h5")]]
    assert np.hypot(here["x_A"] - 80 * PIXEL_A, here["y_A"] - 70 * PIXEL_A) < 1.0
    told = {(row["movie"], row["frame"]): row["n_candidates"] for row in rows(dataset / "out", "frames.parquet")}
    assert sum(told.values()) == len(candidates)


def test_again_does_nothing(dataset, run):
    before = changes(dataset)
    again = run()
    assert (again.n_frames_done, again.n_frames_done_now) == (10, 0)
    assert changes(dataset) == before


def test_only_what_is_missing_is_decoded(dataset, run):
    wanted = atoms_of_frames(dataset / "out")
    lost, kept = sorted(dataset.glob("out/atoms/??/*.parquet"))
    n_lost = pq.read_metadata(lost).num_rows
    os.truncate(lost, lost.stat().st_size - 1)
    before = changes(dataset)
    again = run()
    assert 0 < again.n_frames_done_now < 10
    assert atoms_of_frames(dataset / "out") == wanted
    assert n_lost == pq.read_metadata(lost).num_rows
    assert changes(dataset)[kept.name] == before[kept.name]


def test_more_movies_are_added_to_what_is_there(dataset, run):
    before, wanted = changes(dataset), atoms_of_frames(dataset / "out")
    write_movie(dataset / "movies" / "a-new.h5", small_frames(3), MovieMetadata(pixel_size_A=PIXEL_A))
    again = run()
    assert again.n_frames_done_now == 3
    assert before.items() <= changes(dataset).items()
    assert wanted.items() <= atoms_of_frames(dataset / "out").items()
    alone = run("a-new.h5")
    assert (alone.n_movies, alone.n_frames_done, alone.n_frames_done_now) == (1, 3, 0)
    assert len(rows(dataset / "out", "movies.parquet")) == 6


def test_a_movie_that_changed_is_decoded_again_and_its_neighbours_are_not(dataset, run):
    before = atoms_of_frames(dataset / "out")
    (movie,) = find_movies([f"{dataset}/movies/m0001.h5"])
    key = movie_key(movie)
    write_movie(movie.path, small_frames(3), MovieMetadata(pixel_size_A=PIXEL_A))
    again = run()
    assert again.n_frames_done_now == 3
    after = atoms_of_frames(dataset / "out")
    assert {frame for name, frame in after if name == key} == {0, 1, 2}
    assert {k: v for k, v in before.items() if k[0] != key} == {k: v for k, v in after.items() if k[0] != key}
    assert frames_told(dataset) == after.keys()
    row = next(row for row in rows(dataset / "out", "movies.parquet") if row["movie"] == key)
    assert row["file_sha256"] == sha256(movie.path)


def test_a_touched_movie_is_hashed_and_not_decoded(dataset, run):
    os.utime(dataset / "movies" / "m0000.h5", (1, 1))
    assert run().n_frames_done_now == 0
    row = next(row for row in rows(dataset / "out", "movies.parquet") if row["path"].endswith("m0000.h5"))
    assert row["mtime_ns"] == 10**9


def test_another_pixel_size_decodes_again(dataset, serial):
    movies = find_movies([f"{dataset}/movies/m0000.h5"], pixel_size_A=0.17)
    again = reprocess(movies, dataset / "out", SETTINGS, site=serial)
    assert again.n_frames_done_now == 2
    row = next(row for row in rows(dataset / "out", "movies.parquet") if row["path"].endswith("m0000.h5"))
    assert row["pixel_size_A"] == 0.17
    assert len(atoms_of_frames(dataset / "out")) == 10


def test_frames_that_are_there_twice_are_taken_once(dataset, run):
    wanted = atoms_of_frames(dataset / "out")
    one = sorted(dataset.glob("out/atoms/??/*.parquet"))[0]
    # As a worker of a killed run would, that finished late.
    (dataset / "out/atoms/ff").mkdir(exist_ok=True)
    shutil.copy(one, dataset / "out/atoms/ff" / ("f" * 24 + ".parquet"))
    assert run().n_frames_done_now == 0
    assert atoms_of_frames(dataset / "out") == wanted


def test_bad_movies_and_frames_are_listed_and_the_rest_is_done(dataset, run):
    frames = small_frames(3)
    frames[1] = np.nan
    write_movie(dataset / "movies" / "a-nan.h5", frames, MovieMetadata(pixel_size_A=PIXEL_A))
    write_movie(dataset / "movies" / "b-unknown.h5", frames, MovieMetadata())
    (dataset / "movies" / "c-broken.h5").write_bytes(b"\x89HDF\r\n\x1a\n and then nothing")
    again = run()
    assert (again.n_movies, again.n_movies_done, again.n_frames_done) == (8, 5, 12)
    found = {row["path"].rsplit("/", 1)[1]: row for row in rows(dataset / "out", "faults.parquet")}
    assert {name: (row["start"], row["stop"], row["cause"], row["attempts"]) for name, row in found.items()} == {
        "a-nan.h5": (1, 2, "non-finite", 1),
        "b-unknown.h5": (-1, -1, "unreadable", 1),
        "c-broken.h5": (-1, -1, "unreadable", 1),
    }
    assert "pixel size" in found["b-unknown.h5"]["reason"]
    # Trying again is for those who ask for it, or repair the file.
    assert {fault.attempts for fault in run().faults} == {1}
    assert {fault.attempts for fault in run(retry_faults=True).faults} == {2}
    write_movie(dataset / "movies" / "c-broken.h5", small_frames(1), MovieMetadata(pixel_size_A=PIXEL_A))
    assert {fault.path.rsplit("/", 1)[1] for fault in run().faults} == {"a-nan.h5", "b-unknown.h5"}


def test_a_movie_that_is_gone_for_a_while(dataset, run, serial):
    movies = find_movies([f"{dataset}/movies/*.h5"])
    movie = movies[0].path
    movie.rename(dataset / "aside")
    (fault,) = reprocess(movies, dataset / "out", SETTINGS, site=serial).faults
    assert (fault.path, fault.cause) == (str(movie), "missing")
    assert len(atoms_of_frames(dataset / "out")) == 10
    (dataset / "aside").rename(movie)
    again = run()
    assert (again.faults, again.n_frames_done, again.n_frames_done_now) == ((), 10, 0)


def test_other_settings_are_refused_and_other_folders(dataset, run, serial):
    with pytest.raises(HpcstemError, match="atoms of other settings"):
        run(settings=DatasetSettings(refine=False))
    (dataset / "full").mkdir()
    (dataset / "full" / "thesis.tex").touch()
    with pytest.raises(HpcstemError, match=r"other files and no dataset\.json"):
        reprocess(find_movies([f"{dataset}/movies/*.h5"]), dataset / "full", SETTINGS, site=serial)


def test_a_plan_counts_and_writes_nothing(dataset, tmp_path):
    (dataset / "movies" / "c-broken.h5").write_bytes(b"\x89HDF\r\n\x1a\n and then nothing")
    movies = find_movies([f"{dataset}/movies/*.h5"])
    plan = plan_reprocessing(movies, tmp_path / "new", SETTINGS)
    assert (plan.n_movies, plan.n_frames, plan.n_frames_to_do, plan.n_chunks) == (6, 10, 10, 2)
    ((path, reason),) = plan.unusable
    assert path.endswith("c-broken.h5")
    assert "whole .h5 file" in reason
    assert not (tmp_path / "new").exists()
    before = {path: path.stat().st_mtime_ns for path in (dataset / "out").rglob("*")}
    write_movie(dataset / "movies" / "m0001.h5", small_frames(3), MovieMetadata(pixel_size_A=PIXEL_A))
    plan = plan_reprocessing(movies, dataset / "out", SETTINGS)
    assert (plan.n_frames, plan.n_frames_to_do, plan.n_chunks) == (11, 3, 1)
    assert {path: path.stat().st_mtime_ns for path in (dataset / "out").rglob("*")} == before


def test_movies_whose_survey_killed_its_worker_are_tried_once_more(dataset, run):
    """As an executor does when all workers die that open a batch of movies."""
    for name in ("a.h5", "b.h5"):
        write_movie(dataset / "movies" / name, small_frames(1), MovieMetadata(pixel_size_A=PIXEL_A))
    survey = SurveyMovies(dataset / "out" / "ledger")
    assert isinstance(survey, Surviving)
    batch = tuple(ToSurvey(movie, 1) for movie in find_movies([f"{dataset}/movies/[ab].h5"]))
    assert survey.failed(batch, ExecutionError("batch 1 of 1 failed", "its worker died")) == 0
    again = run()
    assert (again.n_frames_done_now, again.faults) == (2, ())


def test_lost_tables_are_made_again_from_the_files_of_atoms(dataset, run):
    wanted = atoms_of_frames(dataset / "out")
    for name in ("files.parquet", "faults.parquet", "summary.json", "movies.parquet"):
        (dataset / "out" / name).unlink()
    # A list that leaves out some movies does not touch their atoms, although nothing else is known of them.
    assert run("m0000.h5").n_frames_done_now == 0
    assert atoms_of_frames(dataset / "out") == wanted
    # The others are hashed again, and found to be those of the atoms.
    assert run().n_frames_done_now == 0
    assert atoms_of_frames(dataset / "out") == wanted
    assert len(rows(dataset / "out", "movies.parquet")) == 5


def test_a_damaged_table_is_named(dataset, run):
    (dataset / "out" / "movies.parquet").write_bytes(b"PAR1 and then nothing")
    with pytest.raises(HpcstemError, match=r"movies\.parquet.*delete it"):
        run()
    assert len(atoms_of_frames(dataset / "out")) == 10
