"""NPY files, with the JSON of the same name beside them where there is one."""

from __future__ import annotations

from pathlib import Path

from hpcstem.frames.found import Found
from hpcstem.frames.named_values import json_mapping, named_values
from hpcstem.frames.readers.layout import layout_of
from hpcstem.frames.readers.raw import RawFrames, read_npy_header


def open_frames(path: Path, dataset: str | None) -> RawFrames:
    """Map an NPY file; there is just one array, so `dataset` says nothing."""
    with open(path, "rb") as stream:
        shape, fortran, dtype = read_npy_header(stream, path)
        offset = stream.tell()
    sidecar = path.with_suffix(".json")
    found = Found("NPY")
    if sidecar.is_file():
        found = named_values(json_mapping(sidecar.read_bytes(), sidecar), f"NPY with {sidecar.name}")
    return RawFrames(path, offset, dtype, layout_of(shape, dtype, path), found, fortran)
