"""A launcher at SIGTERM and at the end of its allocation: jobs stop at a checkpoint and are ready again."""

import os
import signal
import subprocess
import sys
import time

import pytest
from ase.build import molecule
from queue_crew import wait_until

from hpcstem.simulation.queue import queue_counts
from hpcstem.simulation.segments import read_segments
from hpcstem.simulation.settings import RelaxSettings
from hpcstem.simulation.workflow import add_relax_nvt

# It cannot be reached, and there are steps for longer than any test waits.
ENDLESS = RelaxSettings(fmax_eV_A=1e-9, max_steps=10**6, checkpoint_steps=5)
LAUNCH = """
import sys
from hpcstem.simulation.launcher import launch
from hpcstem.simulation.launchpad import open_launchpad
end_time_s = float(sys.argv[3]) if len(sys.argv) > 3 else None
launch(open_launchpad(sys.argv[1]), sys.argv[2], workers=1, heartbeat_s=0.2, end_time_s=end_time_s)
"""


@pytest.fixture
def job(launchpad, tmp_path, benzene):
    """Folder of a job that never ends by itself."""
    return tmp_path / "run" / "jobs" / add_relax_nvt(launchpad, "endless", benzene, ENDLESS).relax


def start(launchpad, tmp_path, *end_time_s):
    command = [sys.executable, "-c", LAUNCH, launchpad.address, str(tmp_path / "run"), *map(str, end_time_s)]
    return subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"})


def test_sigterm_reaches_workers_which_were_heard_of_all_the_time(launchpad, tmp_path, job):
    launcher = start(launchpad, tmp_path)
    try:
        wait_until((job / "relaxation.npz").exists)
        beats = set()

        def three_beats():
            beats.add(str(launchpad.launches.find_one({"state": "RUNNING"})["state_history"][-1]["updated_on"]))
            return len(beats) >= 3

        wait_until(three_beats)
        launcher.send_signal(signal.SIGTERM)
        assert launcher.wait(timeout=240) == 0
    finally:
        launcher.kill()
    assert queue_counts(launchpad) == {"READY": 1}
    (segment,) = read_segments(job)
    assert segment.ended == "terminated"
    assert segment.last_step > 0


def test_a_launcher_ends_before_its_allocation_does(launchpad, tmp_path, job):
    # Too near for a worker to begin with anything.
    assert start(launchpad, tmp_path, time.time() + 5).wait(timeout=240) == 0
    assert queue_counts(launchpad) == {"READY": 1}
    assert not job.exists()


def test_jobs_of_one_worker_run_on_its_cores(launchpad, tmp_path):
    added = add_relax_nvt(launchpad, "h2", molecule("H2"), RelaxSettings())
    core = sorted(os.sched_getaffinity(0))[-1]
    script = LAUNCH.replace("workers=1", f"workers=[Slot(0, ({core},), '3')]").replace(
        "import sys\n", "import sys\nfrom hpcstem.simulation.packing import Slot\n", 1
    )
    probe = tmp_path / "probe"
    probe.mkdir()
    # Python runs this file in every process that has its folder on the path: it tells what the worker was given.
    (probe / "sitecustomize.py").write_text(
        "import atexit, json, os, sys\n"
        "def tell():\n"
        f"    given = [sorted(os.sched_getaffinity(0)), os.environ.get('CUDA_VISIBLE_DEVICES')]\n"
        f"    open({str(probe / 'told')!r} + str(os.getpid()), 'w').write(json.dumps(given))\n"
        "atexit.register(tell)\n"
    )
    path = f"{probe}:{os.environ.get('PYTHONPATH', '')}"
    command = [sys.executable, "-c", script, launchpad.address, str(tmp_path / "run")]
    assert subprocess.run(command, env=os.environ | {"PYTHONPATH": path}, timeout=240, check=False).returncode == 0
    told = {path.read_text() for path in probe.glob("told*")}
    assert f'[[{core}], "3"]' in told
    assert (tmp_path / "run" / "jobs" / added.relax / "result.json").exists()
