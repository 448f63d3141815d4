"""All collections of one database folder, and how they come back after a crash.

The folder holds `snapshot.bson` (everything up to some moment) and `journal-<n>.bson` (every change since). The
snapshot names the journal that continues it, so that a crash between the two writes leaves one valid pair.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import bson
from bson.raw_bson import RawBSONDocument

from hpcstem.errors import DatabaseError
from hpcstem.files import whole_file
from hpcstem.simulation.database.collection import Change, Collection
from hpcstem.simulation.database.journal import Journal, frame, read_records
from hpcstem.simulation.database.scratch import Scratch

FORMAT = 1
SNAPSHOT_AFTER_BYTES = 64 * 1024**2
_COMPACT_AT_START_BYTES = 1024**2


class Store:
    """The collections, in memory and on disk.

    Whoever reads or changes holds `lock`; after a change `commit` writes it to the journal, and `sync` returns
    when it is on disk.

    Parameters
    ----------
    folder
        Folder of the database. The caller holds its lock file.

    Raises
    ------
    DatabaseError
        The snapshot is damaged or of another format, or the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.lock = threading.RLock()
        self.scratch = Scratch()
        self._folder = Path(folder)
        self._collections: dict[str, Collection] = {}
        self._changes: list[Change] = []
        self._number = self._load_snapshot()
        self._journal = self._replay_journal()
        for stale in self._folder.glob("journal-*.bson"):
            if stale != self._journal.path:
                stale.unlink()
        if self._journal.n_bytes > _COMPACT_AT_START_BYTES:
            self.snapshot()

    @property
    def dropped_bytes(self) -> int:
        """Bytes of a torn end that were set aside when the journal was opened."""
        return self._journal.dropped_bytes

    def collection(self, namespace: str) -> Collection:
        """Return a collection, made on the first use of its name."""
        if namespace not in self._collections:
            self._collections[namespace] = Collection(namespace, self._changes.append)
        return self._collections[namespace]

    def existing(self, database: str = "") -> Mapping[str, Collection]:
        """Return the collections that hold something, or have an index, by name; of one database if given."""
        return {
            name: collection
            for name, collection in self._collections.items()
            if (len(collection) or len(collection.index_specs) > 1)
            and (not database or name.startswith(f"{database}."))
        }

    def drop(self, namespace: str) -> bool:
        """Take away a collection; return whether it was there."""
        was_there = namespace in self.existing()
        if self._collections.pop(namespace, None) is not None:
            self._changes.append({"op": "drop", "ns": namespace})
        return was_there

    def rename(self, old: str, new: str) -> None:
        """Move the documents and indexes of `old` to `new`, in the place of what was there."""
        source = self.collection(old)
        self.drop(new)
        target = self.collection(new)
        for spec in source.index_specs.values():
            target.create_index(spec)
        for document in source:
            target.put(document.value)
        self.drop(old)

    def commit(self) -> tuple[Journal, int] | None:
        """Write the changes since the last commit as one record; return what `sync` needs, None if nothing.

        Raises
        ------
        OSError
            The journal cannot be written: memory is now ahead of the disk, and the server must end.
        """
        if not self._changes:
            return None
        record = bson.encode({"changes": self._changes})
        self._changes.clear()
        ticket = self._journal, self._journal.append(record)
        if self._journal.n_bytes > SNAPSHOT_AFTER_BYTES:
            self.snapshot()
        return ticket

    def snapshot(self) -> None:
        """Write everything to a new snapshot and start an empty journal; the caller holds `lock`."""
        number = self._number + 1
        journal = Journal(self._journal_path(number))
        with whole_file(self._folder / "snapshot.bson") as temporary, open(temporary, "wb") as handle:
            handle.write(frame(bson.encode({"format": FORMAT, "journal": number})))
            n_records = 1
            for change in self._as_changes():
                handle.write(frame(bson.encode({"changes": [change]})))
                n_records += 1
            handle.write(frame(bson.encode({"end": n_records})))
        old, self._journal, self._number = self._journal, journal, number
        old.close()
        old.path.unlink()

    def close(self) -> None:
        """Put everything on disk; the caller holds `lock`."""
        self._journal.close()

    def _as_changes(self) -> Iterator[Change]:
        for namespace, collection in self._collections.items():
            for spec in collection.index_specs.values():
                yield {"op": "create_index", "ns": namespace, "spec": spec}
            for document in collection:
                yield {"op": "put", "ns": namespace, "document": RawBSONDocument(document.raw)}

    def _journal_path(self, number: int) -> Path:
        return self._folder / f"journal-{number}.bson"

    def _load_snapshot(self) -> int:
        path = self._folder / "snapshot.bson"
        if not path.exists():
            return 0
        records = [record for record, _ in read_records(path)]
        if not records or records[-1] != {"end": len(records) - 1}:
            raise DatabaseError(f"{path} is damaged", wanted="a copy of the folder from a backup")
        if records[0].get("format") != FORMAT:
            raise DatabaseError(f"format of {path}", records[0].get("format"), FORMAT)
        self._apply_all(records[1:-1])
        return int(records[0]["journal"])

    def _replay_journal(self) -> Journal:
        path, whole_bytes = self._journal_path(self._number), 0
        if path.exists():
            for record, end in read_records(path):
                self._apply_all([record])
                whole_bytes = end
        return Journal(path, whole_bytes)

    def _apply_all(self, records: list[dict[str, Any]]) -> None:
        for record in records:
            for change in record["changes"]:
                self._apply(change)
        # What was read is on disk already.
        self._changes.clear()

    def _apply(self, change: Change) -> None:
        collection = self.collection(change["ns"])
        if change["op"] == "put":
            collection.put(change["document"])
        elif change["op"] == "delete":
            collection.delete(change["id"])
        elif change["op"] == "create_index":
            collection.create_index(change["spec"])
        elif change["op"] == "drop_index":
            if change["name"] == "*" or change["name"] in collection.index_specs:
                collection.drop_index(change["name"])
        else:
            self.drop(change["ns"])
