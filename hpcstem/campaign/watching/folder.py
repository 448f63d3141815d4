"""Noticing that something in a folder may have changed: by inotify where the file system has it, else by looking."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hpcstem.frames.readers import SUFFIXES

_REMOTE = frozenset(("9p", "afs", "beegfs", "ceph", "cifs", "gpfs", "lustre", "nfs", "nfs4", "panfs", "smb3", "wekafs"))
"""File systems on which another machine writes without a word to this one's kernel."""
_EVENTS = frozenset({"closed", "created", "moved", "deleted"})
_SLICE_S = 0.2
_LOOK_WITHOUT_INOTIFY_S = 1.0
_LOOK_WITH_INOTIFY_S = 5.0


@dataclass(frozen=True)
class Changes:
    """Waits for changes.

    Parameters
    ----------
    about
        How changes are noticed, and why so.
    longest_wait_s
        After which to look even so [s].
    """

    about: str
    longest_wait_s: float
    _event: threading.Event = field(default_factory=threading.Event)

    def notify(self, *_: object) -> None:
        """End a wait."""
        self._event.set()

    def wait(self, timeout_s: float, stop: Callable[[], bool]) -> None:
        """Return when something may have changed, after a time [s], or when told to stop."""
        end_s = time.monotonic() + min(timeout_s, self.longest_wait_s)
        # In slices: a signal handler must not touch the event, whose lock the wait may hold.
        while not stop() and (left_s := end_s - time.monotonic()) > 0:
            if self._event.wait(min(left_s, _SLICE_S)):
                break
        self._event.clear()


@contextmanager
def noticing_changes(folder: Path) -> Iterator[Changes]:
    """Watch a folder and all in it while the block runs.

    A file system that other machines write to, and one on which the kernel gives no more watches, is looked at every
    second instead.
    """
    kind = file_system_of(folder.resolve(), Path("/proc/mounts").read_text(encoding="utf-8", errors="replace"))
    if kind in _REMOTE or kind.startswith("fuse"):
        reason = f"looking every {_LOOK_WITHOUT_INOTIFY_S:g} s, since {kind} tells of no changes"
        yield Changes(reason, _LOOK_WITHOUT_INOTIFY_S)
        return
    changes = Changes(f"inotify on {kind}", _LOOK_WITH_INOTIFY_S)
    try:
        observer = _observer(folder, changes)
    except OSError as error:  # the limit of inotify watches, which belongs to the machine
        reason = f"looking every {_LOOK_WITHOUT_INOTIFY_S:g} s, since inotify does not start: {error.strerror}"
        yield Changes(reason, _LOOK_WITHOUT_INOTIFY_S)
        return
    try:
        yield changes
    finally:
        observer.stop()
        observer.join()


def _observer(folder: Path, changes: Changes) -> Any:
    from watchdog.events import FileSystemEvent, FileSystemEventHandler
    from watchdog.observers import Observer

    class Notice(FileSystemEventHandler):
        def on_any_event(self, event: FileSystemEvent) -> None:
            if event.event_type in _EVENTS:
                changes.notify()

    observer = Observer()
    observer.schedule(Notice(), str(folder), recursive=True)
    observer.start()
    return observer


def file_system_of(path: Path, mounts: str) -> str:
    r"""Type of the file system that a path is on.

    Parameters
    ----------
    path
        Absolute, without links.
    mounts
        Content of /proc/mounts, in which a space is written \040.

    Examples
    --------
    >>> file_system_of(Path("/data/x"), "/dev/a / ext4 rw 0 0\nserver:/d /data nfs4 rw 0 0")
    'nfs4'
    """
    best, kind = -1, "unknown"
    for line in mounts.splitlines():
        words = line.split()
        if len(words) < 3:
            continue
        place = Path(words[1].replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\"))
        # Of two mounts on one place the later one is on top.
        if path.is_relative_to(place) and len(place.parts) >= best:
            best, kind = len(place.parts), words[2]
    return kind


def movie_files(folder: Path, left_out: Path) -> list[Path]:
    """Files and Zarr stores in a folder, at any depth, whose ending is a movie's.

    Parameters
    ----------
    folder
        Where to look.
    left_out
        A folder in it not to look into: that of the results.
    """
    found = []
    for place, folders, names in os.walk(folder):
        here = Path(place)
        stores = [name for name in folders if name.casefold().endswith(".zarr")]
        folders[:] = [name for name in folders if name not in stores and name[0] != "." and here / name != left_out]
        for name in (*names, *stores):
            if name[0] != "." and Path(name).suffix.casefold() in SUFFIXES:
                found.append(here / name)
    return found
