"""Files written whole or not at all, hashed, and kept inside their run directory."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from hpcstem.errors import HpcstemError


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it is fsynced and renamed to `path`.

    A reader sees the old file or the new one, never a part; after an error nothing is left.

    Parameters
    ----------
    path
        The file to write. Its folder is made if absent.

    Raises
    ------
    HpcstemError
        The folder cannot be made or written to, or the disk is full.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        _fsync(temporary)
        os.replace(temporary, path)
        _fsync(path.parent)
    except OSError as error:
        raise HpcstemError(
            f"cannot write {path}", error.strerror or error, "a folder with write permission and free space"
        ) from error
    finally:
        with suppress(OSError):  # the folder itself may be unusable, which the error above says
            temporary.unlink(missing_ok=True)


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path`, whole or not at all."""
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON with sorted keys, whole or not at all; NaN is refused."""
    write_text(path, json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises
    ------
    HpcstemError
        The file is absent or is not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise HpcstemError(f"{path} does not exist") from error
    except (OSError, ValueError) as error:
        raise HpcstemError(f"cannot read {path}", error, "a JSON file") from error


def sha256(path: Path) -> str:
    """SHA-256 of a file's content; of a folder (a Zarr store), of its sorted relative paths and contents."""
    path = Path(path)
    digest = hashlib.sha256()
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    for file in files:
        if file != path:
            digest.update(str(file.relative_to(path)).encode() + b"\0")
        with open(file, "rb") as handle:
            for block in iter(lambda: handle.read(1 << 20), b""):
                digest.update(block)
    return digest.hexdigest()


def inside(folder: Path, name: str) -> Path:
    """Path of `name` inside `folder`.

    Raises
    ------
    HpcstemError
        `name` is absolute, empty, or leads out of `folder`.
    """
    folder = Path(folder).resolve()
    path = (folder / name).resolve()
    if not name or path == folder or not path.is_relative_to(folder):
        raise HpcstemError(f"name {name!r} leads out of {folder}", wanted="a plain relative name without '..'")
    return path
