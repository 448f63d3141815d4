"""From the name of a command to its answer; whatever goes wrong inside is an answer too."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from typing import Any

import bson
import mongomock
from pymongo.errors import OperationFailure

from hpcstem.simulation.database import catalogue, reads, writes
from hpcstem.simulation.database.cursors import Cursors
from hpcstem.simulation.database.journal import Journal
from hpcstem.simulation.database.store import Store

Body = Mapping[str, Any]
Reply = dict[str, Any]

_WRITES: dict[str, Callable[[Store, Body], Reply]] = {
    "insert": writes.insert,
    "update": writes.update,
    "delete": writes.delete,
    "findAndModify": writes.find_and_modify,
    "findandmodify": writes.find_and_modify,
}
_OTHERS: dict[str, Callable[[Store, Cursors, Body], Reply]] = {
    "hello": catalogue.hello,
    "isMaster": catalogue.hello,
    "ismaster": catalogue.hello,
    "ping": catalogue.ping,
    "endSessions": catalogue.ping,
    "buildInfo": catalogue.build_info,
    "buildinfo": catalogue.build_info,
    "listDatabases": catalogue.list_databases,
    "listCollections": catalogue.list_collections,
    "create": catalogue.create,
    "drop": catalogue.drop,
    "dropDatabase": catalogue.drop_database,
    "renameCollection": catalogue.rename_collection,
    "collStats": catalogue.collection_stats,
    "createIndexes": catalogue.create_indexes,
    "listIndexes": catalogue.list_indexes,
    "dropIndexes": catalogue.drop_indexes,
    "find": reads.find,
    "getMore": reads.get_more,
    "killCursors": reads.kill_cursors,
    "count": reads.count,
    "distinct": reads.distinct,
    "aggregate": reads.aggregate,
}
_FAILURES = (OperationFailure, mongomock.OperationFailure)


class Commands:
    """Runs commands on a store, one at a time.

    Parameters
    ----------
    store
        The store; its changes are on disk before `run` returns.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._cursors = Cursors()

    def run(self, body: Body) -> Reply:
        """Return the answer to a command; a failure is an answer with `ok` 0.

        Raises
        ------
        OSError
            The journal cannot be written: the server must end, for memory is ahead of the disk.
        """
        with self._store.lock:
            reply = self._answer(body)
            ticket: tuple[Journal, int] | None = self._store.commit()
        if ticket is not None:
            journal, offset = ticket
            journal.sync(offset)
        return reply

    def _answer(self, body: Body) -> Reply:
        name = next(iter(body), "")
        try:
            if name in _WRITES:
                return _WRITES[name](self._store, body)
            if name in _OTHERS:
                return _OTHERS[name](self._store, self._cursors, body)
        except _FAILURES as error:
            return _failure(getattr(error, "code", None) or 2, "OperationFailed", str(error))
        except NotImplementedError as error:
            return _failure(238, "NotImplemented", str(error))
        except bson.errors.BSONError as error:
            return _failure(2, "BadValue", str(error))
        except Exception as error:  # a fault of the server must reach the client as an answer, and the log
            traceback.print_exc()
            return _failure(8, "UnknownError", f"{type(error).__name__}: {error}")
        return _failure(59, "CommandNotFound", f"no such command: '{name}'")


def _failure(code: int, name: str, message: str) -> Reply:
    return {"ok": 0.0, "errmsg": message, "code": code, "codeName": name}
