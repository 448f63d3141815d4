"""Batch jobs for the queue: what the scheduler answers. The scripts are those of `hpcstem batch`."""

import json
import os

import pytest

from hpcstem.errors import SimulationError
from hpcstem.simulation.submission import submit

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
    done = submit(scheduler, tmp_path / "q", lambda log: f"run > {log}\n", n_jobs=2)
    assert [one.number for one in done] == ["4711", "4711"]
    text = f"run > {tmp_path / 'q' / 'submitted' / 'launch-2.log'}\n"
    assert (tmp_path / "bin" / "script").read_text() == done[1].script.read_text() == text
    record = json.loads((tmp_path / "q" / "submitted" / "jobs.json").read_text())
    assert [(entry["number"], entry["script"]) for entry in record] == [
        ("4711", "launch-1.sh"),
        ("4711", "launch-2.sh"),
    ]


def test_a_job_that_the_scheduler_refuses(tmp_path, monkeypatch):
    stand_in(tmp_path / "bin", "sbatch", "sbatch: error: invalid account mat100", status=1)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    with pytest.raises(SimulationError, match=r"launch-1.sh; got sbatch: error: invalid account mat100; wanted"):
        submit("slurm", tmp_path / "q", str)
    assert not (tmp_path / "q" / "submitted" / "jobs.json").exists()
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    with pytest.raises(SimulationError, match=r"cannot submit .* wanted a sbatch that takes the script"):
        submit("slurm", tmp_path / "q", str)
