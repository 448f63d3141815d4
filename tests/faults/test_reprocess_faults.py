"""Many movies under everything that goes wrong: every good frame once, the bad ones listed.

HPCSTEM_FAULT_MOVIES sets the number of movies.
"""

import json
import os
import subprocess
from contextlib import contextmanager, suppress
from dataclasses import asdict

import numpy as np
import pytest
from killing import DEADLINE_S, descendants, kill, started, wait_for, wait_until_gone
from many_movies import PIXEL_A, SHAPE, atoms_of_frames, rows, small_frames, write_movies
from small_run import hpcstem

from hpcstem.campaign.reprocessing import find_movies
from hpcstem.campaign.reprocessing.manifest import movie_key
from hpcstem.campaign.reprocessing.survey import GIVEN, Survey, file_mark, file_size_and_time
from hpcstem.files import read_json, write_json
from hpcstem.frames import MovieMetadata, write_movie

N_MOVIES = int(os.environ.get("HPCSTEM_FAULT_MOVIES", "60"))
N_FRAMES = 2
CHUNK_MB = SHAPE[0] * SHAPE[1] * 4 * 4e-6
"""Two movies per chunk."""
WORKER = "spawn_main"


@pytest.fixture(scope="module")
def movies(tmp_path_factory):
    """Good movies, one of which has a frame of NaN, a corrupt one, and two that will hang."""
    folder = tmp_path_factory.mktemp("many") / "movies"
    write_movies(folder, N_MOVIES, N_FRAMES)
    frames = small_frames(N_FRAMES)
    frames[1] = np.nan
    write_movie(folder / "m0003.h5", frames, MovieMetadata(pixel_size_A=PIXEL_A))
    (folder / "m0005.h5").write_bytes(b"\x89HDF\r\n\x1a\n and then nothing")
    for path in hanging(folder):
        np.save(path, small_frames(1))
    return folder


def hanging(folder):
    """Two movies in the middle of the list, each in a chunk of its own."""
    return [folder / f"m{N_MOVIES // part:04d}-hangs.npy" for part in (3, 2)]


def arguments(movies, out, **options):
    more = [part for name, value in options.items() for part in (f"--{name}", value)]
    manifest = movies.parent / "list.csv"
    paths = sorted(path for path in movies.iterdir() if path.suffix != ".kept")
    lines = [f"{path},{PIXEL_A if path.suffix == '.npy' else ''}" for path in paths]
    manifest.write_text("\n".join(["path,pixel_size_A", *lines]) + "\n")
    return ["decode", "--manifest", manifest, "--out", out, "--chunk-MB", CHUNK_MB, "--json", *more]


@pytest.fixture(scope="module")
def serial(tmp_path_factory):
    """A site of one process."""
    path = tmp_path_factory.mktemp("site") / "serial.yaml"
    path.write_text("executor: serial\n")
    return path


@pytest.fixture(scope="module")
def unbroken(movies, serial, tmp_path_factory):
    """The dataset of a run to which nothing happens but bad movies."""
    out = tmp_path_factory.mktemp("unbroken") / "out"
    hpcstem(*arguments(movies, out, site=serial), status=4)
    return out


def hang(path, out):
    """Turn a movie into a pipe that nobody writes to: who reads it waits until killed, as on a dead file server.

    The dataset is told that it has looked at the movie before, as it would have while the server still answered.
    """
    path.rename(path.with_suffix(".kept"))
    os.mkfifo(path)
    movie = find_movies([str(path)], PIXEL_A)[0]
    n_bytes, mtime_ns = file_size_and_time(path)
    survey = Survey(
        movie=movie_key(movie),
        path=str(path),
        dataset=None,
        file_sha256="0" * 64,
        n_bytes=n_bytes,
        mtime_ns=mtime_ns,
        file_mark=file_mark(movie),
        n_frames=1,
        rows=SHAPE[0],
        columns=SHAPE[1],
        dtype="<f4",
        format=".npy",
        source="",
        **(dict.fromkeys(GIVEN) | {"pixel_size_A": PIXEL_A}),
    )
    write_json(out / "ledger" / f"survey-{path.stem}.json", {"surveys": [asdict(survey)], "faults": []})


def mend(path):
    path.unlink()
    path.with_suffix(".kept").rename(path)


