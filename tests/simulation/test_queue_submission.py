"""Batch jobs for the queue: scripts per scheduler, values that are refused, and what the scheduler answers."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from hpcstem.errors import ConfigError, SimulationError
from hpcstem.simulation.adapters import BatchRequest
from hpcstem.simulation.submission import script_of, submit

LAUNCH = ("/opt/env/bin/hpcstem", "queue", "launch", "--db", "/scratch/q one")
PLACE = Path("/scratch/q-one")
SCRIPTS = {
    "slurm": (
        {
            "account": "mat100",
            "queue": "batch",
            "constraint": "gpu&hbm80g",
            "nodes": 4,
            "walltime_s": 7265,
            "cores": 56,
            "gpus": 8,
            "directives": ("-S 8",),
            "launcher": "srun",
            "launcher_arguments": ("--mpi=pmi2",),
            "modules": ("rocm/6.1",),
            "setup": ("source /opt/env/bin/activate",),
            "variables": {"NOTE": "it's $HOME"},
        },
        """#!/bin/bash -l
#SBATCH --job-name=hpcstem-queue
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=56
#SBATCH --gpus-per-node=8
#SBATCH --time=02:01:05
#SBATCH --account=mat100
#SBATCH --partition=batch
#SBATCH --constraint=gpu&hbm80g
#SBATCH --output=/scratch/q-one/submitted/%x-%j.out
#SBATCH -S 8

begin=$(date +%s)
module load rocm/6.1
source /opt/env/bin/activate
export NOTE='it'"'"'s $HOME'
cd /scratch/q-one
srun --nodes=4 --ntasks=4 --ntasks-per-node=1 --cpus-per-task=56 --mpi=pmi2 /opt/env/bin/hpcstem queue launch \
--db '/scratch/q one' --end-time "$((begin + 7265))"
""",
    ),
    "pbs": (
        {
            "account": "mat100",
            "queue": "prod",
            "nodes": 2,
            "cores": 32,
            "launcher": "mpiexec",
            "directives": ("-l filesystems=home:eagle",),
        },
        """#!/bin/bash -l
#PBS -N hpcstem-queue
#PBS -l select=2:ncpus=32
#PBS -l walltime=01:00:00
#PBS -A mat100
#PBS -q prod
#PBS -j oe
#PBS -o /scratch/q-one/submitted/
#PBS -l filesystems=home:eagle

begin=$(date +%s)
cd /scratch/q-one
mpiexec -n 2 --ppn 1 /opt/env/bin/hpcstem queue launch --db '/scratch/q one' --end-time "$((begin + 3600))"
""",
    ),
    "lsf": (
        {"account": "mat100", "queue": "batch", "nodes": 2, "cores": 42, "gpus": 6, "launcher": "jsrun"},
        """#!/bin/bash -l
#BSUB -J hpcstem-queue
#BSUB -nnodes 2
#BSUB -W 01:00
#BSUB -P mat100
#BSUB -q batch
#BSUB -o /scratch/q-one/submitted/%J.out

begin=$(date +%s)
cd /scratch/q-one
jsrun -n2 -r1 -a1 -c42 -g6 /opt/env/bin/hpcstem queue launch --db '/scratch/q one' --end-time "$((begin + 3600))"
""",
    ),
}


def request(scheduler="slurm", folder=PLACE, **changes):
    return BatchRequest(scheduler, folder, LAUNCH, **changes)


@pytest.mark.parametrize("scheduler", SCRIPTS)
def test_scripts(scheduler):
    changes, wanted = SCRIPTS[scheduler]
    script = script_of(request(scheduler, **changes))
    assert script == wanted
    assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0


EVIL = ["a\n#SBATCH --uid=0", "a; touch PLACE", "$(touch PLACE)", "`touch PLACE`", "a b", "-x", "", "a'b", 'a"b']


@pytest.mark.parametrize("value", EVIL)
@pytest.mark.parametrize("name", ["account", "queue", "qos", "constraint", "name"])
def test_names_that_are_more_than_names_are_refused(name, value):
    with pytest.raises(ConfigError, match=f"{name} of a batch job"):
        request(**{name: value})


def test_other_values_that_are_refused():
    for changes, message in (
        ({"directives": ("-S 8\nrm x",)}, "directives"),
        ({"setup": ("source a; rm x",)}, "setup"),
        ({"modules": ("$(rm x)",)}, "modules"),
        ({"launcher_arguments": ("--mpi='x'",)}, "launcher_arguments"),
        ({"variables": {"A;B": "1"}}, "variable"),
        ({"variables": {"A": "1\nrm x"}}, "variable"),
        ({"nodes": 0}, "size"),
        ({"walltime_s": 5}, "size"),
        ({"nodes": 2}, "launcher"),
        ({"scheduler": "sge"}, "scheduler"),
    ):
        with pytest.raises(ConfigError, match=message):
            request(**changes)
    with pytest.raises(ConfigError, match="folder of the queue"):
        script_of(request(folder=Path("/scratch/q one")))


ANSWERS = {
    "slurm": ("sbatch", "Submitted batch job 4711"),
    "pbs": ("qsub", "4711.server.example"),
    "lsf": ("bsub", "Job <4711> is submitted to queue <batch>."),
}


def stand_in(folder, program, text, status=0):
    """A scheduler's command that keeps the script it is given."""
    folder.mkdir(exist_ok=True)
    path = folder / program
    stream = ">&2" if status else ""
    path.write_text(f"#!/bin/sh\ncat ${{1:-/dev/stdin}} > {folder}/script\necho '{text}' {stream}\nexit {status}\n")
    path.chmod(0o755)


@pytest.mark.parametrize("scheduler", ANSWERS)
def test_a_job_is_handed_over_and_remembered(scheduler, tmp_path, monkeypatch):
    stand_in(tmp_path / "bin", *ANSWERS[scheduler])
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    job = request(scheduler, tmp_path / "q", queue="batch")
    done = submit(job, n_jobs=2)
    assert [one.number for one in done] == ["4711", "4711"]
    assert (tmp_path / "bin" / "script").read_text() == done[1].script.read_text() == script_of(job)
    record = json.loads((tmp_path / "q" / "submitted" / "jobs.json").read_text())
    assert [(entry["number"], entry["script"]) for entry in record] == [
        ("4711", "launch-1.sh"),
        ("4711", "launch-2.sh"),
    ]


def test_a_job_that_the_scheduler_refuses(tmp_path, monkeypatch):
    stand_in(tmp_path / "bin", "sbatch", "sbatch: error: invalid account mat100", status=1)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    with pytest.raises(SimulationError, match="invalid account mat100"):
        submit(request(folder=tmp_path / "q"))
    assert not (tmp_path / "q" / "submitted" / "jobs.json").exists()
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    with pytest.raises(SimulationError, match=r"cannot submit .* wanted a sbatch that takes the script"):
        submit(request(folder=tmp_path / "q"))
