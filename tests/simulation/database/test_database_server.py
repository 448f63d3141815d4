"""The server as stock pymongo sees it."""

import contextlib
import json
import os
import secrets
import shutil
import signal
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pymongo
import pytest
from pymongo.errors import BulkWriteError, CollectionInvalid, DuplicateKeyError, OperationFailure, PyMongoError

from hpcstem.errors import DatabaseError
from hpcstem.simulation.database import database_status, start_database, stop_database


@pytest.fixture
def db(server_uri):
    """Empty database on the server that all tests share."""
    with pymongo.MongoClient(server_uri) as client:
        yield client[f"d{secrets.token_hex(4)}"]


@pytest.fixture
def own_db(database):
    """Database on a server that the test may stop."""
    with pymongo.MongoClient(database_status(database).uri) as client:
        yield client.test


def test_create_read_update_delete(db):
    things = db.things
    things.insert_many([{"_id": n, "n": n, "even": n % 2 == 0, "tags": [n, n + 1]} for n in range(10)])
    assert things.count_documents({"even": True}) == 5
    assert [d["n"] for d in things.find({"n": {"$gte": 7}}).sort("n", -1)] == [9, 8, 7]
    assert [d["n"] for d in things.find({}).sort("n", 1).skip(2).limit(3)] == [2, 3, 4]
    assert things.find_one({"n": 3}, {"n": 1}) == {"_id": 3, "n": 3}
    assert things.find_one({"n": 3}, {"_id": 0, "tags": 0}) == {"n": 3, "even": False}
    assert things.update_many({"even": True}, {"$inc": {"n": 100}}).modified_count == 5
    assert things.update_one({"_id": 0}, {"$set": {"n": 100}}).modified_count == 0
    assert things.update_one({"_id": 1}, {"$push": {"tags": 9}, "$unset": {"even": ""}}).modified_count == 1
    assert things.find_one({"_id": 1}) == {"_id": 1, "n": 1, "tags": [1, 2, 9]}
    assert things.replace_one({"_id": 1}, {"new": True}).modified_count == 1
    assert things.find_one({"_id": 1}) == {"_id": 1, "new": True}
    upsert = things.update_one({"name": "a"}, {"$setOnInsert": {"x": 1}}, upsert=True)
    assert things.find_one({"_id": upsert.upserted_id}) == {"_id": upsert.upserted_id, "name": "a", "x": 1}
    assert things.delete_one({"even": True}).deleted_count == 1
    assert things.delete_many({"even": {"$exists": True}}).deleted_count == 8
    assert sorted(things.distinct("x")) == [1]


def test_find_and_modify(db):
    db.c.insert_many([{"_id": n, "state": "READY", "priority": n} for n in range(3)])
    claim = {"$set": {"state": "RESERVED"}}
    old = db.c.find_one_and_update({"state": "READY"}, claim, sort=[("priority", -1)])
    assert old == {"_id": 2, "state": "READY", "priority": 2}
    after = pymongo.ReturnDocument.AFTER
    assert db.c.find_one_and_replace({"_id": 5}, {"a": 1}, upsert=True, return_document=after) == {"_id": 5, "a": 1}
    assert db.c.find_one_and_update({"_id": 9}, claim) is None
    assert db.c.find_one_and_delete({"_id": 0})["_id"] == 0
    assert db.c.count_documents({}) == 3


def test_aggregation(db):
    db.launches.insert_many([{"fw_id": n % 3, "state": "COMPLETED"} for n in range(9)])
    db.fireworks.insert_many([{"fw_id": n, "state": "RUNNING" if n else "COMPLETED"} for n in range(3)])
    lookup = {"from": "fireworks", "localField": "_id", "foreignField": "fw_id", "as": "fw"}
    pipeline = [
        {"$match": {"state": "COMPLETED"}},
        {"$group": {"_id": "$fw_id", "n": {"$sum": 1}}},
        {"$lookup": lookup},
        {"$unwind": "$fw"},
        {"$match": {"fw.state": "RUNNING"}},
        {"$project": {"fw_id": "$_id", "n": 1}},
        {"$sort": {"fw_id": 1}},
    ]
    assert [(d["fw_id"], d["n"]) for d in db.launches.aggregate(pipeline)] == [(1, 3), (2, 3)]
    assert "fw" not in db.launches.find_one({})


def test_answers_that_take_several_batches(db):
    db.c.insert_many([{"_id": n, "text": "x" * 1000} for n in range(1500)])
    assert [d["_id"] for d in db.c.find({}, batch_size=70)] == list(range(1500))
    cursor = db.c.find({}, batch_size=10)
    next(cursor)
    cursor.close()


