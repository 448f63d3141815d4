"""The decoded atoms of one or more movies: columns with units that check themselves once."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hpcstem.errors import AtomTableError
from hpcstem.files import whole_file

_DTYPES: dict[str, Any] = {
    "movie": np.str_,
    "frame": np.int32,
    "x_px": np.float64,
    "y_px": np.float64,
    "x_A": np.float64,
    "y_A": np.float64,
    "species": np.str_,
    "probability": np.float32,
    "detection": np.float32,
    "sigma_A": np.float32,
    "track": np.int64,
}
_REPEATED = ["movie", "frame", "species", "detection", "track"]  # a dictionary of positions would be as long as they
NO_TRACK = -1
_METADATA_KEY = b"hpcstem"


@dataclass(frozen=True)
class AtomTable:
    """Decoded atoms, one row each, sorted as given.

    Image axes are (row, column) = (y, x), origin at the top left corner pixel's centre; `x_A = x_px * pixel_size_A`.

    Parameters
    ----------
    movie
        Name of the movie, with shape (n_atoms,), str.
    frame
        Index of the frame in its movie, with shape (n_atoms,), int32.
    x_px, y_px
        Column and row in the frame [px], with shape (n_atoms,), float64.
    x_A, y_A
        The same [Å], with shape (n_atoms,), float64.
    species
        Chemical symbol, with shape (n_atoms,), str.
    probability
        Chance that the atom is there and of its species, 0 to 1, with shape (n_atoms,), float32.
    detection
        Fraction of the ensemble's members that found the atom, 0 to 1, with shape (n_atoms,), float32.
    sigma_A
        Standard uncertainty of the position per axis [Å], with shape (n_atoms,), float32.
    track
        Identity of the atom over frames, -1 where not linked, with shape (n_atoms,), int64.
    metadata
        What the rows come from: file hash, model, config. JSON values; kept in the Parquet file.

    Raises
    ------
    AtomTableError
        Columns of unequal length, values of another kind, or a value out of its range.
    """

    movie: np.ndarray
    frame: np.ndarray
    x_px: np.ndarray
    y_px: np.ndarray
    x_A: np.ndarray
    y_A: np.ndarray
    species: np.ndarray
    probability: np.ndarray
    detection: np.ndarray
    sigma_A: np.ndarray
    track: np.ndarray
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, dtype in _DTYPES.items():
            try:
                column = np.atleast_1d(np.asarray(getattr(self, name), dtype=dtype))
            except (ValueError, TypeError, OverflowError) as error:
                raise AtomTableError(f"column {name}", error, f"values of type {np.dtype(dtype).name}") from error
            object.__setattr__(self, name, column)
        lengths = {name: getattr(self, name).shape for name in _DTYPES}
        if any(shape != (len(self),) for shape in lengths.values()):
            raise AtomTableError("columns of the atom table", lengths, f"one value per atom, shape ({len(self)},)")
        for name in ("x_px", "y_px", "x_A", "y_A"):
            if not np.isfinite(getattr(self, name)).all():
                bad = int(np.flatnonzero(~np.isfinite(getattr(self, name)))[0])
                raise AtomTableError(f"column {name}, row {bad}", getattr(self, name)[bad], "a finite number")
        for name in ("probability", "detection"):
            column = getattr(self, name)
            if not ((column >= 0) & (column <= 1)).all():
                raise AtomTableError(f"column {name}", f"{column.min()} to {column.max()}", "0 to 1")
        if (self.sigma_A < 0).any():
            raise AtomTableError("column sigma_A", self.sigma_A.min(), "0 or more; NaN where it is not known")
        if (self.frame < 0).any():
            raise AtomTableError("column frame", int(self.frame.min()), "0 or more")

    def __len__(self) -> int:
        return len(self.frame)

    def __getitem__(self, rows: np.ndarray | slice) -> AtomTable:
        """Rows picked by a boolean mask, an index array or a slice."""
        columns: dict[str, Any] = {name: getattr(self, name)[rows] for name in _DTYPES}
        return replace(self, **columns)

    @classmethod
    def empty(cls, metadata: Mapping[str, Any] | None = None) -> Self:
        """Return a table without rows."""
        return cls(**{name: np.empty(0, dtype) for name, dtype in _DTYPES.items()}, metadata=metadata or {})

    @classmethod
    def concatenate(cls, tables: Iterable[AtomTable]) -> AtomTable:
        """Rows of all `tables` in order; metadata of the first."""
        tables = list(tables)
        if not tables:
            return cls.empty()
        columns = {name: np.concatenate([getattr(t, name) for t in tables]) for name in _DTYPES}
        return cls(**columns, metadata=tables[0].metadata)

    def with_columns(self, **columns: Any) -> AtomTable:
        """Return the same table with some columns replaced, checked again."""
        return replace(self, **columns)

    def in_frame(self, frame: int) -> AtomTable:
        """Atoms of one frame."""
        return self[self.frame == frame]

    @property
    def positions_A(self) -> np.ndarray:
        """(x, y) [Å], with shape (n_atoms, 2), float64."""
        return np.column_stack([self.x_A, self.y_A])

    def write(self, path: Path) -> None:
        """Write one Parquet file, whole or not at all."""
        arrays = {}
        for name in _DTYPES:
            column = pa.array(getattr(self, name))
            arrays[name] = column.dictionary_encode() if name in ("movie", "species") else column
        table = pa.table(arrays).replace_schema_metadata(
            {_METADATA_KEY: json.dumps(dict(self.metadata), sort_keys=True).encode()}
        )
        with whole_file(path) as temporary:
            pq.write_table(table, temporary, compression="zstd", use_dictionary=_REPEATED)

    @classmethod
    def read(cls, path: Path) -> AtomTable:
        """Read one Parquet file, or all `*.parquet` of a folder in the order of their names.

        Raises
        ------
        AtomTableError
            No such file, or none in the folder; it is damaged, lacks a column or a value, or names no element.
        """
        path = Path(path)
        if path.is_dir():
            files = sorted(path.glob("*.parquet"))
            if not files:
                raise AtomTableError(f"atoms in {path}", "no file", "*.parquet files written by hpcstem")
            return cls.concatenate(cls.read(file) for file in files)
        try:
            # Not `read_table`, to which a folder called `frame=3` is a column.
            with pq.ParquetFile(path) as file:
                table = file.read()
            columns = {name: table.column(name) for name in _DTYPES}
            metadata = json.loads((table.schema.metadata or {}).get(_METADATA_KEY, b"{}"))
            empty = [name for name, column in columns.items() if column.null_count]
            if empty:
                raise AtomTableError(f"column {empty[0]}", "no value in some rows", "a value in every row")
            found = cls(**{name: column.to_numpy() for name, column in columns.items()}, metadata=metadata)
            _require_elements(found.species)
        except (OSError, pa.ArrowException, KeyError, ValueError, AtomTableError) as error:
            got = "no such file" if isinstance(error, FileNotFoundError) else error
            raise AtomTableError(f"cannot read atoms from {path}", got, "a Parquet file written by hpcstem") from error
        return found


def read_metadata(path: Path) -> dict[str, Any]:
    """Metadata of one Parquet file of atoms, from its footer alone.

    Raises
    ------
    AtomTableError
        No such file, or it is damaged.
    """
    try:
        found: dict[str, Any] = json.loads((pq.read_metadata(path).metadata or {}).get(_METADATA_KEY, b"{}"))
    except (OSError, pa.ArrowException, ValueError) as error:
        raise AtomTableError(f"cannot read atoms from {path}", error, "a Parquet file written by hpcstem") from error
    return found


def _require_elements(species: np.ndarray) -> None:
    from ase.data import atomic_numbers

    unknown = sorted(set(species.tolist()) - atomic_numbers.keys())
    if unknown:
        raise AtomTableError("column species", repr(unknown[0]), "chemical symbols such as C and Si")


assert [f.name for f in fields(AtomTable)][:-1] == list(_DTYPES)  # noqa: S101 - a slip of the developer, not of a user
