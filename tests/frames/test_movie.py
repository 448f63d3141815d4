"""Movies: opening, refusing, pickling, lazy reading."""

import multiprocessing
import os
import pickle
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from hpcstem.errors import MovieError
from hpcstem.frames import Movie, MovieMetadata, open_movie, write_movie


@pytest.fixture
def path(tmp_path, frames):
    write_movie(tmp_path / "scan.h5", frames, MovieMetadata(pixel_size_A=0.104, voltage_kV=60, source="test"))
    return tmp_path / "scan.h5"


def test_what_was_written_is_read(path, frames):
    movie = open_movie(path)
    assert (movie.name, movie.n_frames, movie.shape, movie.dtype) == ("scan", 7, (24, 32), np.float32)
    assert movie.metadata == MovieMetadata(pixel_size_A=0.104, voltage_kV=60, source="test")
    np.testing.assert_array_equal(movie.read(0, 7), frames)
    np.testing.assert_array_equal(movie.read(2, 5), frames[2:5])
    assert movie.read(3, 3).shape == (0, 24, 32)


def test_frames_are_writable_and_float32(tmp_path, frames):
    np.save(tmp_path / "m.npy", (frames * 1000).astype(">u2"))
    read = open_movie(tmp_path / "m.npy").read(0, 2)
    assert read.dtype == np.float32
    read += 1
    np.testing.assert_array_equal(read, (frames[:2] * 1000).astype(np.uint16) + 1)


@pytest.mark.parametrize(("start", "stop"), [(-1, 2), (3, 2), (0, 8)])
def test_frames_that_do_not_exist(path, start, stop):
    with pytest.raises(MovieError, match=r"0 <= start <= stop <= 7"):
        open_movie(path).read(start, stop)


def test_the_caller_wins_over_the_file(path):
    movie = open_movie(path, pixel_size_A=0.2, beam_current_pA=20, frame_time_s=33.5)
    assert movie.metadata.pixel_size_A == 0.2
    assert movie.metadata.beam_current_pA == 20
    assert movie.metadata.voltage_kV == 60
    assert "pixel_size_A as given" in movie.metadata.source


@pytest.mark.parametrize("value", [0, -0.1, float("nan")])
def test_a_wrong_pixel_size_is_refused(path, value):
    with pytest.raises(MovieError, match="pixel_size_A"):
        open_movie(path, pixel_size_A=value)
    with pytest.raises(MovieError, match="pixel_size_A"):
        open_movie(path).with_metadata(pixel_size_A=value)


def test_a_movie_without_pixel_size_says_what_to_write(tmp_path, frames):
    np.save(tmp_path / "m.npy", frames)
    movie = open_movie(tmp_path / "m.npy")
    with pytest.raises(MovieError, match=r"--pixel-size-A .*pixel_size_A:"):
        movie.require_pixel_size()
    assert movie.with_metadata(pixel_size_A=0.1).require_pixel_size() == 0.1


def test_a_pickled_movie_reads_in_another_process(path, frames):
    movie = pickle.loads(pickle.dumps(open_movie(path)))
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        np.testing.assert_array_equal(pool.apply(Movie.read, (movie, 1, 3)), frames[1:3])


def test_no_file_stays_open(path):
    movie = open_movie(path)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        movie.read(0, 2)
    assert len(os.listdir("/proc/self/fd")) == before


def test_reading_is_lazy(tmp_path):
    """Four frames of a sparse file of 64 GB."""
    path = tmp_path / "large.npy"
    with open(path, "wb") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": (16384, 1024, 1024)}
        np.lib.format.write_array_header_1_0(file, header)
        offset = file.tell()
        file.seek(16000 * 2**22, os.SEEK_CUR)
        np.arange(2**20, dtype="<f4").tofile(file)
        os.truncate(path, offset + 16384 * 2**22)
    movie = open_movie(path)
    assert movie.n_frames == 16384
    np.testing.assert_array_equal(movie.read(16000, 16001)[0].ravel(), np.arange(2**20))


def test_a_file_that_changed_is_refused(path, frames):
    movie = open_movie(path)
    write_movie(path, frames[:3], MovieMetadata())
    with pytest.raises(MovieError, match="has changed"):
        movie.read(0, 1)
    path.unlink()
    with pytest.raises(MovieError, match="does not exist"):
        movie.read(0, 1)


def test_a_file_that_grew_is_read_on(path, frames):
    movie = open_movie(path)
    write_movie(path, np.concatenate([frames, frames]), MovieMetadata())
    np.testing.assert_array_equal(movie.read(0, 7), frames)
    assert open_movie(path).n_frames == 14


def test_no_such_file(tmp_path):
    with pytest.raises(MovieError, match="does not exist"):
        open_movie(tmp_path / "no.h5")


def test_a_folder_is_no_movie(tmp_path):
    with pytest.raises(MovieError, match="is a folder"):
        open_movie(tmp_path)


@pytest.mark.parametrize("name", ["m.png", "m", "m.zarr"])
def test_unknown_formats_are_listed(tmp_path, name):
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(MovieError, match=r"one of .*\.npy.*\.dm4"):
        open_movie(tmp_path / name)


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".ndata", ".h5", ".nhdf", ".emd", ".tif", ".dm4", ".mrc", ".hspy"])
@pytest.mark.parametrize("content", [b"", b"not what the suffix says " * 60])
def test_files_that_are_not_what_they_say(tmp_path, suffix, content):
    (tmp_path / f"m{suffix}").write_bytes(content)
    with pytest.raises(MovieError, match=f"m{suffix}"):
        open_movie(tmp_path / f"m{suffix}")


def test_formats_of_the_optional_extra_say_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "rsciio.mrc", None)
    (tmp_path / "m.mrc").write_bytes(b"x")
    with pytest.raises(MovieError, match=r"pip install 'hpcstem\[formats\]'"):
        open_movie(tmp_path / "m.mrc")


def test_permission_denied():
    """Run as nobody where the tests run as root, whom permissions do not bind."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.npy"
        np.save(path, np.eye(8))
        path.chmod(0)
        os.chmod(folder, 0o755)
        was_root = os.geteuid() == 0
        if was_root:
            os.seteuid(65534)
        try:
            with pytest.raises(MovieError, match="permission denied"):
                open_movie(path)
        finally:
            if was_root:
                os.seteuid(0)
