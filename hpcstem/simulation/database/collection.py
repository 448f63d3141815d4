"""One collection in memory: documents that are never changed in place, and indexes in front of them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import bson
from bson.raw_bson import RawBSONDocument
from mongomock.filtering import NOTHING, filter_applies, iter_key_candidates, resolve_sort_key
from pymongo.errors import DuplicateKeyError, WriteError

from hpcstem.simulation.database.index import HashIndex
from hpcstem.simulation.database.wire import CODEC

Change = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Document:
    """One stored document, as bytes to send and as values to compare."""

    raw: bytes
    value: dict[str, Any]


class Collection:
    """Documents in the order of their insertion.

    Parameters
    ----------
    namespace
        Name of the database and of the collection, joined by a dot.
    record
        Called with each change; together they rebuild the collection by `Store.apply`.
    """

    def __init__(self, namespace: str, record: Callable[[Change], None]) -> None:
        self.namespace = namespace
        self._record = record
        self._documents: dict[Hashable, Document] = {}
        self._hash_indexes: dict[str, HashIndex] = {}
        self.index_specs: dict[str, dict[str, Any]] = {"_id_": {"v": 2, "key": {"_id": 1}, "name": "_id_"}}

    def __len__(self) -> int:
        return len(self._documents)

    def __iter__(self) -> Iterator[Document]:
        return iter(list(self._documents.values()))

    def find(self, filter_: Mapping[str, Any], sort: Mapping[str, int] | None = None, limit: int = 0) -> list[Document]:
        """Return the documents that `filter_` matches, sorted, at most `limit` of them (0: all)."""
        found: list[Document] = []
        stop = limit if limit and not sort else 0
        for document in self._candidates(filter_):
            if filter_applies(filter_, document.value):
                found.append(document)
                if len(found) == stop:
                    break
        for field, direction in reversed(list((sort or {}).items())):
            if field == "$natural":
                found = found[::-1] if direction < 0 else found
            else:
                found.sort(key=partial(_sort_key, field), reverse=direction < 0)
        return found[:limit] if limit else found

    def put(self, value: Mapping[str, Any]) -> Document:
        """Insert a document, or replace the one with the same `_id`.

        Raises
        ------
        DuplicateKeyError
            Another document has the same values under a unique index. Nothing is changed.
        """
        raw = bson.encode(value)
        document = Document(raw, bson.decode(raw, CODEC))
        key = _key(document.value["_id"])
        self._check_unique(key, document.value)
        self._remove_from_indexes(key)
        self._documents[key] = document
        for index in self._hash_indexes.values():
            index.add(key, document.value)
        self._record({"op": "put", "ns": self.namespace, "document": RawBSONDocument(raw)})
        return document

    def insert(self, value: Mapping[str, Any]) -> Document:
        """Insert a new document; `_id` is made where it lacks.

        Raises
        ------
        DuplicateKeyError
            A document with the same `_id`, or the same values under a unique index, is there.
        """
        value = {"_id": value["_id"] if "_id" in value else bson.ObjectId()} | dict(value)
        if _key(value["_id"]) in self._documents:
            raise self._duplicate("_id_", {"_id": value["_id"]})
        return self.put(value)

    def replace(self, old: Document, value: Mapping[str, Any]) -> Document:
        """Put `value` in the place of `old`.

        Raises
        ------
        WriteError
            `value` has another `_id`.
        DuplicateKeyError
            Another document has the same values under a unique index. Nothing is changed.
        """
        value = {"_id": old.value["_id"]} | dict(value)
        if value["_id"] != old.value["_id"]:
            raise WriteError("the (immutable) field '_id' was found to have been altered", 66)
        return self.put(value)

    def delete(self, document_id: Any) -> None:
        """Take out the document with this `_id`, if it is there."""
        key = _key(document_id)
        if key in self._documents:
            self._remove_from_indexes(key)
            del self._documents[key]
            self._record({"op": "delete", "ns": self.namespace, "id": document_id})

    def create_index(self, spec: Mapping[str, Any]) -> None:
        """Index the first field of `spec["key"]`, and keep the whole key unique where it says so.

        Raises
        ------
        WriteError
            An index of this name with another key is there.
        DuplicateKeyError
            Documents break the uniqueness asked for. Nothing is changed.
        """
        spec = dict(spec)
        old = self.index_specs.get(spec["name"])
        if old is not None:
            if dict(old["key"]) != dict(spec["key"]) or bool(old.get("unique")) != bool(spec.get("unique")):
                raise WriteError(f"index {spec['name']} exists with other options", 86)
            return
        self.index_specs[spec["name"]] = spec
        self._build_hash_indexes()
        if spec.get("unique"):
            try:
                for key, document in self._documents.items():
                    self._check_unique(key, document.value)
            except DuplicateKeyError:
                del self.index_specs[spec["name"]]
                self._build_hash_indexes()
                raise
        self._record({"op": "create_index", "ns": self.namespace, "spec": spec})

    def drop_index(self, name: str) -> None:
        """Drop one index by name, or all but that of `_id` by `*`.

        Raises
        ------
        WriteError
            There is no such index.
        """
        if name != "*" and name not in self.index_specs:
            raise WriteError(f"index not found with name [{name}]", 27)
        for each in [n for n in self.index_specs if n != "_id_" and name in ("*", n)]:
            del self.index_specs[each]
        self._build_hash_indexes()
        self._record({"op": "drop_index", "ns": self.namespace, "name": name})

    def _build_hash_indexes(self) -> None:
        fields = {next(iter(spec["key"])) for spec in self.index_specs.values()} - {"_id"}
        for field in set(self._hash_indexes) - fields:
            del self._hash_indexes[field]
        for field in fields - set(self._hash_indexes):
            index = self._hash_indexes[field] = HashIndex(field)
            for key, document in self._documents.items():
                index.add(key, document.value)

    def _candidates(self, filter_: Mapping[str, Any]) -> list[Document]:
        """Return the fewest documents that an index can narrow the filter's matches down to."""
        if "_id" in filter_ and not isinstance(filter_["_id"], Mapping):
            document = self._documents.get(_key(filter_["_id"]))
            return [] if document is None else [document]
        fewest: list[Hashable] | None = None
        for field, condition in filter_.items():
            index = self._hash_indexes.get(field)
            keys = index.candidates(condition) if index else None
            if keys is not None and (fewest is None or len(keys) < len(fewest)):
                fewest = keys
        if fewest is None:
            return list(self._documents.values())
        return [self._documents[key] for key in fewest]

    def _check_unique(self, key: Hashable, value: Mapping[str, Any]) -> None:
        for name, spec in self.index_specs.items():
            if name == "_id_" or not spec.get("unique"):
                continue
            values = {field: _first_value(field, value) for field in spec["key"]}
            if spec.get("sparse") and all(v is None for v in values.values()):
                continue
            only = spec.get("partialFilterExpression")
            if only and not filter_applies(only, value):
                continue
            wanted = {"$and": [values, only]} if only else values
            for other in self._candidates(values):
                if _key(other.value["_id"]) != key and filter_applies(wanted, other.value):
                    raise self._duplicate(name, values)

    def _duplicate(self, index: str, values: Mapping[str, Any]) -> DuplicateKeyError:
        message = f"E11000 duplicate key error collection: {self.namespace} index: {index} dup key: {values}"
        return DuplicateKeyError(message, 11000)

    def _remove_from_indexes(self, key: Hashable) -> None:
        old = self._documents.get(key)
        if old is not None:
            for index in self._hash_indexes.values():
                index.remove(key, old.value)


def _key(document_id: Any) -> Hashable:
    return document_id if isinstance(document_id, Hashable) else bson.encode({"_id": document_id})


def _sort_key(field: str, document: Document) -> Any:
    return resolve_sort_key(field, document.value)


def _first_value(field: str, value: Mapping[str, Any]) -> Any:
    first = next(iter(iter_key_candidates(field, value)), NOTHING)
    return None if first is NOTHING else first
