import subprocess
import sys
import time

import pytest

from hpcstem.errors import ExecutionError
from hpcstem.execution.ranks import launched_tasks, mpiexec_command

SECONDS_TO_END = 200


@pytest.mark.parametrize("kind", ["killed", "exits"])
def test_a_lost_rank_ends_the_job_and_nobody_waits(run_ranks, kind):
    start = time.monotonic()
    done = run_ranks(3, "rank_faults.py", kind)
    assert time.monotonic() - start < SECONDS_TO_END
    assert done.returncode != 0
    assert "finished" not in done.stdout


def test_a_partial_result_that_cannot_travel_is_an_error_on_every_rank(run_ranks):
    done = run_ranks(3, "rank_faults.py", "unpicklable")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("every rank: ") == 3
    assert "TypeError: " in done.stdout


@pytest.mark.parametrize("variable", ["SLURM_NTASKS", "OMPI_COMM_WORLD_SIZE"])
def test_ranks_that_do_not_see_each_other_are_refused(run_ranks, variable):
    code = "from hpcstem.execution import MPIExecutor; MPIExecutor()"
    environment = {"PATH": "/usr/bin:/bin", variable: "4"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode != 0
    assert "ExecutionError: MPI ranks do not see each other" in done.stderr
    assert "srun --mpi=pmi2" in done.stderr


def test_a_step_counts_before_its_allocation():
    assert launched_tasks({}) == 1
    assert launched_tasks({"SLURM_NTASKS": "8"}) == 8
    assert launched_tasks({"SLURM_NTASKS": "8", "SLURM_STEP_NUM_TASKS": "1"}) == 1
    assert launched_tasks({"SLURM_NTASKS": "8", "PMI_SIZE": "4"}) == 4
    assert launched_tasks({"SLURM_NTASKS": "", "OMPI_COMM_WORLD_SIZE": "2"}) == 2


def test_mpiexec_beside_python_goes_first(monkeypatch, tmp_path):
    on_path = tmp_path / "path" / "mpiexec"
    beside = tmp_path / "bin" / "mpiexec"
    for program in (on_path, beside):
        program.parent.mkdir()
        program.write_text("")
        program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin" / "python"))
    monkeypatch.setenv("PATH", str(on_path.parent))
    assert mpiexec_command(3) == [str(beside), "-n", "3"]
    beside.unlink()
    assert mpiexec_command(3) == [str(on_path), "-n", "3"]
    on_path.unlink()
    with pytest.raises(ExecutionError, match=r"hpcstem\[mpi\]"):
        mpiexec_command(3)
