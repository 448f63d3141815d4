"""Executors to test, and ranks to test them on."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hpcstem.errors import ExecutionError
from hpcstem.execution import DaskExecutor, mpiexec_command

SECONDS_FOR_RANKS = 300


@pytest.fixture(scope="session")
def dask_executor():
    with DaskExecutor(2) as executor:
        yield executor


@pytest.fixture(scope="session")
def run_ranks():
    """Run a script of this folder on n ranks; returns the finished process."""
    if importlib.util.find_spec("mpi4py") is None:
        pytest.skip("mpi4py is not installed: pip install 'hpcstem[mpi]'")
    try:
        mpiexec_command(1)
    except ExecutionError as error:
        pytest.skip(str(error))

    def run(n_ranks, script, *arguments):
        command = [*mpiexec_command(n_ranks), sys.executable, str(Path(__file__).parent / script), *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=SECONDS_FOR_RANKS, env=os.environ)

    return run


@pytest.fixture(scope="session")
def behaviour_on_ranks(run_ranks, tmp_path_factory):
    """Outcome of every check by rank, for a number of ranks; each number is run once."""
    outcomes = {}

    def outcome(n_ranks):
        if n_ranks not in outcomes:
            file = tmp_path_factory.mktemp("ranks") / f"{n_ranks}.json"
            done = run_ranks(n_ranks, "behaviour.py", file)
            assert done.returncode == 0, done.stderr
            outcomes[n_ranks] = json.loads(file.read_text())
        return outcomes[n_ranks]

    return outcome
