"""Commands that read documents: find, getMore, count, distinct, aggregate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import bson
from mongomock.aggregate import process_pipeline
from mongomock.filtering import NOTHING, iter_key_candidates
from pymongo.errors import OperationFailure

from hpcstem.simulation.database.collection import Document
from hpcstem.simulation.database.cursors import Cursors
from hpcstem.simulation.database.projection import project
from hpcstem.simulation.database.store import Store
from hpcstem.simulation.database.wire import CODEC

Body = Mapping[str, Any]
Reply = dict[str, Any]


def find(store: Store, cursors: Cursors, body: Body) -> Reply:
    """Return what a filter matches, sorted, after `skip`, at most `limit`, as a cursor."""
    if body.get("collation"):
        raise OperationFailure("option collation is not implemented by the embedded database", 238)
    namespace = f"{body['$db']}.{body['find']}"
    skip, limit = int(body.get("skip", 0)), abs(int(body.get("limit", 0)))
    found = store.collection(namespace).find(
        body.get("filter") or {}, body.get("sort"), limit=skip + limit if limit else 0
    )
    fields = body.get("projection")
    documents = [bson.encode(project(d.value, fields)) if fields else d.raw for d in found[skip:]]
    if body.get("singleBatch"):
        return cursors.first(namespace, documents, batch_size=len(documents))
    return cursors.first(namespace, documents, body.get("batchSize"))


def get_more(store: Store, cursors: Cursors, body: Body) -> Reply:
    """Return the next batch of a cursor."""
    return cursors.next(f"{body['$db']}.{body['collection']}", body["getMore"], body.get("batchSize"))


def kill_cursors(store: Store, cursors: Cursors, body: Body) -> Reply:
    """Forget cursors."""
    killed = cursors.close(body["cursors"])
    missing = [number for number in body["cursors"] if number not in killed]
    nothing: Reply = {"cursorsAlive": [], "cursorsUnknown": []}
    return nothing | {"cursorsKilled": killed, "cursorsNotFound": missing, "ok": 1.0}


def count(store: Store, cursors: Cursors, body: Body) -> Reply:
    """Return how many documents a filter matches."""
    collection = store.collection(f"{body['$db']}.{body['count']}")
    query = body.get("query") or {}
    n = len(collection.find(query)) if query else len(collection)
    n = max(n - int(body.get("skip", 0)), 0)
    return {"n": min(n, abs(int(body["limit"]))) if body.get("limit") else n, "ok": 1.0}


def distinct(store: Store, cursors: Cursors, body: Body) -> Reply:
    """Return the different values of one field, those of arrays one by one."""
    collection = store.collection(f"{body['$db']}.{body['distinct']}")
    values: dict[bytes, Any] = {}
    for document in collection.find(body.get("query") or {}):
        for candidate in iter_key_candidates(body["key"], document.value):
            for value in candidate if isinstance(candidate, list) else [candidate]:
                if value is not NOTHING:
                    values.setdefault(bson.encode({"": value}), value)
    return {"values": list(values.values()), "ok": 1.0}


def aggregate(store: Store, cursors: Cursors, body: Body) -> Reply:
    """Run a pipeline; its first `$match` goes through the indexes."""
    pipeline = list(body["pipeline"])
    if "$out" in (pipeline[-1] if pipeline else {}):
        raise OperationFailure("stage $out is not implemented by the embedded database", 238)
    namespace = f"{body['$db']}.{body['aggregate']}"
    query = pipeline.pop(0)["$match"] if pipeline and "$match" in pipeline[0] else {}
    found = store.collection(namespace).find(query)
    # Stages change documents in place, so they work on fresh ones.
    results = process_pipeline([_fresh(d) for d in found], _Database(store, body["$db"]), pipeline, None)
    documents = [bson.encode(result) for result in results]
    return cursors.first(namespace, documents, (body.get("cursor") or {}).get("batchSize"))


def _fresh(document: Document) -> dict[str, Any]:
    return bson.decode(document.raw, CODEC)


class _Database:
    """What mongomock's `$lookup` asks of a database."""

    def __init__(self, store: Store, name: str) -> None:
        self._store, self._name = store, name

    def get_collection(self, name: str) -> _Foreign:
        return _Foreign(self._store, f"{self._name}.{name}")


class _Foreign:
    def __init__(self, store: Store, namespace: str) -> None:
        self._collection = store.collection(namespace)

    def find(self, query: Mapping[str, Any]) -> list[dict[str, Any]]:
        return [_fresh(document) for document in self._collection.find(query)]
