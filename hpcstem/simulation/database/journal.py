"""Append-only journal: every change is on disk before its answer is sent, and a torn end is dropped.

A record is its length and CRC-32 (two little-endian 32-bit numbers) and then one BSON document. Records state
results (this document now reads so), never operations to repeat, so replaying one twice does no harm.
"""

from __future__ import annotations

import os
import struct
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bson

from hpcstem.errors import DatabaseError
from hpcstem.simulation.database.wire import CODEC

_FRAME = struct.Struct("<II")


def frame(record: bytes) -> bytes:
    """Return `record` with its length and checksum in front."""
    return _FRAME.pack(len(record), zlib.crc32(record)) + record


def read_records(path: Path) -> Iterator[tuple[dict[str, Any], int]]:
    """Yield each whole record and the offset [bytes] of its end; stop at the first that is not whole."""
    with open(path, "rb") as handle:
        offset = 0
        while True:
            header = handle.read(_FRAME.size)
            if len(header) < _FRAME.size:
                return
            length, checksum = _FRAME.unpack(header)
            record = handle.read(length)
            if len(record) < length or zlib.crc32(record) != checksum:
                return
            offset += _FRAME.size + length
            yield bson.decode(record, CODEC), offset


class Journal:
    """The journal file being written.

    Parameters
    ----------
    path
        File to append to; made if absent.
    whole_bytes
        Offset [bytes] of the end of its last whole record. What follows is set aside in a file beside it.

    Raises
    ------
    DatabaseError
        The file cannot be written.
    """

    def __init__(self, path: Path, whole_bytes: int = 0) -> None:
        self.path = path
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            self.dropped_bytes = os.fstat(self._file).st_size - whole_bytes
            if self.dropped_bytes:
                torn = os.pread(self._file, self.dropped_bytes, whole_bytes)
                path.with_name(f"{path.name}.torn-at-{whole_bytes}").write_bytes(torn)
                os.ftruncate(self._file, whole_bytes)
            os.fsync(self._file)
            _fsync_folder(path.parent)
        except OSError as error:
            raise DatabaseError(f"cannot write {path}", error.strerror, "a folder with free space") from error
        self.n_bytes = whole_bytes
        self._n_synced = whole_bytes
        self._sync_lock = threading.Lock()

    def append(self, record: bytes) -> int:
        """Write one record after the others; return the offset [bytes] to give to `sync`.

        The caller holds the store's lock, so that records stand in the order of the changes.

        Raises
        ------
        OSError
            The disk is full or broken. The journal may end in a torn record.
        """
        data = memoryview(frame(record))
        n_bytes = self.n_bytes + len(data)
        while data:
            data = data[os.write(self._file, data) :]
        self.n_bytes = n_bytes
        return n_bytes

    def sync(self, offset: int) -> None:
        """Return when everything up to `offset` [bytes] is on disk; one fsync serves all who wait."""
        with self._sync_lock:
            if self._n_synced < offset:
                written = self.n_bytes
                os.fsync(self._file)
                self._n_synced = written

    def close(self) -> None:
        """Put everything on disk and close the file; a `sync` that comes later has nothing left to do."""
        with self._sync_lock:
            os.fsync(self._file)
            os.close(self._file)
            self._n_synced = self.n_bytes


def _fsync_folder(folder: Path) -> None:
    """Put the name of a new file on disk, which fsync of the file alone does not."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
