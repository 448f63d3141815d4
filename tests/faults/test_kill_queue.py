"""Launchers and the database of a queue killed while they work: every job is done once, none is lost."""

from random import Random

import pytest
from queue_crew import Crew, add_small_jobs, wait_until

from hpcstem.simulation.database import stop_database
from hpcstem.simulation.jobs import job_folder
from hpcstem.simulation.launcher import launch
from hpcstem.simulation.launchpad import open_launchpad
from hpcstem.simulation.place import create_place
from hpcstem.simulation.queue import queue_counts
from hpcstem.simulation.results import read_result, results

N_PER_PHASE = 15
VICTIMS = ["launcher", "database", "launcher", "both"]


@pytest.fixture
def queue(tmp_path):
    folder = tmp_path / "queue"
    create_place(folder)
    yield folder
    stop_database(folder / "database")


def test_four_launchers_with_kills_do_each_job_once(queue):
    launchpad = open_launchpad(queue / "database")
    crew = Crew(queue, 4, Random(3))
    keys: list[str] = []
    try:
        for victim in VICTIMS:
            new = add_small_jobs(launchpad, len(keys), N_PER_PHASE)
            keys += new
            crew.fill()
            done = {"spec.key": {"$in": new}, "state": "COMPLETED"}
            wait_until(lambda done=done: launchpad.patiently(lambda: launchpad.fireworks.find_one(done, {"fw_id": 1})))
            if victim in ("launcher", "both"):
                crew.kill_one()
            if victim in ("database", "both"):
                crew.kill_database()
        crew.wait()
    finally:
        crew.end()
    # Whatever the killed ones held is taken up by whoever comes next.
    launchpad.patiently(lambda: queue_counts(launchpad))
    assert launch(launchpad, queue, workers=1).counts == {"COMPLETED": len(keys)}
    found = {result.key: result for result in results(launchpad)}
    assert set(found) == set(keys)
    assert launchpad.db.results.count_documents({}) == len(keys)
    completed = [one["fw_id"] for one in launchpad.launches.find({"state": "COMPLETED"}, {"fw_id": 1})]
    assert len(completed) == len(set(completed)) == len(keys)
    for key, result in found.items():
        assert read_result(job_folder(queue, key), key) == result
