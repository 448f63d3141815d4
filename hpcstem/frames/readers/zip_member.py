"""Where an uncompressed member of a zip file lies, so that it can be mapped."""

from __future__ import annotations

import struct
import zipfile
from typing import BinaryIO

from hpcstem.errors import MovieError

_HEADER = struct.Struct("<4s22xHH")
_SIGNATURE = b"PK\x03\x04"


def member_offset(file: BinaryIO, info: zipfile.ZipInfo) -> int:
    """Return the position of a member's first byte.

    The central directory cannot say it: the local header has its own extra field, of another length.

    Raises
    ------
    MovieError
        There is no local header where the directory points.
    """
    file.seek(info.header_offset)
    header = file.read(_HEADER.size)
    if len(header) < _HEADER.size or not header.startswith(_SIGNATURE):
        raise MovieError(f"{info.filename} in the zip file", "no local header", "a whole zip file; copy it again")
    _, name_length, extra_length = _HEADER.unpack(header)
    return info.header_offset + _HEADER.size + name_length + extra_length
