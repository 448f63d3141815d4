"""HDF5 files that are cut, or that were never written to the end."""

import h5py
import numpy as np
import pytest

from hpcstem.errors import MovieError
from hpcstem.frames import FaultKind, open_movie
from hpcstem.frames.readers.hdf5_storage import PaddedFile, announced_size


@pytest.mark.parametrize("libver", ["earliest", "v108", "latest"])
@pytest.mark.parametrize("chunks", [None, (1, 24, 32), (2, 24, 32), (3, 10, 16)])
@pytest.mark.parametrize("compression", [None, "gzip"])
def test_frames_before_the_cut_are_read_and_the_others_named(tmp_path, frames, libver, chunks, compression):
    path = tmp_path / "m.h5"
    with h5py.File(path, "w", libver=libver) as file:
        if chunks is None:
            file.create_dataset("frames", data=frames)
        else:
            file.create_dataset("frames", data=frames, chunks=chunks, compression=compression)
    data = path.read_bytes()
    assert announced_size(path) == len(data)
    path.write_bytes(data[: int(len(data) * 0.6)])
    good, indices, faults = open_movie(path).read_checked(0, 7)
    assert 1 <= len(good) < 7
    assert {fault.kind for fault in faults} == {FaultKind.TRUNCATED}
    assert sorted([*indices, *(fault.frame for fault in faults)]) == list(range(7))
    np.testing.assert_array_equal(good, frames[indices])


def test_a_file_without_its_table_of_contents_is_refused(tmp_path, frames):
    path = tmp_path / "m.h5"
    with h5py.File(path, "w") as file:
        file["frames"] = frames
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(MovieError, match=r"m\.h5.*(truncated|cannot be opened)"):
        open_movie(path)


@pytest.mark.parametrize("chunks", [(1, 24, 32), (2, 24, 32), (1, 12, 32)])
def test_chunks_never_written_are_no_fill_values(tmp_path, frames, chunks):
    path = tmp_path / "m.h5"
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset("frames", (8, 24, 32), "f4", chunks=chunks)
        dataset[2:4] = frames[2:4]
        if chunks[1] == 12:
            dataset[5, :12] = frames[5, :12]
    good, indices, faults = open_movie(path).read_checked(0, 8)
    assert indices.tolist() == [2, 3]
    assert [fault.frame for fault in faults] == [0, 1, 4, 5, 6, 7]
    assert {fault.kind for fault in faults} == {FaultKind.TRUNCATED}
    np.testing.assert_array_equal(good, frames[2:4])


def test_a_contiguous_dataset_never_written(tmp_path):
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file.create_dataset("frames", (3, 24, 32), "f4")
    _, _, faults = open_movie(tmp_path / "m.h5").read_checked(0, 3)
    assert [fault.kind for fault in faults] == [FaultKind.TRUNCATED] * 3


def test_a_damaged_chunk_costs_its_own_frames_only(tmp_path, frames):
    path = tmp_path / "m.h5"
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset("frames", data=frames, chunks=(1, 24, 32), compression="gzip")
        address = dataset.id.get_chunk_info_by_coord((4, 0, 0)).byte_offset
    with open(path, "r+b") as file:
        file.seek(address)
        file.write(b"\xff" * 500)
    good, _, faults = open_movie(path).read_checked(0, 7)
    assert [(fault.frame, fault.kind) for fault in faults] == [(4, FaultKind.TRUNCATED)]
    np.testing.assert_array_equal(good, np.delete(frames, 4, axis=0))


def test_a_virtual_dataset_without_its_files_is_refused(tmp_path, frames):
    with h5py.File(tmp_path / "part.h5", "w") as file:
        file["frames"] = frames
    layout = h5py.VirtualLayout(frames.shape, frames.dtype)
    layout[:] = h5py.VirtualSource("part.h5", "frames", frames.shape)
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file.create_virtual_dataset("frames", layout)
    np.testing.assert_array_equal(open_movie(tmp_path / "m.h5").read(0, 7), frames)
    (tmp_path / "part.h5").unlink()
    with pytest.raises(MovieError, match=r"no file part\.h5"):
        open_movie(tmp_path / "m.h5")


def test_padded_file(tmp_path):
    (tmp_path / "f").write_bytes(b"abc")
    with PaddedFile(tmp_path / "f", 6) as file:
        assert file.read() == b"abc\0\0\0"
        assert file.seek(-5, 2) == 1
        assert file.read(3) == b"bc\0"
        assert file.read(9) == b"\0\0"
        assert file.read(1) == b""