def test_catalogue(db):
    db.c.insert_one({"a": 1})
    name = db.c.create_index([("a", 1), ("b", -1)], unique=True)
    assert db.c.index_information()[name]["unique"]
    assert "c" in db.list_collection_names()
    assert db.name in db.client.list_database_names()
    db.c.rename("d")
    assert db.list_collection_names() == ["d"]
    assert db.d.index_information()[name]["key"] == [("a", 1), ("b", -1)]
    db.d.drop_index(name)
    assert list(db.d.index_information()) == ["_id_"]
    assert db.command("collStats", "d")["count"] == 1
    with contextlib.suppress(CollectionInvalid):
        db.create_collection("e")
    db.client.drop_database(db.name)
    assert db.list_collection_names() == []
    assert db.client.server_info()["ok"] == 1


def test_what_fails_is_an_answer(db):
    db.c.create_index("k", unique=True)
    db.c.insert_one({"k": 1})
    with pytest.raises(DuplicateKeyError):
        db.c.insert_one({"k": 1})
    with pytest.raises(DuplicateKeyError):
        db.c.find_one_and_update({"k": 2}, {"$set": {"k": 1}}, upsert=True)
    with pytest.raises(BulkWriteError) as error:
        db.c.insert_many([{"k": 2}, {"k": 1}, {"k": 3}], ordered=False)
    assert error.value.details["nInserted"] == 2
    for command in (
        {"shutdown": 1},
        {"eval": "1"},
        {"find": "c", "filter": {"$where": "1"}},
        {"find": "c", "projection": {"k": {"$slice": 1}}},
        {"update": "c"},
    ):
        with pytest.raises(OperationFailure):
            db.command(command)
    with pytest.raises(OperationFailure) as error:
        db.command("noSuchCommand")
    assert error.value.code == 59
    with pytest.raises(OperationFailure):
        db.c.update_one({"k": 1}, {"$set": {"_id": 7}})
    assert db.c.count_documents({}) == 3


CLAIM = """
import sys, pymongo
things = pymongo.MongoClient(sys.argv[1])[sys.argv[2]].things
while (claimed := things.find_one_and_update({"state": "READY"}, {"$set": {"state": "TAKEN"}})) is not None:
    print(claimed["_id"])
"""


def test_four_processes_claim_400_things_once_each(server_uri, db):
    db.things.create_index("state")
    db.things.insert_many([{"_id": n, "state": "READY"} for n in range(400)])
    command = [sys.executable, "-c", CLAIM, server_uri, db.name]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    claims = [process.communicate(timeout=300)[0].split() for process in processes]
    assert sorted(int(claim) for some in claims for claim in some) == list(range(400))


WRITE = """
import sys, pymongo
things = pymongo.MongoClient(sys.argv[1]).test.things
for n in range(10**6):
    things.insert_one({"_id": (sys.argv[2], n), "text": "x" * 500})
    print(n, flush=True)
"""


def test_kill_9_under_writes_loses_nothing_that_was_acknowledged(database):
    status = database_status(database)
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITE.replace("(sys.argv[2], n)", 'f"{sys.argv[2]}-{n}"'), status.uri, str(w)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for w in range(2)
    ]
    for writer in writers:
        for _ in range(50):
            writer.stdout.readline()
    os.kill(status.owner.pid, signal.SIGKILL)
    acknowledged = []
    for number, writer in enumerate(writers):
        acknowledged += [f"{number}-{n}" for n in range(50)]
        acknowledged += [f"{number}-{n}" for n in writer.stdout.read().split()]
    client = pymongo.MongoClient(start_database(database))
    stored = {document["_id"] for document in client.test.things.find({}, {"_id": 1})}
    assert len(acknowledged) >= 100
    assert set(acknowledged) <= stored
    assert len(stored) <= len(acknowledged) + len(writers)


def test_only_its_user_can_reach_it(database):
    assert stat.S_IMODE(database.stat().st_mode) == 0o700
    path = Path(json.loads((database / "server.json").read_text())["socket"])
    assert stat.S_ISSOCK(path.stat().st_mode)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert all(not p.stat().st_mode & 0o077 for p in database.iterdir())


def test_a_long_path_gets_a_short_socket_in_a_private_folder(tmp_path):
    folder = tmp_path / ("long" * 30) / "db"
    uri = start_database(folder)
    try:
        path = Path(json.loads((folder / "server.json").read_text())["socket"])
        assert len(os.fsencode(path)) < 107
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert pymongo.MongoClient(uri).admin.command("ping")["ok"] == 1
    finally:
        stop_database(folder)
    assert not path.parent.exists()


