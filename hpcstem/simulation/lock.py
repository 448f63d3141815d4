"""A lock in the database that names its holder, so that a dead holder's lock can be taken over."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Self

from hpcstem.errors import DatabaseError
from hpcstem.simulation.owner import Owner

_TIMEOUT_S, _POLL_S = 120.0, 0.02
_UNKNOWN_HOLDER_S = 30.0
# A job that is being added can be met a moment before its workflow names it.
_APPEARS_WITHIN_S = 5.0


class OwnedLock:
    """Hold the field `locked` of one document: one compare-and-set that stores the owner.

    The lock of an owner that has died on this host is taken at once; one whose holder cannot be looked at (another
    host, or stock FireWorks, which stores no name) after it has been seen unchanged for 30 s. FireWorks holds these
    locks for milliseconds.

    Parameters
    ----------
    collection
        pymongo collection.
    query
        Picks the document.
    owner
        The process that locks.
    """

    def __init__(self, collection: Any, query: Mapping[str, Any], owner: Owner) -> None:
        self._collection, self._query = collection, dict(query)
        self._mine = owner.to_document()

    def __enter__(self) -> Self:
        """Wait for the lock.

        Raises
        ------
        DatabaseError
            The document is absent, or others hold its lock for two minutes.
        """
        start = seen_at = time.monotonic()
        seen: Any = None
        while True:
            if self._swap({"$exists": False}):
                return self
            document = self._collection.find_one(self._query, {"locked": 1})
            now = time.monotonic()
            if document is None and now - start > _APPEARS_WITHIN_S:
                raise DatabaseError(f"nothing to lock for {self._query}", wanted="a workflow of this database")
            holder = (document or {}).get("locked")
            if holder != seen:
                seen, seen_at = holder, now
            if holder is not None and self._is_free(holder, now - seen_at) and self._swap(holder):
                return self
            if now - start > _TIMEOUT_S:
                raise DatabaseError(f"lock of {self._query}", f"held by {holder}", "a free one within 120 s")
            time.sleep(_POLL_S)

    def __exit__(self, *_: object) -> None:
        # FireWorks replaces the whole workflow, and then the lock reads True until it is given back.
        own = {"locked": {"$in": [self._mine, True]}}
        self._collection.update_one(self._query | own, {"$unset": {"locked": ""}})

    def _swap(self, expected: Any) -> bool:
        change = {"$set": {"locked": self._mine}}
        return self._collection.update_one(self._query | {"locked": expected}, change).matched_count == 1

    def _is_free(self, holder: Any, unchanged_s: float) -> bool:
        owner = Owner.from_document(holder)
        if owner is not None and owner.is_here:
            # Our own: an answer of the database got lost, and we hold it without knowing.
            return not owner.is_alive or holder == self._mine
        return unchanged_s > _UNKNOWN_HOLDER_S
