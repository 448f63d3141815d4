"""Dask over a real Slurm: in jobs of one node, and on the nodes of one job; what is lost on the way is done again."""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml
from held_job import Held, started
from slurm_cluster import SlurmCluster, wait_until

from hpcstem.errors import ExecutionError
from hpcstem.execution import job_cluster, load_site, make_executor

HERE = Path(__file__).parent
BATCHES = range(3)


@pytest.fixture
def work(slurm: SlurmCluster, tmp_path_factory, monkeypatch) -> Path:
    """A folder that all nodes see, in a process that could have been started on a login node of the cluster."""
    for name, value in slurm.environment(PYTHONPATH=f"{HERE}:{HERE.parents[1]}").items():
        monkeypatch.setenv(name, value)
    folder = tmp_path_factory.mktemp("work", numbered=True)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(job_cluster, "_SECONDS_BETWEEN_LOOKS", 1.0)
    monkeypatch.setattr(job_cluster, "_SECONDS_BETWEEN_QUESTIONS", 2.0)
    return folder


def site_file(folder: Path, **changes) -> Path:
    value = {
        "base": "slurm",
        "network": {"interfaces": ["absent*", "lo"]},
        "paths": {"scratch": str(folder)},
        "node": {"memory_GB": 4},
        "dask": {"workers_per_node": 2, "maximum_jobs": 1, "walltime_s": 3600},
    }
    file = folder / "site.yaml"
    file.write_text(yaml.safe_dump(value | changes))
    return file


def the_running_job(slurm: SlurmCluster) -> str:
    """Number of the only job, once it runs."""
    wait_until(lambda: slurm.run("squeue", "--noheader", "--states=running", "--format=%i").split(), "a job runs")
    return slurm.alive()[0]


def cancelled(slurm: SlurmCluster, job: str) -> None:
    slurm.run("scancel", job)


def node_lost(slurm: SlurmCluster, job: str) -> None:
    slurm.lose_node(slurm.run("squeue", "--noheader", f"--jobs={job}", "--format=%N"))


def time_limit_reached(slurm: SlurmCluster, job: str) -> None:
    slurm.run("scontrol", "update", f"jobid={job}", "timelimit=1")
    wait_until(lambda: slurm.jobs()[job] == "TIMEOUT", "the time limit is reached")


@pytest.mark.parametrize("incident", [cancelled, node_lost, time_limit_reached])
def test_a_job_that_is_lost_is_replaced_and_its_batches_are_done_again(slurm, work, incident):
    with make_executor(load_site(site_file(work))) as executor, ThreadPoolExecutor(1) as thread:
        try:
            answer = thread.submit(executor.run, Held(work), BATCHES)
            wait_until(lambda: len(started(work)) == 2, "both workers of the job are at work")
            before = started(work)
            incident(slurm, the_running_job(slurm))
            wait_until(lambda: len(started(work) - before) >= 2, "two workers of another job are at work")
        finally:
            (work / "go").touch()
        assert sorted(answer.result()) == list(BATCHES)
    wait_until(lambda: not slurm.alive(), "no job is left")
    assert not list((work / ".hpcstem").iterdir()), "certificates are left"


def test_there_are_as_many_jobs_as_the_work_can_use(slurm, work):
    dask = {"workers_per_node": 1, "maximum_jobs": 3, "walltime_s": 3600}
    with make_executor(load_site(site_file(work, dask=dask))) as executor, ThreadPoolExecutor(1) as thread:
        try:
            answer = thread.submit(executor.run, Held(work), range(2))
            wait_until(lambda: len(started(work)) == 2, "two jobs are at work")
            assert len(slurm.alive()) == 2
        finally:
            (work / "go").touch()
        assert sorted(answer.result()) == [0, 1]


def test_jobs_that_end_at_once_end_the_run_with_what_they_printed(slurm, work):
    site = load_site(site_file(work, environment={"setup": ["cat /no/such/file"]}))
    with make_executor(site) as executor, pytest.raises(ExecutionError, match=r"without a Dask worker.*/no/such/file"):
        executor.run(Held(work), BATCHES)


def test_a_job_that_is_refused_ends_the_run_with_the_words_of_the_batch_system(slurm, work):
    site = load_site(site_file(work, scheduler={"queue": "nonesuch"}))
    with make_executor(site) as executor, pytest.raises(ExecutionError, match=r"sbatch refuses.*invalid partition"):
        executor.run(Held(work), BATCHES)


def in_a_job(slurm: SlurmCluster, work: Path, site: Path, n_batches: int) -> dict:
    words = f"{sys.executable} {HERE / 'allocation_job.py'} {site} {work} {n_batches}"
    slurm.run("sbatch", "--nodes=2", f"--output={work / 'job.log'}", f"--wrap=exec {words}")
    wait_until(lambda: (work / "answer.json").exists() or not slurm.alive(), "the job has an answer")
    assert (work / "answer.json").exists(), (work / "job.log").read_text()
    return json.loads((work / "answer.json").read_text())


def test_within_a_job_all_its_nodes_are_used(slurm, work):
    site = site_file(work)
    with ThreadPoolExecutor(1) as thread:
        answer = thread.submit(in_a_job, slurm, work, site, 6)
        try:
            # Two workers on each of two nodes, none of which can go on before all are at work.
            wait_until(lambda: len(started(work)) >= 4 or answer.done(), "four workers are at work")
        finally:
            (work / "go").touch()
        found = answer.result()
    assert found.get("batches") == list(range(6)), found
    assert len(found["nodes"]) == 2


def test_within_a_job_a_launcher_that_fails_is_heard(slurm, work):
    site = site_file(work, launcher={"kind": "srun", "arguments": ["--mpi=nonesuch"]})
    assert "nonesuch" in in_a_job(slurm, work, site, 1)["error"]


def test_where_jobs_are_many_nodes_nothing_starts_outside_of_one(slurm, work):
    site = load_site(site_file(work, dask={"multi_node": True}))
    with pytest.raises(ExecutionError, match="hpcstem submit CAMPAIGN"):
        make_executor(site)
    assert not slurm.alive()
