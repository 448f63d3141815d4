"""Which fields of a document a client asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pymongo.errors import OperationFailure


def project(value: dict[str, Any], fields: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the fields of `value` that a projection keeps; `value` itself is not changed.

    Parameters
    ----------
    value
        The document.
    fields
        MongoDB projection: paths to 1 or 0; all fields where empty.

    Raises
    ------
    OperationFailure
        The projection has operators.
    """
    if not fields:
        return value
    flags = {path: flag for path, flag in fields.items() if path != "_id"}
    if any(isinstance(flag, (Mapping, str)) for flag in fields.values()):
        raise OperationFailure("projection operators are not implemented by the embedded database", 238)
    if any(flags.values()):
        kept: dict[str, Any] = {}
        if fields.get("_id", 1) and "_id" in value:
            kept["_id"] = value["_id"]
        return kept | _included(value, [path.split(".") for path in flags])
    dropped = [path.split(".") for path in flags] + ([["_id"]] if not fields.get("_id", 1) else [])
    if not flags and fields.get("_id"):
        return {"_id": value["_id"]}
    return _excluded(value, dropped)


def _by_first(paths: list[list[str]]) -> dict[str, list[list[str]]]:
    grouped: dict[str, list[list[str]]] = {}
    for first, *rest in paths:
        grouped.setdefault(first, []).append(rest)
    return grouped


def _included(value: Mapping[str, Any], paths: list[list[str]]) -> dict[str, Any]:
    kept = {}
    for name, rests in _by_first(paths).items():
        if name not in value:
            continue
        inner = value[name]
        if [] in rests:
            kept[name] = inner
        elif isinstance(inner, Mapping):
            kept[name] = _included(inner, rests)
        elif isinstance(inner, list):
            kept[name] = [_included(item, rests) for item in inner if isinstance(item, Mapping)]
    return kept


def _excluded(value: Mapping[str, Any], paths: list[list[str]]) -> dict[str, Any]:
    grouped = _by_first(paths)
    kept = {}
    for name, inner in value.items():
        rests = grouped.get(name)
        if rests is None:
            kept[name] = inner
        elif [] in rests:
            continue
        elif isinstance(inner, Mapping):
            kept[name] = _excluded(inner, rests)
        elif isinstance(inner, list):
            kept[name] = [_excluded(i, rests) if isinstance(i, Mapping) else i for i in inner]
        else:
            kept[name] = inner
    return kept
