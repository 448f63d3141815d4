"""Which frames of an HDF5 file are really there: truncated files, chunks never written.

The HDF5 library refuses a truncated file as a whole, although its table of contents, and so every frame before
the cut, may be sound. `PaddedFile` shows it a file of the announced size, with zeros behind the cut; which frames
lie there is then a matter of comparing addresses.

The superblock is that of the HDF5 File Format Specification, version 3.0, section II.A.
"""

from __future__ import annotations

import io
import itertools
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from hpcstem.errors import MovieError

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_END_ADDRESS_AT = {0: (13, 40), 1: (13, 44), 2: (9, 28), 3: (9, 28)}
"""By version of the superblock: where the size of addresses stands, and where the end-of-file address."""


class PaddedFile(io.RawIOBase):
    """A file read as if it were longer, with zeros at its end.

    Parameters
    ----------
    path
        The file.
    size
        Size to show [byte].
    """

    def __init__(self, path: Path, size: int) -> None:
        self._descriptor = os.open(path, os.O_RDONLY)
        self._size, self._position = size, 0

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def seekable(self) -> bool:
        """Say that it can be read from anywhere."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to a position."""
        self._position = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence] + offset
        return self._position

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Read into a buffer, zeros where the file has ended."""
        length = max(0, min(len(buffer), self._size - self._position))
        data = os.pread(self._descriptor, length, self._position)
        buffer[:length] = data.ljust(length, b"\0")
        self._position += length
        return length

    def close(self) -> None:
        """Close the file."""
        if not self.closed:
            os.close(self._descriptor)
        super().close()


def announced_size(path: Path) -> int | None:
    """Return the size that the superblock announces [byte]; None where the file does not begin with one."""
    with open(path, "rb") as file:
        head = file.read(64)
    if len(head) < 64 or not head.startswith(_SIGNATURE) or head[8] not in _END_ADDRESS_AT:
        return None
    width_at, end_at = _END_ADDRESS_AT[head[8]]
    return int.from_bytes(head[end_at : end_at + 8], "little") if head[width_at] == 8 else None


def open_file(path: Path) -> Any:
    """Open an HDF5 file for reading, without a lock and even if it is truncated.

    Without a lock where possible, because parallel file systems often have none and the microscope may still
    write the file; but HDF5 wants one where this process has the file open with a lock already.

    Raises
    ------
    MovieError
        The file is so short that its table of contents is lost.
    OSError
        No HDF5 file.
    """
    import h5py

    with suppress(OSError):
        return h5py.File(path, "r", locking=False)
    size, found = announced_size(path), os.path.getsize(path)
    if size is None or size <= found:
        return h5py.File(path, "r")
    try:
        return h5py.File(PaddedFile(path, size), "r")
    except (OSError, RuntimeError) as error:
        raise MovieError(
            f"{path} is truncated and its table of contents is lost",
            f"{found} of {size} bytes",
            "a whole file; copy it again",
        ) from error


def missing_frames(array: Any, frame_axis: int | None, frames: range, path: Path) -> set[int]:
    """Frames of which a byte is behind the end of the file or was never written.

    Parameters
    ----------
    array
        The h5py dataset.
    frame_axis
        Axis that counts frames; None for a single image.
    frames
        Frames to look at.
    path
        Its file.
    """
    import h5py

    size = os.path.getsize(path)
    layout = array.id.get_create_plist().get_layout()
    if layout == h5py.h5d.CHUNKED:
        if size >= (announced_size(path) or 0) and array.id.get_num_chunks() == np.prod([len(r) for r in _grid(array)]):
            return set()
        return _missing_chunks(array, frame_axis, frames, size)
    if layout != h5py.h5d.CONTIGUOUS or array.external:
        return set()
    offset = array.id.get_offset()
    if offset is None:
        return set(frames)
    last = [length - 1 for length in array.shape]
    missing = set()
    for frame in frames:
        if frame_axis is not None:
            last[frame_axis] = frame
        end = offset + (int(np.ravel_multi_index(last, array.shape)) + 1) * array.dtype.itemsize
        if end > size:
            missing.add(frame)
    return missing


def _grid(array: Any) -> list[range]:
    """First index of every chunk, axis by axis."""
    return [range(0, length, chunk) for length, chunk in zip(array.shape, array.chunks, strict=True)]


def _missing_chunks(array: Any, frame_axis: int | None, frames: range, size: int) -> set[int]:
    grid = _grid(array)
    step = 1
    if frame_axis is not None:
        step = array.chunks[frame_axis]
        grid[frame_axis] = range(frames.start // step * step, frames.stop, step)
    missing: set[int] = set()
    for first in itertools.product(*grid):
        if not _chunk_is_there(array, first, size):
            begin = 0 if frame_axis is None else first[frame_axis]
            missing.update(range(begin, begin + step))
    return missing.intersection(frames)


def _chunk_is_there(array: Any, first: tuple[int, ...], size: int) -> bool:
    try:
        info = array.id.get_chunk_info_by_coord(first)
    except (OSError, RuntimeError, ValueError):  # the index of chunks is itself behind the cut
        return False
    return info.byte_offset is not None and info.byte_offset + info.size <= size
