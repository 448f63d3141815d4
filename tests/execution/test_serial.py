import threading

import pytest
from behaviour import Join

from hpcstem.errors import ExecutionError
from hpcstem.execution import SerialExecutor


class Locked(Join):
    """Partial results that cannot travel."""

    def process(self, batch):
        return threading.Lock()


class LocalBatch:
    def __reduce__(self):
        raise TypeError("this batch stays here")


def test_pickling_check_finds_what_cannot_travel():
    assert SerialExecutor().run(Locked(), [0]).startswith("[<unlocked")
    with pytest.raises(ExecutionError, match="batch 1 of 1 failed; got TypeError: cannot pickle"):
        SerialExecutor(check_pickling=True).run(Locked(), [0])
    with pytest.raises(ExecutionError, match="this batch stays here"):
        SerialExecutor(check_pickling=True).run(Join(), [LocalBatch()])


def test_cause_of_a_bug_is_kept():
    with pytest.raises(ExecutionError) as error:
        SerialExecutor().run(Join(fail=1), range(3))
    assert isinstance(error.value.__cause__, ZeroDivisionError)
