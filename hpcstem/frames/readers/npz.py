"""NPZ archives: the array that holds the frames, and scalars with names that say their unit."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from hpcstem.frames.found import Found
from hpcstem.frames.named_values import named_values
from hpcstem.frames.readers import Reader
from hpcstem.frames.readers.choice import choose
from hpcstem.frames.readers.layout import FrameLayout, layout_of
from hpcstem.frames.readers.raw import RawFrames, read_npy_header
from hpcstem.frames.readers.zip_member import member_offset


class UnpackedFrames:
    """Frames of a compressed member, unpacked whole for every read: keep large movies uncompressed."""

    dataset: str | None

    def __init__(self, path: Path, name: str, layout: FrameLayout, dtype: np.dtype, found: Found) -> None:
        self.shape, self.dtype, self.found, self.dataset = layout.shape, dtype, found, name
        self._path, self._name, self._layout = path, name, layout

    def read(self, start: int, stop: int) -> np.ndarray:
        """Read frames."""
        with np.load(self._path, allow_pickle=False) as archive:
            return self._layout.arrange(archive[self._name][self._layout.index(start, stop)])

    def missing(self, start: int, stop: int) -> tuple[()]:
        """Nothing is known to be missing before it is unpacked."""
        return ()

    def close(self) -> None:
        """Nothing stays open."""


def open_frames(path: Path, dataset: str | None) -> Reader:
    """Open the array named `dataset`, or the obvious one."""
    arrays = {}
    scalars = {}
    with zipfile.ZipFile(path) as archive:
        members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        for name, info in members.items():
            with archive.open(info) as stream:
                binary = cast(BinaryIO, stream)
                shape, fortran, dtype = read_npy_header(binary, f"{name} in {path}")
                arrays[name] = shape, fortran, dtype
                if shape == () and dtype.kind in "iuf":
                    scalars[name] = np.frombuffer(binary.read(dtype.itemsize), dtype)[0]
    name = choose({key: (shape, dtype) for key, (shape, _, dtype) in arrays.items()}, dataset, path)
    shape, fortran, dtype = arrays[name]
    layout = layout_of(shape, dtype, f"{name} in {path}")
    found = named_values(scalars, f"NPZ array {name}")
    if members[name].compress_type != zipfile.ZIP_STORED:
        return UnpackedFrames(path, name, layout, dtype, found)
    with open(path, "rb") as file:
        file.seek(member_offset(file, members[name]))
        read_npy_header(file, path)
        return RawFrames(path, file.tell(), dtype, layout, found, fortran, name)
