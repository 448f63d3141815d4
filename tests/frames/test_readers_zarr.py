"""Zarr of both versions."""

import numpy as np
import pytest
import zarr

from hpcstem.errors import MovieError
from hpcstem.frames import FaultKind, open_movie


def store(path, frames, zarr_format, **options):
    options = {"chunks": (1, 24, 32)} | options
    array = zarr.create_array(path, shape=frames.shape, dtype=frames.dtype, zarr_format=zarr_format, **options)
    array[:] = frames
    return array


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("chunks", [(1, 24, 32), (2, 24, 32), (3, 10, 16)])
def test_an_array(tmp_path, frames, zarr_format, chunks):
    array = store(tmp_path / "m.zarr", frames, zarr_format, chunks=chunks)
    array.attrs["pixel_size_A"] = 0.1
    movie = open_movie(tmp_path / "m.zarr")
    assert movie.metadata.pixel_size_A == 0.1
    np.testing.assert_array_equal(movie.read(2, 6), frames[2:6])


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_group_with_any_name(tmp_path, frames, zarr_format):
    group = zarr.open_group(tmp_path / "folder", mode="w", zarr_format=zarr_format)
    group.attrs["voltage"] = "60 kV"
    for name in ("a/one", "b/two"):
        group.create_array(name, shape=frames.shape, dtype="f4", chunks=(1, 24, 32))[:] = frames
    with pytest.raises(MovieError, match=r"a/one \(7, 24, 32\), b/two"):
        open_movie(tmp_path / "folder")
    movie = open_movie(tmp_path / "folder", dataset="b/two")
    assert movie.metadata.voltage_kV == 60
    np.testing.assert_array_equal(movie.read(0, 7), frames)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_missing_chunks_are_no_fill_values(tmp_path, frames, zarr_format):
    store(tmp_path / "m.zarr", frames, zarr_format, chunks=(2, 12, 32))
    key = "c/1/0/0" if zarr_format == 3 else "1.0.0"
    (tmp_path / "m.zarr" / key).unlink()
    good, indices, faults = open_movie(tmp_path / "m.zarr").read_checked(0, 7)
    assert [(fault.frame, fault.kind) for fault in faults] == [(2, FaultKind.TRUNCATED), (3, FaultKind.TRUNCATED)]
    np.testing.assert_array_equal(good, frames[indices])
    assert open_movie(tmp_path / "m.zarr").read(4, 7).shape == (3, 24, 32)


def test_a_truncated_chunk_costs_its_own_frame_only(tmp_path, frames):
    store(tmp_path / "m.zarr", frames, 3)
    chunk = tmp_path / "m.zarr" / "c" / "4" / "0" / "0"
    chunk.write_bytes(chunk.read_bytes()[:50])
    good, _, faults = open_movie(tmp_path / "m.zarr").read_checked(0, 7)
    assert [(fault.frame, fault.kind) for fault in faults] == [(4, FaultKind.TRUNCATED)]
    np.testing.assert_array_equal(good, np.delete(frames, 4, axis=0))


def test_shards(tmp_path, frames):
    store(tmp_path / "m.zarr", frames, 3, shards=(2, 24, 32))
    np.testing.assert_array_equal(open_movie(tmp_path / "m.zarr").read(1, 7), frames[1:])
    (tmp_path / "m.zarr" / "c" / "3" / "0" / "0").unlink()
    _, _, faults = open_movie(tmp_path / "m.zarr").read_checked(0, 7)
    assert [fault.frame for fault in faults] == [6]


@pytest.mark.parametrize("nested", [True, False])
def test_ome_scales_of_the_finest_level(tmp_path, frames, nested):
    group = zarr.open_group(tmp_path / "m.zarr", mode="w")
    axes = [{"name": "t", "type": "time", "unit": "second"}]
    axes += [{"name": name, "type": "space", "unit": "nanometer"} for name in "yx"]
    levels = [
        {"path": str(k), "coordinateTransformations": [{"type": "scale", "scale": [17, 0.01 * 2**k, 0.01 * 2**k]}]}
        for k in range(2)
    ]
    multiscales = [{"axes": axes, "datasets": levels}]
    group.attrs.update({"ome": {"multiscales": multiscales}} if nested else {"multiscales": multiscales})
    for k in range(2):
        level = frames[:, :: 2**k, :: 2**k]
        group.create_array(str(k), shape=level.shape, dtype="f4", chunks=(1, *level.shape[1:]))[:] = level
    movie = open_movie(tmp_path / "m.zarr")
    assert (movie.dataset, movie.shape) == ("0", (24, 32))
    assert movie.metadata.pixel_size_A == pytest.approx(0.1)
    assert movie.metadata.frame_time_s == 17
    assert open_movie(tmp_path / "m.zarr", dataset="1").metadata.pixel_size_A == pytest.approx(0.2)


def test_names_of_axes(tmp_path, frames):
    turned = frames.transpose(2, 1, 0)
    store(tmp_path / "m.zarr", turned, 3, chunks=(32, 24, 1), dimension_names=["x", "y", "time"])
    np.testing.assert_array_equal(open_movie(tmp_path / "m.zarr").read(2, 6), frames[2:6])
