"""What every executor does: run an analysis over batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, ClassVar, Protocol, Self, TypeVar

from hpcstem.analysis import Analysis
from hpcstem.errors import ExecutionError

Batch = TypeVar("Batch")
Partial = TypeVar("Partial")
Result = TypeVar("Result")
OnBatch = Callable[[int], None]


class Executor(Protocol):
    """Runs analyses; a context manager that lets go of its processes at the end.

    All executors merge partial results in the order of the batches, so their answers do not depend on timing.
    An `HpcstemError` out of an analysis reaches the caller as it is; any other exception as an `ExecutionError`
    that names the batch.
    """

    name: ClassVar[str]

    @property
    def workers(self) -> int:
        """Number of processes or threads that process batches at the same time."""
        ...

    def run(
        self,
        analysis: Analysis[Batch, Partial, Result],
        batches: Sequence[Batch],
        on_batch: OnBatch | None = None,
    ) -> Result:
        """Process all batches, merge in their order, finish.

        Parameters
        ----------
        analysis
            What to do; see `hpcstem.analysis`.
        batches
            Its batches, at least one.
        on_batch
            Called with the number of batches finished so far.

        Raises
        ------
        ExecutionError
            No batches; or a batch failed with an exception that is not an `HpcstemError`.
        HpcstemError
            What the analysis raised.
        """
        ...

    def close(self) -> None:
        """End the processes that the executor started."""
        ...

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def require_batches(batches: Sequence[Any]) -> None:
    """Refuse an empty list of batches: an analysis has no result to finish without one.

    Raises
    ------
    ExecutionError
        There is no batch.
    """
    if len(batches) == 0:
        raise ExecutionError("nothing to run", "0 batches", "at least one batch: check that the input is not empty")


def batch_failure(index: int, n_batches: int, cause: object) -> ExecutionError:
    """Error for an exception that an analysis did not mean to raise, or for the death of its process."""
    found = f"{type(cause).__name__}: {cause}" if isinstance(cause, BaseException) else cause
    return ExecutionError(f"batch {index + 1} of {n_batches} failed", found)
