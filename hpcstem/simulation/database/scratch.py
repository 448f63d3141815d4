"""MongoDB's update operators, borrowed from mongomock one document at a time."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any


class Scratch:
    """A mongomock collection that holds one document at most, for the length of one call."""

    def __init__(self) -> None:
        import mongomock

        self._collection: Any = mongomock.MongoClient().scratch.scratch

    def update(
        self, value: dict[str, Any] | None, filter_: Mapping[str, Any], update: Any, *, upsert: bool = False
    ) -> dict[str, Any] | None:
        """Return `value` after an update with operators or a pipeline; `value` itself is not changed.

        Parameters
        ----------
        value
            The document, which `filter_` matches; None to make a new one with `upsert`.
        filter_
            The client's filter: positional operators and a new document take from it.
        update
            Update operators or a pipeline.
        upsert
            Whether to make a document where `value` is None.
        """
        self._collection.drop()
        if value is not None:
            self._collection.insert_one(copy.deepcopy(value))
        self._collection.update_one(dict(filter_), update, upsert=upsert)
        return self._collection.find_one()
