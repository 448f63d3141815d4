"""`hpcstem batch`: one command as one job, on a real Slurm."""

import json
import subprocess

import pytest
import yaml
from slurm_cluster import SlurmCluster, wait_until
from small_run import command


@pytest.fixture
def batch(slurm: SlurmCluster, tmp_path):
    value = {"base": "slurm", "launcher": {"arguments": ["--mpi=pmi2"]}, "jobs": {"fits": {"ranks_per_node": 2}}}
    (tmp_path / "site.yaml").write_text(yaml.safe_dump(value))

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command("batch", *words),
            capture_output=True,
            text=True,
            timeout=300,
            env=slurm.environment(),
            cwd=tmp_path,
        )

    return run


def test_a_fit_runs_as_ranks_once(slurm, batch, tmp_path):
    blocker = slurm.run("sbatch", "--parsable", "--nodes=4", "--exclusive", "--wrap=sleep 86400")
    wait_until(lambda: slurm.jobs()[blocker] == "RUNNING", "the cluster is busy")
    words = ["fits", "--site", "site.yaml", "--name", "fit", "--nodes", "2", "--json", "--", "--version"]
    first, second = (json.loads(batch(*words).stdout) for _ in range(2))
    assert (first["status"], second["status"]) == ("submitted", "queued")
    assert first["job"] == second["job"]
    slurm.run("scancel", blocker)
    wait_until(lambda: not slurm.alive(), "the job has ended")
    printed = (tmp_path / "batch" / "fit.log").read_text()
    assert printed.count("hpcstem, version") == 4, printed


def test_a_dry_run_prints_the_script_only(batch, tmp_path):
    done = batch(
        "queue", "--site", "site.yaml", "--name", "q", "--walltime-s", "120", "--dry-run", "--", "queue", "launch"
    )
    assert "#SBATCH --time=00:02:00\n" in done.stdout
    assert done.stdout.endswith('-m hpcstem queue launch --end-time "$((begin + 120))"\n')
    assert not (tmp_path / "batch").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["frames", "--site", "frontier", "--name", "x", "--", "doctor"], "account: YOUR_PROJECT"),
        (["frames", "--site", "local", "--name", "x", "--", "doctor"], "no batch system"),
        (["frames", "--site", "site.yaml", "--name", "x;id", "--", "doctor"], "name of a batch job; got 'x;id'"),
        (["dask", "--site", "site.yaml", "--name", "x", "--", "doctor"], "'dask' is not one of"),
    ],
)
def test_what_cannot_be_submitted_is_explained(batch, tmp_path, words, message):
    done = batch(*words)
    assert done.returncode == 2
    assert message in done.stderr
    assert not (tmp_path / "batch").exists()
