"""Commands that change documents: insert, update, delete, findAndModify."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pymongo.errors import OperationFailure, WriteError

from hpcstem.simulation.database.collection import Collection, Document
from hpcstem.simulation.database.projection import project
from hpcstem.simulation.database.scratch import Scratch
from hpcstem.simulation.database.store import Store

Body = Mapping[str, Any]
Reply = dict[str, Any]


def insert(store: Store, body: Body) -> Reply:
    """Insert `documents`; with `ordered` stop at the first that fails."""
    collection = store.collection(f"{body['$db']}.{body['insert']}")

    def insert_one(document: Body) -> int:
        collection.insert(document)
        return 1

    return _each(body, "documents", insert_one)


def delete(store: Store, body: Body) -> Reply:
    """Delete what each of `deletes` matches: one document with `limit` 1, all with 0."""
    collection = store.collection(f"{body['$db']}.{body['delete']}")

    def delete_matches(statement: Body) -> int:
        _refuse(statement, "collation")
        found = collection.find(statement["q"], limit=statement["limit"])
        for document in found:
            collection.delete(document.value["_id"])
        return len(found)

    return _each(body, "deletes", delete_matches)


def update(store: Store, body: Body) -> Reply:
    """Apply each of `updates` to what it matches, with `multi` to all, with `upsert` to a new document."""
    collection = store.collection(f"{body['$db']}.{body['update']}")
    n_modified = 0
    upserted: list[Reply] = []

    def update_matches(statement: Body) -> int:
        nonlocal n_modified
        _refuse(statement, "collation", "arrayFilters")
        found = collection.find(statement["q"], limit=0 if statement.get("multi") else 1)
        for document in found:
            new = changed(store.scratch, document.value, statement["q"], statement["u"])
            if new != document.value:
                collection.replace(document, new)
                n_modified += 1
        if not found and statement.get("upsert"):
            new_document = _upsert(store.scratch, collection, statement["q"], statement["u"])
            index = body["updates"].index(statement)
            upserted.append({"index": index, "_id": new_document.value["_id"]})
            return 1
        return len(found)

    reply = _each(body, "updates", update_matches) | {"nModified": n_modified}
    return reply | ({"upserted": upserted} if upserted else {})


def find_and_modify(store: Store, body: Body) -> Reply:
    """Change or remove the first match in one step, and return it as it was or, with `new`, as it is."""
    name = body.get("findAndModify") or body.get("findandmodify")
    collection = store.collection(f"{body['$db']}.{name}")
    _refuse(body, "collation", "arrayFilters")
    query, remove, change = body.get("query") or {}, body.get("remove"), body.get("update")
    if bool(remove) == (change is not None):
        raise OperationFailure("either an update or remove=true must be specified", 9)
    found = collection.find(query, sort=body.get("sort"), limit=1)
    old = found[0] if found else None
    new: Document | None = None
    last_error: Reply = {"n": int(old is not None)}
    if remove:
        if old is not None:
            collection.delete(old.value["_id"])
    elif old is not None:
        new = collection.replace(old, changed(store.scratch, old.value, query, change))
        last_error["updatedExisting"] = True
    elif body.get("upsert"):
        new = _upsert(store.scratch, collection, query, change)
        last_error = {"n": 1, "updatedExisting": False, "upserted": new.value["_id"]}
    else:
        last_error["updatedExisting"] = False
    answer = new if body.get("new") else old
    value = None if answer is None else project(answer.value, body.get("fields"))
    return {"value": value, "lastErrorObject": last_error, "ok": 1.0}


def changed(scratch: Scratch, value: dict[str, Any], query: Body, change: Any) -> dict[str, Any]:
    """Return `value` after `change`: update operators, a pipeline, or a whole document in its place."""
    if _is_replacement(change):
        return {"_id": value["_id"]} | change
    new = scratch.update(value, query, change)
    if new is None:
        raise WriteError("an update left no document", 8)
    return new


def _upsert(scratch: Scratch, collection: Collection, query: Body, change: Any) -> Document:
    if not _is_replacement(change):
        new = scratch.update(None, query, change, upsert=True)
        if new is None:
            raise WriteError("an upsert left no document", 8)
        return collection.insert(new)
    given = query.get("_id")
    given = given.get("$eq") if isinstance(given, Mapping) else given
    return collection.insert(({} if given is None else {"_id": given}) | change)


def _is_replacement(change: Any) -> bool:
    return isinstance(change, Mapping) and not any(name.startswith("$") for name in change)


def _refuse(statement: Body, *options: str) -> None:
    for option in options:
        if statement.get(option):
            raise OperationFailure(f"option {option} is not implemented by the embedded database", 238)


def _each(body: Body, name: str, run: Callable[[Any], int]) -> Reply:
    """Run each statement; collect what failed as a client expects it."""
    n, errors = 0, []
    for index, statement in enumerate(body[name]):
        try:
            n += run(statement)
        except (OperationFailure, NotImplementedError) as error:
            code = getattr(error, "code", None) or 2
            errors.append({"index": index, "code": code, "errmsg": str(error)})
            if body.get("ordered", True):
                break
    return {"n": n, "ok": 1.0} | ({"writeErrors": errors} if errors else {})
