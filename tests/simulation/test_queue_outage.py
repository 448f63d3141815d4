"""A database that goes away while a job runs: the outcome waits in the job's folder, and nothing is computed again."""

import json
import subprocess
import sys

from ase.build import molecule

from hpcstem.simulation.database import database_status, start_database
from hpcstem.simulation.launcher import launch
from hpcstem.simulation.launchpad import open_launchpad
from hpcstem.simulation.queue import queue_counts
from hpcstem.simulation.results import find_result, read_result
from hpcstem.simulation.settings import RelaxSettings
from hpcstem.simulation.workflow import add_relax_nvt

WORKER = """
import os, signal, sys
from hpcstem.simulation import launchpad, tasks, worker
launchpad._PATIENCE_S = 1.0
launchpad._REMOTE_SELECTION_MS = 200
compute = tasks.RelaxTask.compute
def compute_and_lose_the_database(self, *arguments):
    result = compute(self, *arguments)
    os.kill(int(sys.argv[1]), signal.SIGKILL)
    return result
tasks.RelaxTask.compute = compute_and_lose_the_database
sys.exit(worker.main())
"""


def test_an_outcome_that_the_database_missed_is_taken_from_the_folder(database, tmp_path):
    # By its URI it is nobody's to start again, as a facility's MongoDB is not.
    launchpad = open_launchpad(start_database(database))
    added = add_relax_nvt(launchpad, "h2", molecule("H2"), RelaxSettings())
    run = tmp_path / "run"
    server = database_status(database).owner.pid
    config = {"address": launchpad.address, "run_directory": str(run), "heartbeat_s": 15.0}
    config |= {"end_time": None, "idle_s": None}
    command = [sys.executable, "-c", WORKER, str(server)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=tmp_path) as worker:
        worker.stdin.write(json.dumps(config).encode() + b"\n")
        worker.stdin.flush()
        assert worker.wait(timeout=240) != 0
    folder = run / "jobs" / added.relax
    spooled = read_result(folder, added.relax)
    assert spooled is not None
    start_database(database)
    assert find_result(launchpad, added.relax) is None
    assert launchpad.patiently(lambda: queue_counts(launchpad)) == {"RUNNING": 1}
    # What would be computed again would be written again.
    before = (folder / "relaxation.xyz").stat().st_mtime_ns
    assert launch(launchpad, run, workers=1).counts == {"COMPLETED": 1}
    assert (folder / "relaxation.xyz").stat().st_mtime_ns == before
    assert find_result(launchpad, added.relax) == spooled
