"""One behaviour suite on every executor."""

import pytest
from behaviour import CHECKS

from hpcstem.execution import SerialExecutor


@pytest.fixture(params=["serial", "serial, pickling checked", "dask"])
def executor(request):
    if request.param == "dask":
        return request.getfixturevalue("dask_executor")
    return SerialExecutor(check_pickling=request.param != "serial")


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS.keys())
def test_executor(check, executor):
    check(executor)


@pytest.mark.parametrize("n_ranks", [1, 2, 3, 4])
@pytest.mark.parametrize("check", CHECKS)
def test_mpi_executor_on_every_rank(check, n_ranks, behaviour_on_ranks):
    by_rank = behaviour_on_ranks(n_ranks)[check]
    assert len(by_rank) == n_ranks
    assert by_rank == [None] * n_ranks, "\n".join(filter(None, by_rank))
