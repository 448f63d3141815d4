"""What every executor has to do: functions of an executor, run by pytest and by this script under mpiexec.

`mpiexec -n N python behaviour.py RESULT.json` runs all of them on N ranks and writes, for each, what each rank
raised (null for nothing).
"""

import json
import os
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from hpcstem.errors import ExecutionError, MovieError


@dataclass(frozen=True)
class Join:
    """Text of all batches in order: merging is associative, not commutative."""

    refuse: int | None = None
    fail: int | None = None
    fail_to_merge: int | None = None
    fail_to_finish: bool = False
    slow_start: bool = False

    def process(self, batch):
        if batch == self.refuse:
            raise MovieError(f"batch {batch}", "a broken frame", "a whole one")
        if batch == self.fail:
            raise ZeroDivisionError("a bug")
        if self.slow_start:
            time.sleep(0.05 / (1 + batch))
        return f"<{batch}>"

    def merge(self, left, right):
        if right == f"<{self.fail_to_merge}>":
            raise ZeroDivisionError("a bug in merge")
        return left + right

    def finish(self, partial):
        if self.fail_to_finish:
            raise MovieError("the end", "nothing", "something")
        return f"[{partial}]"


@dataclass(frozen=True)
class Sum:
    """Sum of large arrays of floats."""

    def process(self, batch):
        return np.random.default_rng(batch).normal(size=200_000)

    def merge(self, left, right):
        return left + right

    def finish(self, partial):
        return partial


def joined(n_batches):
    return "[" + "".join(f"<{batch}>" for batch in range(n_batches)) + "]"


def check_order_for_any_number_of_batches(executor):
    for n_batches in (1, 2, 3, 5, 7, 16):
        assert executor.run(Join(), range(n_batches)) == joined(n_batches)


def check_order_does_not_depend_on_timing(executor):
    assert executor.run(Join(slow_start=True), range(8)) == joined(8)


def check_large_partial_results(executor):
    wanted = sum(np.random.default_rng(batch).normal(size=200_000) for batch in range(5))
    np.testing.assert_allclose(executor.run(Sum(), range(5)), wanted, rtol=0, atol=1e-12)


def check_no_batches_is_an_error(executor):
    with pytest.raises(ExecutionError, match="0 batches"):
        executor.run(Join(), [])


def check_a_users_mistake_comes_as_itself(executor):
    for bad in (0, 4, 6):
        with pytest.raises(MovieError) as error:
            executor.run(Join(refuse=bad), range(7))
        assert error.value.thing == f"batch {bad}"
        assert error.value.wanted == "a whole one"
    with pytest.raises(MovieError, match="the end"):
        executor.run(Join(fail_to_finish=True), range(7))


def check_a_bug_names_its_batch(executor):
    for bad in (0, 5):
        with pytest.raises(ExecutionError, match=f"^batch {bad + 1} of 6 failed; got ZeroDivisionError: a bug"):
            executor.run(Join(fail=bad), range(6))


def check_a_bug_in_merge_is_an_execution_error(executor):
    with pytest.raises(ExecutionError, match="ZeroDivisionError: a bug in merge"):
        executor.run(Join(fail_to_merge=1), range(2))


def check_works_again_after_an_error(executor):
    for bad in (0, 9):
        with pytest.raises(MovieError):
            executor.run(Join(refuse=bad), range(10))
        calls = []
        assert executor.run(Join(), range(10), on_batch=calls.append) == joined(10)
        assert not calls or calls[-1] == 10


def check_on_batch_counts_up_to_all(executor):
    calls = []
    executor.run(Join(), range(7), on_batch=calls.append)
    if getattr(executor, "is_root", True):
        assert calls[-1] == 7
        assert calls == sorted(calls)
        assert calls[0] <= 7
    else:
        assert calls == []


def check_workers_and_name(executor):
    assert executor.workers >= 1
    assert executor.name in ("serial", "dask", "mpi")


CHECKS = {name: function for name, function in list(globals().items()) if name.startswith("check_")}


def outcome(function, executor):
    try:
        function(executor)
    except BaseException:
        return traceback.format_exc()
    return None


if __name__ == "__main__":
    from mpi4py import MPI

    from hpcstem.execution import MPIExecutor

    with MPIExecutor() as mpi_executor:
        assert mpi_executor.workers == MPI.COMM_WORLD.Get_size()
        results = {name: outcome(function, mpi_executor) for name, function in CHECKS.items()}
    gathered = MPI.COMM_WORLD.gather(results)
    if gathered is not None:
        by_check = {name: [rank[name] for rank in gathered] for name in CHECKS}
        Path(sys.argv[1]).write_text(json.dumps(by_check))
        os.sync()
