"""A run directory: which stages are done, from what, and what they wrote."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hpcstem
from hpcstem.errors import HpcstemError
from hpcstem.files import inside, read_json, sha256, write_json

_RECORDED = {"fingerprint", "data", "notes", "seconds", "finished"}


@dataclass(frozen=True)
class Outputs:
    """Files that a stage wrote.

    Parameters
    ----------
    data
        Files that later stages build on: when one of these changes, they run again.
    notes
        Files for people, such as timings: nothing runs again because of these.
    """

    data: tuple[Path, ...]
    notes: tuple[Path, ...] = ()


class Run:
    """One run directory.

    Parameters
    ----------
    folder
        Where everything goes; made if absent.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder).resolve()

    def path(self, name: str) -> Path:
        """Path of a file in the run directory; a name that leads out of it is an error."""
        return inside(self.folder, name)

    @contextmanager
    def locked(self, name: str = "run.lock") -> Iterator[None]:
        """Hold the directory for this process alone.

        Parameters
        ----------
        name
            File of the lock; who holds one of another name is not in the way.

        Raises
        ------
        HpcstemError
            Another process works in it, or it cannot be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.folder / name, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise HpcstemError(f"cannot write in {self.folder}", error.strerror, "another --out folder") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(descriptor)
            raise HpcstemError(f"another hpcstem works in {self.folder}", wanted="to wait until it ends") from error
        except OSError as error:
            os.close(descriptor)
            raise HpcstemError(
                f"cannot lock {self.folder}", error.strerror, "an --out folder on a file system that has file locks"
            ) from error
        try:
            yield
        finally:
            os.close(descriptor)

    def record(self, stage: str) -> dict[str, Any] | None:
        """What is recorded of a stage, None where nothing is.

        Raises
        ------
        HpcstemError
            The file is damaged.
        """
        path = self.path(f"stages/{stage}.json")
        if not path.exists():
            return None
        found = read_json(path)
        if not isinstance(found, dict) or not found.keys() >= _RECORDED:
            raise HpcstemError(f"{path} is no record of a stage", wanted="to delete it: the stage then runs again")
        return found

    def is_done(self, stage: str, fingerprint: str) -> bool:
        """Whether a stage ran from the same inputs and settings and all that it wrote is still there, unchanged."""
        record = self.record(stage)
        return (
            record is not None
            and record["fingerprint"] == fingerprint
            and all(self._unchanged(name, mark) for name, mark in {**record["data"], **record["notes"]}.items())
        )

    def finish(self, stage: str, fingerprint: str, outputs: Outputs, seconds: float) -> None:
        """Record that a stage is done."""
        write_json(
            self.path(f"stages/{stage}.json"),
            {
                "fingerprint": fingerprint,
                "hpcstem": hpcstem.__version__,
                "data": self._marks(outputs.data),
                "notes": self._marks(outputs.notes),
                "seconds": round(seconds, 3),
                "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            },
        )

    def data_digests(self, stage: str) -> dict[str, str]:
        """SHA-256 of each data file of a finished stage; empty where the stage was left out."""
        record = self.record(stage)
        return {} if record is None else {name: mark["sha256"] for name, mark in record["data"].items()}

    def intact(self, stage: str, path: Path) -> bool:
        """Whether a file differs in nothing from what its stage recorded; True where nothing is recorded of it."""
        record = self.record(stage)
        name = str(path.relative_to(self.folder))
        return record is None or name not in record["data"] or self._unchanged(name, record["data"][name])

    def remove_others(self, pattern: str, kept: Iterable[Path]) -> None:
        """Remove what matches a pattern and is not to be kept: left by earlier settings, or half done by the killed.

        Parameters
        ----------
        pattern
            Names in the run directory, as in a shell.
        kept
            Files that stay.
        """
        stay = set(kept)
        for path in self.folder.glob(pattern):
            if path not in stay:
                path.unlink()

    def _marks(self, paths: Iterable[Path]) -> dict[str, dict[str, Any]]:
        return {
            str(path.relative_to(self.folder)): {
                "sha256": sha256(path),
                "bytes": path.stat().st_size,
                "mtime_ns": path.stat().st_mtime_ns,
            }
            for path in paths
        }

    def _unchanged(self, name: str, mark: Mapping[str, Any]) -> bool:
        path = self.path(name)
        if not path.is_file() or path.stat().st_size != mark["bytes"]:
            return False
        return path.stat().st_mtime_ns == mark["mtime_ns"] or sha256(path) == mark["sha256"]


def fingerprint(settings: Any, inputs: Mapping[str, Any]) -> str:
    """SHA-256 over what a stage's results depend on: its settings, and the digests of what it reads."""
    text = json.dumps({"settings": settings, "inputs": dict(inputs)}, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


class InputDigests:
    """SHA-256 of input files, kept in the run directory so that terabytes are not read again at each start.

    Parameters
    ----------
    run
        The run.
    keep
        Whether to write what was computed to the run directory.
    """

    def __init__(self, run: Run, keep: bool = True) -> None:
        self._path = run.path("stages/inputs.json")
        self._keep = keep
        self._known: dict[str, Any] = read_json(self._path) if self._path.exists() else {}
        self._used: dict[str, str] = {}

    @property
    def used(self) -> dict[str, str]:
        """SHA-256 of each file that was asked for, by path."""
        return dict(self._used)

    def of(self, path: Path) -> str:
        """SHA-256 of a file, computed again only when its size or time of change differs.

        Raises
        ------
        HpcstemError
            It cannot be read.
        """
        try:
            state = path.stat()
            mark = [state.st_size, state.st_mtime_ns]
            known = self._known.get(str(path))
            if path.is_dir() or known is None or known[:2] != mark:
                self._known[str(path)] = [*mark, sha256(path)]
                if self._keep:
                    write_json(self._path, self._known)
        except OSError as error:
            raise HpcstemError(f"cannot read {path}", error.strerror, "a readable file") from error
        self._used[str(path)] = self._known[str(path)][2]
        return self._used[str(path)]
