"""Start, find and stop the server of a database folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpcstem.errors import DatabaseError, HpcstemError
from hpcstem.files import read_json
from hpcstem.simulation.database.server import HEARTBEAT_S, STATE_FILE
from hpcstem.simulation.owner import Owner

# What a server on another host takes to end, and this host to hear of it.
_ELSEWHERE_S = 10.0
_START_TIMEOUT_S, _STOP_TIMEOUT_S, _POLL_S = 30.0, 20.0, 0.05


@dataclass(frozen=True)
class DatabaseStatus:
    """What is known of the server of a database folder.

    Parameters
    ----------
    folder
        The folder.
    running
        Whether a server answers, or on another host has shown life in the last half minute.
    uri
        Its address for any MongoDB client of that host; empty where none runs.
    owner
        Its process; None where none runs.
    detail
        One line for a person.
    """

    folder: Path
    running: bool
    uri: str
    owner: Owner | None
    detail: str


def database_status(folder: Path) -> DatabaseStatus:
    """Return whether a server runs for `folder`, and where."""
    folder = Path(folder).resolve()
    try:
        state: dict[str, Any] = read_json(folder / STATE_FILE)
        owner = Owner(state["host"], state["pid"], state["started"])
        uri = state["uri"]
    except (HpcstemError, KeyError, TypeError):
        return DatabaseStatus(folder, False, "", None, "not running")
    where = f"process {owner.pid} on {owner.host}"
    if owner.is_alive and _answers(uri):
        return DatabaseStatus(folder, True, uri, owner, f"running as {where}")
    if not owner.is_here and _seconds_since_beat(folder) < 6 * HEARTBEAT_S:
        return DatabaseStatus(folder, True, uri, owner, f"running as {where}")
    return DatabaseStatus(folder, False, "", None, f"not running; {where} has ended or does not answer")


def start_database(folder: Path, idle_s: float | None = None) -> str:
    """Return the URI of the database in `folder`; start its server if none runs.

    The server is a process of its own that outlives the caller. Called again, or by many at once, it is the same
    server. The folder is made if absent, and is closed to all other users.

    Parameters
    ----------
    folder
        The folder.
    idle_s
        A server started here ends when nobody has been connected for so long [s]; None: it goes on. One on another
        host that will end so is waited for.

    Raises
    ------
    DatabaseError
        The folder holds something else or is another user's, its server runs on another host, or the server
        does not start.
    """
    folder = Path(folder).resolve()
    status = database_status(folder)
    deadline = time.monotonic() + _idle_s(folder) + _ELSEWHERE_S
    while status.owner is not None and not status.owner.is_here and time.monotonic() < deadline:
        time.sleep(_POLL_S)
        status = database_status(folder)
    if not status.running:
        _prepare(folder)
        status = _spawn(folder, idle_s)
    if status.owner is not None and not status.owner.is_here:
        raise DatabaseError(
            f"the database in {folder} runs on {status.owner.host}",
            wanted="work on that host, stop it there, or use a MongoDB server for several hosts",
        )
    return status.uri


def stop_database(folder: Path) -> bool:
    """Stop the server of `folder`; return False where none runs.

    Raises
    ------
    DatabaseError
        It runs on another host, or does not end within 20 s.
    """
    status = database_status(folder)
    if status.owner is None:
        return False
    if not status.owner.is_here:
        raise DatabaseError(f"the database in {folder}", status.detail, f"a stop on {status.owner.host}")
    os.kill(status.owner.pid, signal.SIGTERM)
    deadline = time.monotonic() + _STOP_TIMEOUT_S
    while status.owner.is_alive:
        if time.monotonic() > deadline:
            raise DatabaseError(f"process {status.owner.pid} of {folder}", "no end after SIGTERM")
        time.sleep(_POLL_S)
    return True


def _answers(uri: str) -> bool:
    import pymongo
    from pymongo.errors import PyMongoError

    client: pymongo.MongoClient[Any] = pymongo.MongoClient(uri, serverSelectionTimeoutMS=5000, socketTimeoutMS=20000)
    with client:
        try:
            return bool(client.admin.command("ping")["ok"])
        except PyMongoError:
            return False


def _seconds_since_beat(folder: Path) -> float:
    # Both times come from the file system's clock, so that the hosts' clocks need not agree.
    probe = folder / f".probe-{os.getpid()}"
    try:
        probe.touch()
        return probe.stat().st_mtime - (folder / STATE_FILE).stat().st_mtime
    except OSError as error:
        raise DatabaseError(f"cannot write in {folder}", error.strerror) from error
    finally:
        probe.unlink(missing_ok=True)


def _prepare(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        names = {path.name for path in folder.iterdir()}
        if names and "lock" not in names:
            raise DatabaseError(f"{folder} holds other files", sorted(names)[0], "an empty or absent folder")
        if folder.stat().st_uid != os.getuid():
            raise DatabaseError(f"{folder} belongs to another user", wanted="a folder of your own")
        (folder / "lock").touch(mode=0o600)
        folder.chmod(0o700)
    except OSError as error:
        raise DatabaseError(f"cannot use {folder}", error.strerror, "a folder of your own") from error


def _idle_s(folder: Path) -> float:
    """After how long the server of a folder ends by itself, less `_ELSEWHERE_S` where it does not [s]."""
    try:
        idle_s = read_json(folder / STATE_FILE).get("idle_s")
    except HpcstemError:
        return -_ELSEWHERE_S
    return -_ELSEWHERE_S if idle_s is None else float(idle_s)


def _spawn(folder: Path, idle_s: float | None) -> DatabaseStatus:
    command = [sys.executable, "-m", "hpcstem.simulation.database", "--folder", str(folder)]
    command += [] if idle_s is None else ["--idle-s", str(idle_s)]
    log_path = folder / "server.log"
    log_path.touch(mode=0o600)
    with open(log_path, "ab") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd="/"
        )
    deadline = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < deadline:
        status = database_status(folder)
        if status.running:
            return status
        if process.poll() is not None and not _someone_holds(folder):
            break
        time.sleep(_POLL_S)
    lines = log_path.read_text(errors="replace").strip().splitlines()
    raise DatabaseError(f"the database in {folder} does not start", lines[-1] if lines else "no message")


def _someone_holds(folder: Path) -> bool:
    """Whether another server has the folder's lock: it was started at the same moment and is not ready yet."""
    import fcntl

    with open(folder / "lock", "a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False
