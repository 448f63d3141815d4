"""Hash index of one field, so that an equality lookup does not scan the collection."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import Any

from bson.regex import Regex
from mongomock.filtering import iter_key_candidates

_UNHASHABLE = object()


class HashIndex:
    """Keys of the documents by value of one field; an array counts under each of its elements.

    Lookups give a superset of the matches: the caller applies the filter to what they give.

    Parameters
    ----------
    field
        Dotted path of the field.
    """

    def __init__(self, field: str) -> None:
        self.field = field
        # A dict without values is an ordered set: lookups answer in the order of arrival.
        self._keys: dict[Hashable, dict[Hashable, None]] = {}

    def add(self, key: Hashable, document: Mapping[str, Any]) -> None:
        """Enter a document under its values."""
        for value in self._values(document):
            self._keys.setdefault(value, {})[key] = None

    def remove(self, key: Hashable, document: Mapping[str, Any]) -> None:
        """Take out a document, given as it was entered."""
        for value in self._values(document):
            keys = self._keys[value]
            del keys[key]
            if not keys:
                del self._keys[value]

    def candidates(self, condition: Any) -> list[Hashable] | None:
        """Return keys of all documents that may meet `condition` on this field; None if it cannot tell."""
        if isinstance(condition, Mapping):
            if "$eq" in condition:
                wanted: Iterable[Any] = [condition["$eq"]]
            elif isinstance(condition.get("$in"), list):
                wanted = condition["$in"]
            else:
                return None
        else:
            wanted = [condition]
        found = dict(self._keys.get(_UNHASHABLE, {}))
        for value in wanted:
            if value is None or isinstance(value, (list, Mapping, Regex)) or not isinstance(value, Hashable):
                return None
            found.update(self._keys.get(value, {}))
        return list(found)

    def _values(self, document: Mapping[str, Any]) -> set[Hashable]:
        values: set[Hashable] = set()
        for candidate in iter_key_candidates(self.field, document):
            for value in candidate if isinstance(candidate, list) else [candidate]:
                values.add(value if isinstance(value, Hashable) else _UNHASHABLE)
        return values