@contextmanager
def full_disk(folder):
    """A file system without free space on a folder."""
    folder.mkdir(parents=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip(f"no disk can be made full here: {mounted.stderr.decode().strip()}")
    try:
        with suppress(OSError), open(folder / "filler", "wb", buffering=0) as file:
            while True:
                file.write(b"\0" * 1024)
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def somebody_reads(path, program):
    """Wait until a worker has the hanging movie open, and keep it hanging."""
    found = []

    def is_open():
        with suppress(OSError):  # no reader
            found.append(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
        return found

    wait_for(is_open, program)
    try:
        yield
    finally:
        os.close(found[0])


def assert_the_bad_ones_are_listed(out, movies):
    faults = {row["path"]: (row["start"], row["stop"], row["cause"]) for row in rows(out, "faults.parquet")}
    assert faults == {
        str(movies / "m0003.h5"): (1, 2, "non-finite"),
        str(movies / "m0005.h5"): (-1, -1, "unreadable"),
    }


@pytest.fixture
def out(unbroken, tmp_path):
    """A dataset of the same settings, still empty."""
    write_json(tmp_path / "out" / "dataset.json", read_json(unbroken / "dataset.json"))
    return tmp_path / "out"


@pytest.fixture
def hung(movies, out):
    """The two movies that hang, until they are mended."""
    paths = hanging(movies)
    for path in paths:
        hang(path, out)
    yield paths
    for path in paths:
        if path.is_fifo():
            mend(path)


def test_killed_workers_a_killed_program_and_the_time_limit_cost_no_frame(movies, unbroken, out, hung, serial):
    first, second = hung
    with (
        started(*arguments(movies, out, workers=2)) as program,
        somebody_reads(first, program),
        somebody_reads(second, program),
    ):
        workers = descendants(program, WORKER)
        kill(program)
        wait_until_gone(workers, DEADLINE_S)
    kept = atoms_of_frames(out)
    assert 0 < len(kept) < len(atoms_of_frames(unbroken))
    mend(first)
    with started(*arguments(movies, out, workers=2)) as program:
        with somebody_reads(second, program):
            for worker in descendants(program, WORKER):
                kill(worker)
        # Its successor comes to the same movie.
        with somebody_reads(second, program):
            program.terminate()
            _, err = program.communicate(timeout=DEADLINE_S)
    assert program.returncode == 130, err
    assert err.strip().endswith("hpcstem: stopped; the same command goes on from here")
    assert kept.items() <= atoms_of_frames(out).items()
    mend(second)
    done = json.loads(hpcstem(*arguments(movies, out, site=serial), status=4).stdout)
    assert 0 < done["n_frames_done_now"] < done["n_frames_done"]
    assert atoms_of_frames(out) == atoms_of_frames(unbroken)
    assert_the_bad_ones_are_listed(out, movies)
    assert not list(out.rglob("*.tmp"))


def test_a_full_disk_costs_what_was_to_go_there_until_there_is_space(movies, unbroken, out, serial):
    shard = sorted(unbroken.glob("atoms/??"))[1].name
    names = [row["movie"] for row in rows(unbroken, "files.parquet") if row["file"].startswith(f"atoms/{shard}/")]
    with full_disk(out / "atoms" / shard):
        done = json.loads(hpcstem(*arguments(movies, out, workers=2), status=4).stdout)
        unwritten = {fault["movie"]: fault["reason"] for fault in done["faults"] if fault["cause"] == "not written"}
        assert sorted(unwritten) == sorted(names)
        assert "No space left on device" in unwritten[names[0]]
        assert {row["movie"] for row in rows(out, "faults.parquet")} >= set(unwritten)
        wanted = {key: atoms for key, atoms in atoms_of_frames(unbroken).items() if key[0] not in unwritten}
        assert atoms_of_frames(out) == wanted
    hpcstem(*arguments(movies, out, site=serial), status=4)
    assert atoms_of_frames(out) == atoms_of_frames(unbroken)
    assert_the_bad_ones_are_listed(out, movies)


def test_a_movie_that_kills_each_worker_is_listed_and_the_rest_is_done(movies, unbroken, out, hung, serial, tmp_path):
    site = tmp_path / "once.yaml"
    site.write_text("executor: dask\nworkers: 1\nretries: 0\n")
    first, second = hung
    mend(second)
    with started(*arguments(movies, out, site=site)) as program:
        for _ in ("among others", "alone"):
            with somebody_reads(first, program):
                for worker in descendants(program, WORKER):
                    kill(worker)
        # All other movies are still to come, on one worker.
        printed, err = program.communicate(timeout=3 * DEADLINE_S)
    assert program.returncode == 4, err
    died = {fault["path"] for fault in json.loads(printed)["faults"] if fault["cause"] == "worker died"}
    assert str(first) in died
    assert len(died) == 2
    mend(first)
    # Its neighbour in the chunk may have been the one: the next run tries each alone.
    hpcstem(*arguments(movies, out, site=serial), status=4)
    assert atoms_of_frames(out) == atoms_of_frames(unbroken)
