"""One trajectory over several batch jobs of a real Slurm: the first ends before its time limit, the next goes on."""

import json
from pathlib import Path

import pytest
import yaml
from ase.build import molecule
from slurm_cluster import wait_until
from small_run import command

from hpcstem.simulation.database import stop_database
from hpcstem.simulation.launchpad import open_launchpad
from hpcstem.simulation.queue import queue_counts
from hpcstem.simulation.segments import read_segments

MOST_JOBS = 5
"""On a machine so busy that a job of a minute ends before its first checkpoint, another one is submitted."""


@pytest.fixture
def queue(slurm):
    folder = slurm.base / "work" / "queue"
    molecule("H2").write(slurm.base / "work" / "h2.xyz")
    # So many steps that no job comes to their end.
    dynamics = {"temperatures_K": [300], "n_steps": 10**7, "timestep_fs": 0.5, "settings": {"trajectory_steps": 1000}}
    sweep = {"name": "long", "structures": [{"name": "h2", "file": "h2.xyz"}], "dynamics": dynamics}
    (slurm.base / "work" / "long.yaml").write_text(yaml.safe_dump(sweep))
    (slurm.base / "work" / "site.yaml").write_text("base: slurm\n")
    slurm.run(*command("queue", "add", "long.yaml", "--db", folder))
    yield folder
    slurm.cancel_all()
    stop_database(folder / "database")


def submit(slurm, queue, walltime_s):
    options = ("--site", "site.yaml", "--walltime-s", walltime_s, "--slots", 1, "--json")
    (job,) = json.loads(slurm.run(*command("queue", "submit", "--db", queue, *options)))["jobs"]
    return job["number"], Path(job["script"]).with_suffix(".log")


def dynamics_folder(queue):
    launchpad = open_launchpad(queue / "database", 15.0)
    counts = launchpad.patiently(lambda: queue_counts(launchpad))
    key = launchpad.fireworks.find_one({"spec.labels.temperature_K": "300"})["spec"]["key"]
    return counts, queue / "jobs" / key


def test_a_trajectory_goes_on_in_the_next_batch_job(slurm, queue):
    segments = []
    for _ in range(MOST_JOBS):
        number, log = submit(slurm, queue, 60)
        wait_until(lambda number=number: number not in slurm.alive(), "the job has ended")
        assert slurm.jobs()[number] == "COMPLETED", log.read_text()
        counts, folder = dynamics_folder(queue)
        segments = read_segments(folder) if folder.exists() else []
        if segments and segments[-1].last_step > 0:
            break
    # It stopped by itself, and its job can be taken by the next.
    assert counts == {"READY": 1, "COMPLETED": 1}
    assert segments[-1].ended == "time limit"
    done = segments[-1].last_step
    assert done > 0

    number, _ = submit(slurm, queue, 1800)
    energies = folder / "energies.csv"

    def has_gone_on():
        last = energies.read_text().splitlines()[-1].split(",")[0]
        return last.isdigit() and int(last) > done + 100

    wait_until(has_gone_on, "the next job has gone on")
    slurm.run("scancel", "--signal=TERM", number)
    wait_until(lambda: number not in slurm.alive(), "the job has ended at SIGTERM")
    counts, _ = dynamics_folder(queue)
    assert counts == {"READY": 1, "COMPLETED": 1}
    last = read_segments(folder)[-1]
    assert (last.first_step, last.ended) == (done, "terminated")
    steps = [int(line.split(",")[0]) for line in energies.read_text().splitlines()[1:]]
    assert steps[: last.last_step + 1] == list(range(last.last_step + 1))
