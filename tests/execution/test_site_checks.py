"""What `hpcstem doctor --site` finds, on a login node without anything and within a job of a real Slurm."""

import importlib.util
import json
import socket
import sys
from pathlib import Path

import pytest
import yaml
from slurm_cluster import SlurmCluster, wait_until

from hpcstem.checks import Status
from hpcstem.execution import Site
from hpcstem.execution.site_checks import site_checks

HERE = Path(__file__).parent


def by_name(value, name="mine.yaml"):
    return {check.name: check for check in site_checks(Site.model_validate(value), name)}


def test_a_site_without_a_batch_system_needs_an_interface_only():
    found = by_name({"network": {"interfaces": ["lo"]}})
    assert {name: check.status for name, check in found.items()} == {"batch system": "absent", "interface": "ok"}
    assert found["interface"].detail == "lo"


def test_each_thing_that_does_not_work_is_broken_with_what_to_write(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.delenv("NO_SUCH_SCRATCH", raising=False)
    monkeypatch.setenv("SLURM_CONF", "/nowhere")
    found = by_name(
        {
            "scheduler": {"kind": "pbs", "required": ["account"]},
            "network": {"interfaces": ["absent*"]},
            "launcher": {"kind": "jsrun"},
            "node": {"gpus": 4},
            "environment": {"setup": ["cat /no/such/file"]},
            "paths": {"scratch": "$NO_SUCH_SCRATCH/x"},
            "engines": {"potcar_library": "/no/such/potcars"},
        }
    )
    devices = found.pop("devices")
    assert devices.status == Status.ABSENT
    assert {check.status for check in found.values()} == {Status.BROKEN}
    wanted = {
        "submission": "account: YOUR_PROJECT",
        "batch system": "no such program",
        "interface": "wanted one of absent*",
        "environment": "/no/such/file",
        "launcher": "no jsrun on PATH",
        "shared scratch": "no variable NO_SUCH_SCRATCH here",
        "POTCAR library": "/no/such/potcars is no folder",
    }
    assert found.keys() == wanted.keys()
    for name, text in wanted.items():
        assert text in found[name].detail
        assert found[name].fix
        assert "\n" not in found[name].detail


def test_what_works_is_said_with_what_it_is(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        found = by_name(
            {
                "network": {"interfaces": ["lo"]},
                "environment": {"setup": ["true"]},
                "paths": {
                    "scratch": str(tmp_path),
                    "purge_days": 90,
                    "proxy": f"http://127.0.0.1:{proxy.getsockname()[1]}",
                },
                "engines": {"slater_koster": str(tmp_path)},
            }
        )
    assert {name for name, check in found.items() if check.status == Status.OK} == {
        "interface",
        "environment",
        "shared scratch",
        "proxy",
        "Slater–Koster set",
    }
    assert "removed there after 90 days" in found["shared scratch"].detail
    assert list(tmp_path.iterdir()) == []


def test_within_a_job_ranks_that_do_not_see_each_other_are_found(slurm: SlurmCluster, tmp_path_factory):
    if importlib.util.find_spec("mpi4py") is None:
        pytest.skip("mpi4py is not installed: pip install 'hpcstem[mpi]'")
    work = tmp_path_factory.mktemp("checks")
    sites = []
    for plugin in ("pmi2", "none"):
        sites.append(work / f"{plugin}.yaml")
        launcher = {"kind": "srun", "arguments": [f"--mpi={plugin}"]}
        value = {"base": "slurm", "network": {"interfaces": ["lo"]}, "node": {"cores": 2}, "launcher": launcher}
        sites[-1].write_text(yaml.safe_dump(value))
    answer = work / "answer.json"
    words = " ".join(map(str, [sys.executable, HERE / "site_checks_job.py", answer, *sites]))
    environment = f"PYTHONPATH={HERE.parents[1]}"
    slurm.run(
        "sbatch",
        "--nodes=2",
        "--ntasks-per-node=2",
        f"--export=ALL,{environment}",
        f"--output={work}/log",
        f"--wrap={words}",
    )
    wait_until(lambda: answer.exists() or not slurm.alive(), "the job has an answer")
    assert answer.exists(), (work / "log").read_text()
    seeing, alone = ({check["name"]: check for check in checks} for checks in json.loads(answer.read_text()))
    assert (seeing["launcher"]["status"], alone["launcher"]["status"]) == ("ok", "broken"), (seeing, alone)
    assert "4 ranks talk" in seeing["launcher"]["detail"]
    assert "--mpi=pmi2" in alone["launcher"]["fix"]
    assert seeing["batch system"]["detail"] == "answers: 1 of your jobs wait or run"
