"""Training in a batch job of a real Slurm: a group of processes over two nodes."""

import json
import shlex
from pathlib import Path

import pytest
import slurm_cluster
import yaml
from slurm_cluster import SlurmCluster, wait_until
from small_run import command

from hpcstem.errors import ConfigError
from hpcstem.execution import load_site
from hpcstem.execution.training_workers import ranks_per_member, training_executor

HERE = Path(__file__).parent
TINY = {
    "recipe": {"n_pixels": 32, "electrons_per_carbon": [2000, 4000], "contamination_probability": 0},
    "n_samples": 8,
    "n_validation": 4,
    "members": 1,
    "filters": 4,
    "layers": [1] * 7,
    "steps": 40,
    "batch_size": 4,
    "learning_rate": 1e-2,
    "seed": 3,
}


@pytest.fixture
def site(slurm: SlurmCluster, tmp_path_factory, monkeypatch) -> Path:
    """A site file in a folder that all nodes see, in a process that could have been started on a login node."""
    for name, value in slurm.environment(PYTHONPATH=str(HERE.parents[1])).items():
        monkeypatch.setenv(name, value)
    # A dozen programs that import torch, one after another.
    monkeypatch.setattr(slurm_cluster, "DEADLINE_S", 400)
    folder = tmp_path_factory.mktemp("training", numbered=True)
    monkeypatch.chdir(folder)
    value = {
        "base": "slurm",
        "network": {"interfaces": ["absent*", "lo"]},
        "paths": {"scratch": str(folder)},
        "node": {"memory_GB": 4},
        "dask": {"workers_per_node": 1},
    }
    (folder / "site.yaml").write_text(yaml.safe_dump(value))
    return folder / "site.yaml"


def test_a_member_is_trained_by_two_nodes(slurm, site):
    folder = site.parent
    (folder / "tiny.yaml").write_text(yaml.safe_dump(TINY))
    options = ["--site", site, "--ranks", 2, "--group", "torch", "--no-reference", "--json"]
    words = shlex.join(command("train", folder / "tiny.yaml", "--out", folder / "model", *options))
    slurm.run("sbatch", "--nodes=2", f"--output={folder / 'job.log'}", f"--wrap=exec {words}")
    wait_until(lambda: not slurm.alive(), "the job has ended")
    printed = (folder / "job.log").read_text()
    assert (folder / "model" / "ensemble.json").exists(), printed
    assert json.loads(printed[printed.index("{") :])["metrics"]["C"]["n_true"] > 10
    assert json.loads((folder / "model" / "member-00.json").read_text())["step"] == [20, 40]


def test_in_a_job_members_share_its_workers(slurm, site, monkeypatch):
    facility = load_site(site)
    assert ranks_per_member(facility, 3, 8) is None
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("SLURM_JOB_NUM_NODES", "8")
    assert [ranks_per_member(facility, members, 4) for members in (1, 3, 20)] == [4, 2, 1]


def test_on_one_machine_members_get_one_process_each():
    local = load_site("local")
    assert ranks_per_member(local.model_copy(update={"workers": 4}), 3, 8) == 1
    assert ranks_per_member(local.model_copy(update={"workers": 4}), 1, 8) is None
    assert ranks_per_member(local.model_copy(update={"workers": 1}), 3, 8) is None
    assert ranks_per_member(local.model_copy(update={"executor": "serial"}), 3, 8) is None


def test_outside_of_a_job_it_is_refused(slurm, site):
    with pytest.raises(ConfigError, match="no batch job around this command"):
        training_executor(load_site(site), 2)
    assert not slurm.alive()
