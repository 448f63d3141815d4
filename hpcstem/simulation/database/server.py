"""The server process: one per folder, a thread per connection, a Unix socket that only its user can open."""

from __future__ import annotations

import fcntl
import hashlib
import os
import signal
import socketserver
import stat
import sys
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import hpcstem
from hpcstem.errors import DatabaseError
from hpcstem.files import write_json
from hpcstem.simulation.database.commands import Commands
from hpcstem.simulation.database.store import Store
from hpcstem.simulation.database.wire import encode_reply, read_message
from hpcstem.simulation.owner import Owner

STATE_FILE = "server.json"
HEARTBEAT_S = 5.0
_MAX_SOCKET_PATH_BYTES = 100  # the system's limit is 107


def serve(folder: Path, idle_s: float | None = None) -> None:
    """Serve the database in `folder` until SIGTERM or SIGINT, or until nobody has been connected for `idle_s` seconds.

    Raises
    ------
    DatabaseError
        Another server has the folder, or its files cannot be read or written.
    """
    folder = Path(folder).resolve()
    if not (folder / "lock").exists():
        raise DatabaseError(f"{folder} holds no database", wanted="`hpcstem db start`, which makes one")
    os.umask(0o077)
    with open(folder / "lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise DatabaseError(f"cannot lock {folder}", error.strerror, "no other server of it") from error
        store = Store(folder)
        if store.dropped_bytes:
            print(f"set aside {store.dropped_bytes} bytes of a torn journal", file=sys.stderr)
        socket_path = _socket_path(folder)
        with _Server(str(socket_path), Commands(store), idle_s) as server:
            socket_path.chmod(0o600)
            signal.signal(signal.SIGTERM, server.stop)
            signal.signal(signal.SIGINT, server.stop)
            _announce(folder, socket_path, idle_s)
            threading.Thread(target=_beat, args=(folder, socket_path, server), daemon=True).start()
            server.serve_forever(poll_interval=0.1)
        # Never released: a connection that is still open must not write after this.
        store.lock.acquire()
        store.close()
        (folder / STATE_FILE).unlink(missing_ok=True)
        socket_path.unlink(missing_ok=True)
        if socket_path.parent != folder:
            socket_path.parent.rmdir()


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, path: str, commands: Commands, idle_s: float | None) -> None:
        self.commands, self.idle_s = commands, idle_s
        self._n_connected, self._left = 0, time.monotonic()
        self._counting = threading.Lock()
        super().__init__(path, _Connection)

    def count(self, change: int) -> None:
        """Note that somebody has come (1) or gone (-1)."""
        with self._counting:
            self._n_connected, self._left = self._n_connected + change, time.monotonic()

    def service_actions(self) -> None:
        """Stop where nobody has been connected for long; called about ten times a second."""
        with self._counting:
            idle = self.idle_s is not None and not self._n_connected and time.monotonic() - self._left > self.idle_s
        if idle:
            self.idle_s = None
            self.stop()

    def stop(self, *_: Any) -> None:
        # `shutdown` waits for the loop that this signal has interrupted, so it needs a thread of its own.
        threading.Thread(target=self.shutdown, daemon=True).start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep quiet: a client that hangs up in the middle is no fault of the server."""


class _Connection(socketserver.StreamRequestHandler):
    server: _Server
    wbufsize = -1

    def setup(self) -> None:
        super().setup()
        self.server.count(1)

    def finish(self) -> None:
        self.server.count(-1)
        super().finish()

    def handle(self) -> None:
        while True:
            try:
                message = read_message(self.rfile)
            except DatabaseError as error:
                print(error, file=sys.stderr)
                return
            if message is None:
                return
            try:
                reply = self.server.commands.run(message.body)
            except OSError as error:
                print(f"cannot write the journal: {error}; the server ends", file=sys.stderr, flush=True)
                os._exit(3)
            if message.wants_reply:
                self.wfile.write(encode_reply(message, reply))
                self.wfile.flush()


def _announce(folder: Path, socket_path: Path, idle_s: float | None) -> None:
    state = Owner.current().to_document() | {
        "socket": str(socket_path),
        "uri": f"mongodb://{quote_plus(str(socket_path))}/",
        "hpcstem": hpcstem.__version__,
        "idle_s": idle_s,
    }
    write_json(folder / STATE_FILE, state)


def _beat(folder: Path, socket_path: Path, server: _Server) -> None:
    """Touch the state file, so that another host can tell a living server from one that was killed.

    Where the socket or the folder has been taken away, no client can come any more: the server ends.
    """
    while socket_path.exists():
        try:
            os.utime(folder / STATE_FILE)
        except OSError:
            break
        time.sleep(HEARTBEAT_S)
    server.stop()


def _socket_path(folder: Path) -> Path:
    path = folder / "db.sock"
    if len(os.fsencode(path)) > _MAX_SOCKET_PATH_BYTES:
        digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]
        base = Path(os.environ.get("XDG_RUNTIME_DIR") or "/tmp")  # noqa: S108 - a private folder in it, checked
        path = base / f"hpcstem-{os.getuid()}-{digest}" / "db.sock"
        path.parent.mkdir(mode=0o700, exist_ok=True)
        found = path.parent.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
            raise DatabaseError(f"{path.parent} is not private", oct(found.st_mode), "your own, mode 0700")
    path.unlink(missing_ok=True)
    return path
