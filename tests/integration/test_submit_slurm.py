"""`hpcstem submit` on a real Slurm: a chain of jobs, each once, with the results of a run on one machine."""

import json
import subprocess
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import yaml
from slurm_cluster import SlurmCluster, wait_until
from small_run import SmallRun, atoms, command, write_campaign

from hpcstem.atoms import AtomTable

STAGES = ["simulate", "frames", "decode"]


@pytest.fixture
def submit(slurm: SlurmCluster, tmp_path: Path):
    """Submit the small campaign until its atoms are decoded; what the command says of each stage."""
    site = tmp_path / "site.yaml"
    value = {
        "base": "slurm",
        "network": {"interfaces": ["lo"]},
        "paths": {"scratch": str(tmp_path)},
        "node": {"memory_GB": 4},
        "dask": {"workers_per_node": 1},
        "jobs": {"frames": {"nodes": 2, "walltime_s": 3600}},
    }
    site.write_text(yaml.safe_dump(value))
    campaign = write_campaign(tmp_path / "small.yaml")

    def run(*options: str, status: int = 0) -> dict[str, dict]:
        words = command("submit", campaign, "--site", site, "--out", tmp_path / "run", "--until", "decode", "--json")
        done = subprocess.run(
            [*words, *options], capture_output=True, text=True, timeout=300, env=slurm.environment(), cwd=tmp_path
        )
        assert done.returncode == status, done.stderr
        return {job["stage"]: job for job in json.loads(done.stdout)["jobs"]} if status == 0 else {"": done.stderr}

    return run


def test_decode_from_outside_of_any_job_has_workers_in_jobs(slurm, tmp_path, finished_run: SmallRun):
    value = {
        "base": "slurm",
        "network": {"interfaces": ["lo"]},
        "paths": {"scratch": str(tmp_path)},
        "node": {"memory_GB": 4},
        "dask": {"workers_per_node": 1, "maximum_jobs": 2},
    }
    (tmp_path / "site.yaml").write_text(yaml.safe_dump(value))
    movie = finished_run.folder / "movies" / "sheet.h5"
    words = command("decode", movie, "--site", tmp_path / "site.yaml", "--out", tmp_path / "run", "--json")
    done = subprocess.run(words, capture_output=True, text=True, timeout=240, env=slurm.environment(), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found, wanted = (
        AtomTable.concatenate(AtomTable.read(file) for file in sorted((run / "decode" / "atoms").glob("*/*.parquet")))
        for run in (tmp_path / "run", finished_run.folder)
    )
    assert len(found) > 100
    np.testing.assert_array_equal(found.x_px, wanted.x_px)
    np.testing.assert_array_equal(found.y_px, wanted.y_px)
    wait_until(lambda: not slurm.alive(), "the jobs of the workers have ended")


def test_kinetics_and_forces_are_ranks_of_jobs_of_their_own(slurm, tmp_path, copied_run: SmallRun):
    """What one process found before, two ranks on two nodes find again."""
    value = {
        "base": "slurm",
        "executor": "mpi",
        "launcher": {"kind": "srun", "arguments": ["--mpi=pmi2"]},
        "node": {"memory_GB": 4},
        "jobs": {"fits": {"nodes": 2, "ranks_per_node": 1, "walltime_s": 3600}},
    }
    (tmp_path / "site.yaml").write_text(yaml.safe_dump(value))
    (copied_run.folder / "stages" / "potentials.json").unlink()
    found, wanted = (run / "potentials" / "rdf.npz" for run in (copied_run.folder, tmp_path / "before"))
    wanted.parent.mkdir(parents=True)
    found.rename(wanted)
    campaign = write_campaign(tmp_path / "small.yaml", kinetics={})
    words = command("submit", campaign, "--site", tmp_path / "site.yaml", "--out", copied_run.folder, "--json")
    words += ["--until", "potentials"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, env=slurm.environment(), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    submitted = [job["stage"] for job in json.loads(done.stdout)["jobs"] if job["status"] == "submitted"]
    assert submitted == ["kinetics", "potentials"]
    wait_until(lambda: not slurm.alive(), "both jobs have ended")
    for stage in submitted:
        log = (copied_run.folder / "batch" / f"{stage}.log").read_text()
        # Two processes that do not know of each other would both have told.
        assert log.count(f"{stage:<11} done") == 1, log
    assert (
        "no class seen 10 times"
        in json.loads((copied_run.folder / "kinetics" / "kinetics.json").read_text())["because"]
    )
    with np.load(found) as ours, np.load(wanted) as theirs:
        for name in theirs.files:
            np.testing.assert_array_equal(ours[name], theirs[name])


def statuses(jobs: dict[str, dict]) -> list[str]:
    return [jobs[stage]["status"] for stage in STAGES]


def test_a_dry_run_writes_and_submits_nothing(slurm, submit, tmp_path):
    jobs = submit("--dry-run")
    assert statuses(jobs) == ["to do"] * 3
    assert all(jobs[stage]["text"].startswith("#!/bin/bash") for stage in STAGES)
    assert not (tmp_path / "run").exists()
    assert slurm.jobs() == {} or not slurm.alive()


def test_each_stage_is_one_job_after_the_one_before_and_the_results_are_those_of_one_machine(
    slurm, submit, tmp_path, finished_run: SmallRun
):
    # Held back by a job on every node that cannot end by itself, until all has been looked at.
    blocker = slurm.run("sbatch", "--parsable", "--nodes=4", "--exclusive", "--wrap=sleep 86400")
    wait_until(lambda: slurm.jobs()[blocker] == "RUNNING", "the cluster is busy")
    first = submit()
    assert statuses(first) == ["submitted"] * 3
    numbers = [first[stage]["job"] for stage in STAGES]
    for before, number in pairwise(numbers):
        assert f"Dependency=afterok:{before}(unfulfilled)" in slurm.run("scontrol", "show", "job", number)

    # Once more, as after a kill that left no list of jobs: none is doubled.
    (tmp_path / "run" / "batch" / "jobs.json").unlink()
    assert [(job["status"], job["job"]) for job in map(submit().get, STAGES)] == [("queued", n) for n in numbers]
    assert json.loads((tmp_path / "run" / "batch" / "jobs.json").read_text()) == dict(zip(STAGES, numbers, strict=True))

    # The campaign of jobs that wait is not changed under them.
    write_campaign(tmp_path / "small.yaml", seed=6)
    refused = submit(status=2)[""]
    assert "earlier version of this campaign" in refused
    assert f"scancel {' '.join(numbers)}" in refused
    write_campaign(tmp_path / "small.yaml")

    # A job that is lost takes with it those that wait for it; they are all made anew, and only those.
    slurm.run("scancel", numbers[1])
    again = submit()
    assert statuses(again) == ["queued", "submitted", "submitted"]
    wait_until(lambda: numbers[2] not in slurm.alive(), "the job that waited in vain is gone")
    assert sorted(slurm.alive(), key=int) == [blocker, numbers[0], again["frames"]["job"], again["decode"]["job"]]

    slurm.run("scancel", blocker)
    wait_until(lambda: not slurm.alive(), "all jobs have ended")
    logs = {path.name: path.read_text() for path in (tmp_path / "run" / "batch").glob("*.log")}
    assert atoms(tmp_path / "run") == atoms(finished_run.folder), logs
    assert statuses(submit()) == ["kept"] * 3
    assert not slurm.alive()
