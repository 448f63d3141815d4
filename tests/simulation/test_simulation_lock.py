import subprocess
import time
from dataclasses import replace

import pytest

from hpcstem.errors import DatabaseError
from hpcstem.simulation import lock
from hpcstem.simulation.lock import OwnedLock
from hpcstem.simulation.owner import Owner


@pytest.fixture
def things(launchpad):
    launchpad.db.things.insert_one({"_id": 1})
    return launchpad.db.things


@pytest.fixture
def dead_owner():
    process = subprocess.Popen(["sleep", "60"])
    owner = Owner.of(process.pid)
    process.kill()
    process.wait()
    return owner


def test_held_inside_and_free_after(things):
    with OwnedLock(things, {"_id": 1}, Owner.current()):
        assert things.find_one({"_id": 1})["locked"] == Owner.current().to_document()
    assert "locked" not in things.find_one({"_id": 1})


def test_the_lock_of_a_dead_owner_is_taken_at_once(things, monkeypatch, dead_owner):
    monkeypatch.setattr(lock, "_TIMEOUT_S", 0.0)
    things.update_one({"_id": 1}, {"$set": {"locked": dead_owner.to_document()}})
    with OwnedLock(things, {"_id": 1}, Owner.current()):
        assert things.find_one({"_id": 1})["locked"] == Owner.current().to_document()


def test_the_lock_of_a_living_owner_is_not_taken(things, monkeypatch):
    monkeypatch.setattr(lock, "_TIMEOUT_S", 0.2)
    monkeypatch.setattr(lock, "_UNKNOWN_HOLDER_S", 0.05)
    process = subprocess.Popen(["sleep", "60"])
    holder = Owner.of(process.pid).to_document()
    things.update_one({"_id": 1}, {"$set": {"locked": holder}})
    with pytest.raises(DatabaseError, match="held by"), OwnedLock(things, {"_id": 1}, Owner.current()):
        pass
    assert things.find_one({"_id": 1})["locked"] == holder
    process.kill()
    process.wait()


@pytest.mark.parametrize("holder", [True, replace(Owner.current(), host="elsewhere").to_document()])
def test_an_unknown_holder_is_waited_for_before_its_lock_is_taken(things, monkeypatch, holder):
    monkeypatch.setattr(lock, "_UNKNOWN_HOLDER_S", 0.3)
    things.update_one({"_id": 1}, {"$set": {"locked": holder}})
    start = time.monotonic()
    with OwnedLock(things, {"_id": 1}, Owner.current()):
        assert time.monotonic() - start > 0.3


def test_nothing_to_lock(things, monkeypatch):
    monkeypatch.setattr(lock, "_APPEARS_WITHIN_S", 0.1)
    with pytest.raises(DatabaseError, match="nothing to lock"), OwnedLock(things, {"_id": 2}, Owner.current()):
        pass
