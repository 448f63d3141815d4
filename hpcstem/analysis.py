"""The contract that carries scale: process a batch, merge two partial results, finish.

An analysis is a picklable object. `process` turns one batch into a partial result and never looks at another
batch; `merge` joins the partial results of two neighbouring batches; `finish` turns the last partial result
into the answer. `merge` must be associative. Executors keep the order of batches, so it need not be
commutative, and a serial run, a Dask cluster and MPI ranks give the same answer.
"""

from __future__ import annotations

from typing import Protocol, TypeVar, runtime_checkable

from hpcstem.errors import ExecutionError

Batch = TypeVar("Batch", contravariant=True)
Partial = TypeVar("Partial")
Result = TypeVar("Result", covariant=True)


class Analysis(Protocol[Batch, Partial, Result]):
    """What an executor runs."""

    def process(self, batch: Batch) -> Partial:
        """Turn one batch into a partial result."""
        ...

    def merge(self, left: Partial, right: Partial) -> Partial:
        """Join the partial results of two neighbouring runs of batches, `left` before `right`."""
        ...

    def finish(self, partial: Partial) -> Result:
        """Turn the partial result of all batches into the answer."""
        ...


@runtime_checkable
class Surviving(Protocol[Batch, Result]):
    """An analysis that goes on without a batch whose worker died each time; any other analysis ends there."""

    def failed(self, batch: Batch, cause: ExecutionError) -> Result:
        """Partial result in place of the one that the batch would have given; called in the caller's process."""
        ...
