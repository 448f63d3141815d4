"""Answers too long for one message, handed out batch by batch."""

from __future__ import annotations

import itertools
from typing import Any

from bson.int64 import Int64
from bson.raw_bson import RawBSONDocument
from pymongo.errors import OperationFailure

_FIRST_BATCH, _BATCH_BYTES, _MAX_OPEN, _NO_LIMIT = 101, 16_000_000, 1000, 2**31


class Cursors:
    """Open cursors; where too many are open the oldest is forgotten."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._open: dict[int, list[bytes]] = {}

    def first(self, namespace: str, documents: list[bytes], batch_size: int | None) -> dict[str, Any]:
        """Return the answer to a query that found `documents`, given as BSON."""
        batch, rest = _split(documents, _FIRST_BATCH if batch_size is None else batch_size)
        number = 0
        if rest:
            number = next(self._numbers)
            self._keep(number, rest)
        return {"cursor": {"firstBatch": batch, "id": Int64(number), "ns": namespace}, "ok": 1.0}

    def next(self, namespace: str, number: int, batch_size: int | None) -> dict[str, Any]:
        """Return the next batch of an open cursor.

        Raises
        ------
        OperationFailure
            There is no such cursor.
        """
        if number not in self._open:
            raise OperationFailure(f"cursor id {number} not found", 43)
        batch, rest = _split(self._open.pop(number), batch_size or _NO_LIMIT)
        if rest:
            self._keep(number, rest)
        return {
            "cursor": {"nextBatch": batch, "id": Int64(number if rest else 0), "ns": namespace},
            "ok": 1.0,
        }

    def close(self, numbers: list[int]) -> list[int]:
        """Forget cursors; return those that were open."""
        return [number for number in numbers if self._open.pop(number, None) is not None]

    def _keep(self, number: int, rest: list[bytes]) -> None:
        while len(self._open) >= _MAX_OPEN:
            del self._open[next(iter(self._open))]
        self._open[number] = rest


def _split(documents: list[bytes], count: int) -> tuple[list[RawBSONDocument], list[bytes]]:
    size = n = 0
    for raw in documents[:count]:
        if n and size + len(raw) > _BATCH_BYTES:
            break
        size += len(raw)
        n += 1
    return [RawBSONDocument(raw) for raw in documents[:n]], documents[n:]
