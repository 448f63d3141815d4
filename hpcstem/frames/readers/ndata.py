"""Nion Swift .ndata: an uncompressed zip of data.npy and metadata.json."""

from __future__ import annotations

import zipfile
from pathlib import Path

from hpcstem.errors import MovieError
from hpcstem.frames.found import Found
from hpcstem.frames.named_values import json_mapping
from hpcstem.frames.readers.layout import layout_of
from hpcstem.frames.readers.nion import nion_found
from hpcstem.frames.readers.raw import RawFrames, read_npy_header
from hpcstem.frames.readers.zip_member import member_offset


def open_frames(path: Path, dataset: str | None) -> RawFrames:
    """Map the data where they lie in the zip file; there is just one array, so `dataset` says nothing."""
    with zipfile.ZipFile(path) as archive:
        members = {info.filename: info for info in archive.infolist()}
        if "data.npy" not in members:
            raise MovieError(f"{path} is not an .ndata file", ", ".join(members) or "an empty zip", "data.npy in it")
        info = members["data.npy"]
        if info.compress_type != zipfile.ZIP_STORED:
            raise MovieError(f"data.npy in {path}", "compressed", "stored without compression, as Nion Swift writes it")
        text = archive.read("metadata.json") if "metadata.json" in members else b"{}"
    with open(path, "rb") as file:
        file.seek(member_offset(file, info))
        shape, fortran, dtype = read_npy_header(file, path)
        layout = layout_of(shape, dtype, path)
        properties = json_mapping(text, f"metadata.json in {path}")
        found = nion_found(properties, layout, path) if properties else Found("Nion Swift without metadata")
        return RawFrames(path, file.tell(), dtype, layout, found, fortran)
