"""Movies written."""

import h5py
import numpy as np
import pytest

from hpcstem.errors import HpcstemError, MovieError
from hpcstem.files import sha256
from hpcstem.frames import MovieMetadata, open_movie, write_movie


def test_layout_of_the_file(tmp_path, frames):
    write_movie(tmp_path / "m.hdf5", frames, MovieMetadata(pixel_size_A=0.1, beam_current_pA=20))
    with h5py.File(tmp_path / "m.hdf5") as file:
        assert file["frames"].chunks == (1, 24, 32)
        assert dict(file["frames"].attrs).keys() >= {"pixel_size_A", "beam_current_pA"}
        assert [axis.label for axis in file["frames"].dims] == ["frame", "row", "column"]


@pytest.mark.parametrize("dtype", [np.uint16, np.float64, np.int8])
def test_dtype_is_kept(tmp_path, frames, dtype):
    write_movie(tmp_path / "m.h5", (frames * 100).astype(dtype), MovieMetadata())
    assert open_movie(tmp_path / "m.h5").dtype == dtype


def test_same_frames_give_the_same_bytes(tmp_path, frames):
    for name in ("a.h5", "b.h5"):
        write_movie(tmp_path / name, frames, MovieMetadata(pixel_size_A=0.1))
    assert sha256(tmp_path / "a.h5") == sha256(tmp_path / "b.h5")


@pytest.mark.parametrize("bad", [np.zeros((0, 8, 8)), np.zeros((8, 8)), np.zeros((1, 8, 8), complex)])
def test_what_is_no_movie_is_refused(tmp_path, bad):
    with pytest.raises(MovieError, match="frames to write"):
        write_movie(tmp_path / "m.h5", bad, MovieMetadata())


def test_suffix_must_be_hdf5(tmp_path, frames):
    with pytest.raises(MovieError, match=r"\.h5 or \.hdf5"):
        write_movie(tmp_path / "m.tif", frames, MovieMetadata())


def test_an_error_leaves_nothing(tmp_path, frames):
    (tmp_path / "m.h5").mkdir()
    with pytest.raises(HpcstemError, match="cannot write"):
        write_movie(tmp_path / "m.h5", frames, MovieMetadata())
    assert [p.name for p in tmp_path.iterdir()] == ["m.h5"]
