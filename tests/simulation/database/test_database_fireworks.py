"""Stock FireWorks on the embedded database, in a process of its own: it imports whatever it finds."""

import json
import secrets
import subprocess
import sys

import pytest

START = """
import json, sys, time
from fireworks import Firework, FWorker, LaunchPad, PyTask, Workflow
from fireworks.core.rocket_launcher import rapidfire
pad = LaunchPad(host=sys.argv[1], name=sys.argv[2], uri_mode=True, strm_lvl="ERROR")
pad.reset("", require_password=False)
found = {}
"""
END = """
print("found", json.dumps(found))
"""


@pytest.fixture
def stock(server_uri, tmp_path):
    """Run a script against a fresh launchpad; return its `found`."""

    def run(script):
        command = [sys.executable, "-c", START + script + END, server_uri, f"d{secrets.token_hex(4)}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.rpartition("found ")[2])

    return run


def test_a_workflow_runs_through_rapidfire(stock):
    found = stock("""
parent = Firework(PyTask(func="builtins.abs", args=[-1], stored_data_varname="x"), name="parent")
child = Firework(PyTask(func="builtins.int", args=["not a number"]), name="child", parents=[parent])
pad.add_wf(Workflow([parent, child]))
rapidfire(pad, FWorker(), strm_lvl="ERROR")
found["states"] = {document["name"]: document["state"] for document in pad.fireworks.find({})}
found["stored"] = pad.get_launch_by_id(1).action.stored_data
found["workflow"] = pad.get_wf_summary_dict(1)["state"]
child_id = pad.fireworks.find_one({"name": "child"})["fw_id"]
found["rerun"] = pad.rerun_fw(child_id) == [child_id] == pad.get_fw_ids({"state": "READY"})
""")
    assert found == {
        "states": {"parent": "COMPLETED", "child": "FIZZLED"},
        "stored": {"x": 1},
        "workflow": "FIZZLED",
        "rerun": True,
    }


def test_lost_runs_are_found(stock):
    found = stock("""
pad.add_wf(Firework(PyTask(func="builtins.abs", args=[-1])))
fw, launch_id = pad.checkout_fw(FWorker(), "/nowhere")
time.sleep(0.05)
found["fresh"] = pad.detect_lostruns(expiration_secs=100)
found["old"] = pad.detect_lostruns(expiration_secs=0.01, rerun=True) == ([launch_id], [fw.fw_id], [])
found["ready"] = pad.run_exists(FWorker())
""")
    assert found == {"fresh": [[], [], []], "old": True, "ready": True}


def test_a_lookup_by_number_does_not_slow_down_with_the_collection(stock):
    """A scan of 4,000 documents takes over 10 ms, a hundred times as long as a lookup."""
    found = stock("""
def seconds():
    start = time.perf_counter()
    for fw_id in range(1, 21):
        pad.fireworks.find_one({"fw_id": fw_id})
        pad.workflows.find_one({"nodes": fw_id})
    return time.perf_counter() - start

def fill(first, last):
    pad.fireworks.insert_many([{"fw_id": n, "state": "WAITING"} for n in range(first, last)])
    pad.workflows.insert_many([{"nodes": [n], "state": "READY"} for n in range(first, last)])

fill(1, 101)
found["few"] = min(seconds() for _ in range(5))
fill(101, 4001)
found["many"] = min(seconds() for _ in range(5))
""")
    assert found["many"] < 20 * found["few"]
