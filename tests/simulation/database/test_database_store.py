"""What is stored, what the indexes find, and what comes back after a crash."""

import os
import tempfile
from pathlib import Path

import mongomock
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymongo.errors import DuplicateKeyError, WriteError

from hpcstem.errors import DatabaseError
from hpcstem.simulation.database.collection import Collection
from hpcstem.simulation.database.store import Store

values = st.one_of(st.none(), st.booleans(), st.integers(-3, 3), st.sampled_from("ab"), st.lists(st.integers(0, 3)))
documents = st.fixed_dictionaries({}, optional={"a": values, "b": values, "s": st.fixed_dictionaries({"a": values})})
conditions = st.one_of(values, st.lists(values, max_size=3).map(lambda v: {"$in": v}), values.map(lambda v: {"$eq": v}))
filters = st.dictionaries(st.sampled_from(["a", "b", "s.a"]), conditions, max_size=2)


def contents(store: Store) -> dict:
    return {name: [d.value for d in collection] for name, collection in store.existing().items()}


@given(st.lists(documents, max_size=12), filters)
def test_an_index_finds_what_a_scan_finds(found, filter_):
    indexed, oracle = Collection("d.c", lambda change: None), mongomock.MongoClient().d.c
    for field in ("a", "b", "s.a"):
        indexed.create_index({"key": {field: 1}, "name": field})
    for number, document in enumerate(found):
        indexed.insert({"_id": number} | document)
        oracle.insert_one({"_id": number} | document)
    assert sorted(d.value["_id"] for d in indexed.find(filter_)) == sorted(d["_id"] for d in oracle.find(filter_))


changes = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(0, 4), documents),
        st.tuples(st.just("delete"), st.integers(0, 4)),
        st.tuples(st.just("index"), st.sampled_from("ab")),
        st.tuples(st.just("drop")),
        st.tuples(st.just("rename")),
        st.tuples(st.just("snapshot")),
    ),
    max_size=15,
)


def change(store: Store, kind: str, *arguments) -> None:
    collection = store.collection("d.c")
    if kind == "put":
        collection.put({"_id": arguments[0]} | arguments[1])
    elif kind == "delete":
        collection.delete(arguments[0])
    elif kind == "index":
        collection.create_index({"key": {arguments[0]: 1}, "name": arguments[0]})
    elif kind == "drop":
        store.drop("d.c")
    elif kind == "rename":
        store.rename("d.c", "d.other")
    else:
        store.snapshot()
    store.commit()


@settings(max_examples=40, deadline=None)
@given(changes, st.floats(0, 1))
def test_a_store_comes_back_as_it_was_at_some_whole_record(sequence, cut):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = Store(folder)
        history = [contents(store)]
        for each in sequence:
            change(store, *each)
            history.append(contents(store))
        store.close()
        assert contents(Store(folder)) == history[-1]
        journal = next(folder.glob("journal-*.bson"))
        os.truncate(journal, int(journal.stat().st_size * cut))
        assert contents(Store(folder)) in history


def filled(folder: Path, n: int) -> Path:
    store = Store(folder)
    for number in range(n):
        store.collection("d.c").put({"_id": number})
        store.commit()
    store.close()
    return folder / "journal-0.bson"


def test_a_torn_end_is_dropped_and_set_aside(tmp_path):
    journal = filled(tmp_path, 5)
    with open(journal, "ab") as handle:
        handle.write(b"\x40\0\0\0 torn")
    store = Store(tmp_path)
    assert len(store.collection("d.c")) == 5
    assert store.dropped_bytes == 9
    assert len(list(tmp_path.glob("*.torn-at-*"))) == 1
    store.collection("d.c").put({"_id": 5})
    store.commit()
    store.close()
    assert len(Store(tmp_path).collection("d.c")) == 6


def test_a_changed_byte_ends_the_journal_there(tmp_path):
    journal = filled(tmp_path, 5)
    data = bytearray(journal.read_bytes())
    data[-3] ^= 1
    journal.write_bytes(data)
    assert len(Store(tmp_path).collection("d.c")) == 4


def test_a_damaged_snapshot_is_refused(tmp_path):
    filled(tmp_path, 5)
    store = Store(tmp_path)
    store.snapshot()
    store.close()
    snapshot = tmp_path / "snapshot.bson"
    snapshot.write_bytes(snapshot.read_bytes()[:-4])
    with pytest.raises(DatabaseError, match="damaged"):
        Store(tmp_path)


def test_a_crash_between_the_new_journal_and_the_snapshot_loses_nothing(tmp_path):
    filled(tmp_path, 5)
    (tmp_path / "journal-1.bson").touch()
    assert len(Store(tmp_path).collection("d.c")) == 5
    assert not (tmp_path / "journal-1.bson").exists()


def test_a_snapshot_empties_the_journal(tmp_path):
    filled(tmp_path, 5)
    store = Store(tmp_path)
    store.snapshot()
    assert [path.name for path in tmp_path.glob("journal-*")] == ["journal-1.bson"]
    assert (tmp_path / "journal-1.bson").stat().st_size == 0
    assert len(Store(tmp_path).collection("d.c")) == 5


def test_unique_indexes_refuse_doubles_and_leave_everything_as_it_was():
    collection = Collection("d.c", lambda change: None)
    collection.create_index({"key": {"k": 1}, "name": "k", "unique": True})
    first = collection.insert({"_id": 1, "k": "x"})
    with pytest.raises(DuplicateKeyError, match="E11000"):
        collection.insert({"_id": 2, "k": "x"})
    with pytest.raises(DuplicateKeyError):
        collection.insert({"_id": 1, "k": "y"})
    second = collection.insert({"_id": 2, "k": "y"})
    with pytest.raises(DuplicateKeyError):
        collection.replace(second, {"k": "x"})
    with pytest.raises(WriteError, match="_id"):
        collection.replace(first, {"_id": 9})
    assert [d.value for d in collection] == [{"_id": 1, "k": "x"}, {"_id": 2, "k": "y"}]
    assert [d.value["_id"] for d in collection.find({"k": "y"})] == [2]


def test_a_unique_index_on_doubles_is_refused():
    collection = Collection("d.c", lambda change: None)
    collection.insert({"_id": 1, "k": "x"})
    collection.insert({"_id": 2, "k": "x"})
    with pytest.raises(DuplicateKeyError):
        collection.create_index({"key": {"k": 1}, "name": "k", "unique": True})
    assert list(collection.index_specs) == ["_id_"]
