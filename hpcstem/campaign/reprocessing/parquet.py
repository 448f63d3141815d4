"""Rows to and from Parquet, by the dataclass that they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import Field, fields
from itertools import islice
from pathlib import Path
from typing import Any

from hpcstem.errors import HpcstemError
from hpcstem.files import whole_file

_ROWS_AT_ONCE = 50_000


def kinds_of(row: type) -> dict[str, type]:
    """Columns of a dataclass of numbers and texts; what may be None counts as what it is otherwise."""
    return {field.name: _kind(field) for field in fields(row)}


def _kind(field: Field[Any]) -> type:
    named = str(field.type).removesuffix(" | None")
    return {"int": int, "float": float}.get(named, str)


def write_rows(path: Path, kinds: Mapping[str, type], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a table, whole or not at all.

    Parameters
    ----------
    path
        The file.
    kinds
        int, float or str of each column.
    rows
        Values by column; taken as they come, so that a generator needs no memory for all of them.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {int: pa.int64(), float: pa.float64(), str: pa.string()}
    schema = pa.schema([(name, types[kind]) for name, kind in kinds.items()])
    remaining = iter(rows)
    with whole_file(path) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
        while part := list(islice(remaining, _ROWS_AT_ONCE)):
            writer.write_table(pa.Table.from_pylist(part, schema))


def read_rows(path: Path, columns: Iterable[str]) -> list[dict[str, Any]]:
    """Read some columns of a table; no rows where there is no file.

    Raises
    ------
    HpcstemError
        The file is damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.exists():
        return []
    try:
        found: list[dict[str, Any]] = pq.read_table(path, columns=list(columns)).to_pylist()
    except (OSError, pa.ArrowException) as error:
        wanted = "to delete it: it is made again from the files of atoms"
        raise HpcstemError(f"cannot read {path}", error, wanted) from error
    return found
