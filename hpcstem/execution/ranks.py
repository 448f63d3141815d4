"""How to start MPI ranks, and how to notice that they did not find each other."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from hpcstem.errors import ExecutionError

# Set by launchers for each process; a launched step's count goes before the whole job's.
_TASK_COUNTS = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS", "SLURM_NTASKS")


def mpiexec_command(n_ranks: int) -> list[str]:
    """Beginning of a command line that starts `n_ranks` MPI ranks on this machine.

    Prefers the `mpiexec` beside this Python, which belongs to the MPI library that mpi4py loads there.

    Raises
    ------
    ExecutionError
        There is no `mpiexec`.
    """
    beside = Path(sys.executable).parent / "mpiexec"
    found = str(beside) if os.access(beside, os.X_OK) else shutil.which("mpiexec")
    if found is None:
        raise ExecutionError("mpiexec", "no such program beside Python or on PATH", "pip install 'hpcstem[mpi]'")
    return [found, "-n", str(n_ranks)]


def launched_tasks(environment: Mapping[str, str]) -> int:
    """Number of tasks that the launcher of this process says it started; 1 if no launcher says so."""
    counts = (environment.get(variable, "") for variable in _TASK_COUNTS)
    return next((int(count) for count in counts if count.isdigit()), 1)