def test_started_by_many_at_once_there_is_one_server(tmp_path):
    folder = tmp_path / "db"
    with ThreadPoolExecutor(4) as pool:
        uris = set(pool.map(start_database, [folder] * 4))
    try:
        assert len(uris) == 1
    finally:
        assert stop_database(folder)
    assert not stop_database(folder)
    assert not database_status(folder).running


def test_stop_and_start_keep_everything(database, own_db):
    own_db.c.create_index("k", unique=True)
    own_db.c.insert_one({"_id": 1, "k": 1})
    stop_database(database)
    assert "not running" in database_status(database).detail
    start_database(database)
    assert own_db.c.find_one({}) == {"_id": 1, "k": 1}
    with pytest.raises(DuplicateKeyError):
        own_db.c.insert_one({"k": 1})


def test_a_folder_with_other_files_is_refused(tmp_path):
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(DatabaseError, match=r"holds other files.*thesis.txt"):
        start_database(tmp_path)


def test_a_damaged_database_says_why_it_does_not_start(tmp_path):
    folder = tmp_path / "db"
    start_database(folder)
    stop_database(folder)
    (folder / "snapshot.bson").write_bytes(b"nonsense")
    with pytest.raises(DatabaseError, match=r"snapshot\.bson is damaged"):
        start_database(folder)


def test_a_server_of_another_host_is_not_started_twice(database):
    state = json.loads((database / "server.json").read_text())
    owner = database_status(database).owner
    (database / "server.json").write_text(json.dumps(state | {"host": "elsewhere"}))
    with pytest.raises(DatabaseError, match="runs on elsewhere"):
        start_database(database)
    with pytest.raises(DatabaseError, match="elsewhere"):
        stop_database(database)
    # Killed with its host: its state file grows old, and this host may take over.
    os.kill(owner.pid, signal.SIGKILL)
    while owner.is_alive:
        time.sleep(0.01)
    os.utime(database / "server.json", (time.time() - 60,) * 2)
    assert not database_status(database).running
    start_database(database)


def test_a_client_that_talks_nonsense_is_dropped_and_others_go_on(database, own_db):
    import socket

    path = json.loads((database / "server.json").read_text())["socket"]
    with socket.socket(socket.AF_UNIX) as raw:
        raw.connect(path)
        raw.sendall(b"GET / HTTP/1.1\r\n\r\n" * 10)
        with contextlib.suppress(ConnectionError):
            assert raw.recv(100) == b""
    with pytest.raises(PyMongoError):
        pymongo.MongoClient(f"mongodb://{path.replace('/', '%2F')}x/", serverSelectionTimeoutMS=50).test.c.find_one()
    assert own_db.command("ping")["ok"] == 1


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from hpcstem.simulation.database.server import serve
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
serve(Path(sys.argv[1]))
"""


def test_a_full_disk_ends_the_server_and_keeps_what_was_acknowledged(database):
    """The limit on file size stands for the full disk: the write fails in the middle of a record."""
    stop_database(database)
    server = subprocess.Popen([sys.executable, "-c", FULL_DISK, str(database)], stderr=subprocess.PIPE, text=True)
    while not database_status(database).running:
        assert server.poll() is None
    with pymongo.MongoClient(database_status(database).uri, serverSelectionTimeoutMS=100) as client:
        acknowledged = 0
        with contextlib.suppress(PyMongoError):
            while acknowledged < 1000:
                client.test.c.insert_one({"_id": acknowledged, "text": "x" * 1000})
                acknowledged += 1
    assert "cannot write the journal" in server.communicate(timeout=300)[1]
    assert server.returncode == 3
    with pymongo.MongoClient(start_database(database)) as client:
        assert {document["_id"] for document in client.test.c.find({})} == set(range(acknowledged))
    assert 100 < acknowledged < 1000


def test_a_server_whose_folder_is_taken_away_ends(tmp_path):
    folder = tmp_path / "db"
    start_database(folder)
    owner = database_status(folder).owner
    shutil.rmtree(folder)
    deadline = time.monotonic() + 60
    while owner.is_alive and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not owner.is_alive


def test_a_server_that_nobody_uses_ends_by_itself(tmp_path):
    folder = tmp_path / "db"
    # Long enough for a busy machine to connect in.
    uri = start_database(folder, idle_s=8)
    client = pymongo.MongoClient(uri)
    try:
        client.jobs.one.insert_one({"_id": 1})
        server = database_status(folder).owner
        # Connected: longer than that later it is there.
        time.sleep(9)
        assert server.is_alive
    finally:
        client.close()
    deadline = time.monotonic() + 60
    while server.is_alive:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert not database_status(folder).running
    start_database(folder)
    with pymongo.MongoClient(uri) as client:
        assert client.jobs.one.count_documents({}) == 1
    stop_database(folder)
