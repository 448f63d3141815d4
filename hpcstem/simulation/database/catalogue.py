"""Commands about the server, its databases, collections and indexes."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

import bson
from pymongo.errors import OperationFailure

from hpcstem.simulation.database.cursors import Cursors
from hpcstem.simulation.database.store import Store
from hpcstem.simulation.database.wire import MAX_MESSAGE_BYTES

Body = Mapping[str, Any]
Reply = dict[str, Any]
_OK: Reply = {"ok": 1.0}
# The dialect of MongoDB 6.0; sessions are not offered, so that clients ask for no transactions.
_WIRE_VERSION, _SERVER_VERSION = 17, [6, 0, 0, 0]


def hello(store: Store, cursors: Cursors, body: Body) -> Reply:
    """Say what this server is able to do."""
    return _OK | {
        "helloOk": True,
        "ismaster": True,
        "isWritablePrimary": True,
        "maxBsonObjectSize": 16 * 1024**2,
        "maxMessageSizeBytes": MAX_MESSAGE_BYTES,
        "maxWriteBatchSize": 100_000,
        "localTime": datetime.datetime.now(datetime.UTC),
        "minWireVersion": 0,
        "maxWireVersion": _WIRE_VERSION,
        "readOnly": False,
    }


def ping(store: Store, cursors: Cursors, body: Body) -> Reply:
    """Answer."""
    return _OK


def build_info(store: Store, cursors: Cursors, body: Body) -> Reply:
    """Return the version of MongoDB whose dialect is spoken."""
    version = ".".join(map(str, _SERVER_VERSION[:3]))
    return _OK | {"version": version, "versionArray": _SERVER_VERSION, "modules": ["hpcstem"]}


def list_databases(store: Store, cursors: Cursors, body: Body) -> Reply:
    """Return the names of the databases."""
    names = sorted({namespace.split(".", 1)[0] for namespace in store.existing()})
    return _OK | {"databases": [{"name": name, "empty": False} for name in names], "totalSize": 0}


def list_collections(store: Store, cursors: Cursors, body: Body) -> Reply:
    """Return the collections of a database."""
    database = body["$db"]
    wanted = (body.get("filter") or {}).get("name")
    documents = []
    for namespace in store.existing(database):
        name = namespace.removeprefix(f"{database}.")
        if wanted is None or wanted == name:
            documents.append(bson.encode({"name": name, "type": "collection", "options": {}, "info": {}}))
    return cursors.first(f"{database}.$cmd.listCollections", documents, None)


def create(store: Store, cursors: Cursors, body: Body) -> Reply:
    """Accept the name of a collection; it is made by its first document."""
    store.collection(f"{body['$db']}.{body['create']}")
    return _OK


def drop(store: Store, cursors: Cursors, body: Body) -> Reply:
    """Drop a collection.

    Raises
    ------
    OperationFailure
        There is no such collection.
    """
    if not store.drop(f"{body['$db']}.{body['drop']}"):
        raise OperationFailure("ns not found", 26)
    return _OK


def drop_database(store: Store, cursors: Cursors, body: Body) -> Reply:
    """Drop all collections of a database."""
    for namespace in store.existing(body["$db"]):
        store.drop(namespace)
    return _OK | {"dropped": body["$db"]}


def rename_collection(store: Store, cursors: Cursors, body: Body) -> Reply:
    """Rename a collection.

    Raises
    ------
    OperationFailure
        There is no such collection, or the new name is taken and `dropTarget` is not set.
    """
    old, new = body["renameCollection"], body["to"]
    if old not in store.existing():
        raise OperationFailure("source namespace does not exist", 26)
    if new in store.existing() and not body.get("dropTarget"):
        raise OperationFailure("target namespace exists", 48)
    store.rename(old, new)
    return _OK


def collection_stats(store: Store, cursors: Cursors, body: Body) -> Reply:
    """Return how many documents and bytes a collection holds."""
    namespace = f"{body['$db']}.{body['collStats']}"
    collection = store.collection(namespace)
    size = sum(len(document.raw) for document in collection)
    count = len(collection)
    n_indexes = len(collection.index_specs)
    return _OK | {"ns": namespace, "count": count, "size": size, "storageSize": size, "nindexes": n_indexes}


def create_indexes(store: Store, cursors: Cursors, body: Body) -> Reply:
    """Create indexes; those that are there already are left."""
    collection = store.collection(f"{body['$db']}.{body['createIndexes']}")
    before = len(collection.index_specs)
    for spec in body["indexes"]:
        if "expireAfterSeconds" in spec or spec.get("collation"):
            raise OperationFailure("index option not implemented by the embedded database", 238)
        collection.create_index({"v": 2} | dict(spec))
    return _OK | {"numIndexesBefore": before, "numIndexesAfter": len(collection.index_specs)}


def list_indexes(store: Store, cursors: Cursors, body: Body) -> Reply:
    """Return the indexes of a collection.

    Raises
    ------
    OperationFailure
        There is no such collection.
    """
    namespace = f"{body['$db']}.{body['listIndexes']}"
    if namespace not in store.existing():
        raise OperationFailure(f"ns does not exist: {namespace}", 26)
    specs = store.collection(namespace).index_specs.values()
    return cursors.first(namespace, [bson.encode(spec) for spec in specs], None)


def drop_indexes(store: Store, cursors: Cursors, body: Body) -> Reply:
    """Drop indexes by name, by key or all."""
    collection = store.collection(f"{body['$db']}.{body['dropIndexes']}")
    wanted = body["index"]
    if isinstance(wanted, Mapping):
        names = [name for name, spec in collection.index_specs.items() if dict(spec["key"]) == dict(wanted)]
    else:
        names = wanted if isinstance(wanted, list) else [wanted]
    if not names:
        raise OperationFailure(f"can't find index with key: {wanted}", 27)
    before = len(collection.index_specs)
    for name in names:
        collection.drop_index(name)
    return _OK | {"nIndexesWas": before}
