"""Batches over MPI ranks, each a contiguous block."""

from __future__ import annotations

import os
import pickle
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from hpcstem.analysis import Analysis
from hpcstem.errors import ExecutionError, HpcstemError
from hpcstem.execution.executor import (
    Batch,
    Executor,
    OnBatch,
    Partial,
    Result,
    batch_failure,
    require_batches,
)
from hpcstem.execution.memory import keep_memory
from hpcstem.execution.ranks import launched_tasks
from hpcstem.ownership import owned_block

_PROGRESS_TAG = 1


class MPIExecutor(Executor):
    """Process batches over the ranks of a communicator; every rank calls `run` with the same arguments.

    Each rank merges its own block, the root merges the blocks in the order of the ranks, and every rank returns
    the same result or raises the same error, that of the lowest rank that has one.

    Parameters
    ----------
    communicator
        Ranks to use, an `mpi4py.MPI.Comm`; by default all that were started together.

    Raises
    ------
    ExecutionError
        mpi4py or its MPI library is missing, or the launcher started several processes that do not see each
        other.
    """

    name: ClassVar[str] = "mpi"

    def __init__(self, communicator: Any = None) -> None:
        if communicator is None:
            communicator = _world()
        # A communicator of its own keeps its messages apart from the caller's.
        self._communicator = communicator.Dup()

    @property
    def workers(self) -> int:
        """Number of ranks."""
        return self._communicator.Get_size()

    @property
    def is_root(self) -> bool:
        """Whether this rank should print and write."""
        return self._communicator.Get_rank() == 0

    def run(
        self,
        analysis: Analysis[Batch, Partial, Result],
        batches: Sequence[Batch],
        on_batch: OnBatch | None = None,
    ) -> Result:
        """See `Executor.run`; `on_batch` is called on the root only, with the finished batches of all ranks."""
        require_batches(batches)
        keep_memory()
        progress = _Progress(self._communicator, on_batch)
        own, failure = self._attempt(lambda: self._own_block(analysis, batches, progress))
        progress.settle()
        self._raise_together(failure)
        blocks = self._communicator.gather(own)

        def finish() -> bytes | None:
            if not self.is_root:
                return None
            if on_batch is not None:
                on_batch(len(batches))
            merged, *others = [pickle.loads(block) for block in blocks if block is not None]  # noqa: S301
            for partial in others:
                merged = analysis.merge(merged, partial)
            return pickle.dumps(analysis.finish(merged), protocol=pickle.HIGHEST_PROTOCOL)

        result, failure = self._attempt(finish)
        self._raise_together(failure)
        return pickle.loads(self._communicator.bcast(result))  # noqa: S301

    def shared(self, task: tuple[Analysis[Any, Any, Any], Sequence[Any]] | None) -> Any:
        """Give every rank the root's task, with those of its batches that are the rank's own; None as it is.

        Every rank has to call it. Batches of other ranks are None.
        """
        parts: list[bytes] | None = None
        if self.is_root:
            own = [None if task is None else _part(*task, self.workers, rank) for rank in range(self.workers)]
            parts = [pickle.dumps(part, protocol=pickle.HIGHEST_PROTOCOL) for part in own]
        return pickle.loads(self._communicator.scatter(parts))  # noqa: S301

    def close(self) -> None:
        """Free the communicator; every rank has to call it."""
        if self._communicator:
            self._communicator.Free()

    def _own_block(
        self, analysis: Analysis[Batch, Partial, Any], batches: Sequence[Batch], progress: _Progress
    ) -> bytes | None:
        """Partial result of this rank's block, pickled here, where a failure can still be shared."""
        block = owned_block(len(batches), self.workers, self._communicator.Get_rank())
        merged: Any = None
        for index in block:
            try:
                partial = analysis.process(batches[index])
                merged = partial if index == block.start else analysis.merge(merged, partial)
            except HpcstemError:
                raise
            except Exception as error:
                raise batch_failure(index, len(batches), error) from error
            progress.one_more()
        return pickle.dumps(merged, protocol=pickle.HIGHEST_PROTOCOL) if block else None

    def _attempt(self, work: Callable[[], bytes | None]) -> tuple[bytes | None, HpcstemError | None]:
        """Do the work and keep its error, for a rank that raises alone leaves the others waiting for it."""
        try:
            return work(), None
        except HpcstemError as error:
            return None, error
        except Exception as error:
            failure = ExecutionError("the analysis failed", f"{type(error).__name__}: {error}")
            failure.__cause__ = error
            return None, failure
        except BaseException:
            # An interrupt or an exit has to end this rank, and the others with it.
            if self.workers > 1:
                traceback.print_exc()
                sys.stderr.flush()
                self._communicator.Abort(1)
            raise

    def _raise_together(self, failure: HpcstemError | None) -> None:
        """Raise the lowest rank's error on every rank, if any rank has one."""
        failures = self._communicator.allgather(None if failure is None else _portable(failure))
        first = next((rank for rank, portable in enumerate(failures) if portable is not None), None)
        if first is None:
            return
        if failure is not None and first == self._communicator.Get_rank():
            raise failure
        raise pickle.loads(failures[first])  # noqa: S301


class _Progress:
    """Counts the finished batches of all ranks on the root and tells its `on_batch`."""

    def __init__(self, communicator: Any, on_batch: OnBatch | None) -> None:
        self._communicator, self._on_batch = communicator, on_batch
        self._is_root = communicator.Get_rank() == 0
        self._finished = 0
        self._received = 0
        self._sent: list[Any] = []

    def one_more(self) -> None:
        """Note one batch finished by this rank."""
        if not self._is_root:
            self._sent.append(self._communicator.isend(None, dest=0, tag=_PROGRESS_TAG))
            return
        while self._communicator.iprobe(tag=_PROGRESS_TAG):
            self._receive()
        self._finished += 1
        if self._on_batch is not None:
            self._on_batch(self._finished)

    def settle(self) -> None:
        """Deliver every message, so that none is left for the next run; every rank has to call it."""
        n_sent = self._communicator.reduce(len(self._sent))
        while self._is_root and self._received < n_sent:
            self._receive()
        for request in self._sent:
            request.wait()

    def _receive(self) -> None:
        self._communicator.recv(tag=_PROGRESS_TAG)
        self._received += 1
        self._finished += 1


def _part(
    analysis: Analysis[Any, Any, Any], batches: Sequence[Any], n_ranks: int, rank: int
) -> tuple[Analysis[Any, Any, Any], list[Any]]:
    own = owned_block(len(batches), n_ranks, rank)
    return analysis, [batch if index in own else None for index, batch in enumerate(batches)]


def _world() -> Any:
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        raise ExecutionError("MPI cannot be loaded", error, "pip install 'hpcstem[mpi]'") from error
    tasks = launched_tasks(os.environ)
    if MPI.COMM_WORLD.Get_size() == 1 and tasks > 1:
        raise ExecutionError(
            "MPI ranks do not see each other",
            f"1 rank in a process that was started as one of {tasks} tasks",
            "srun --mpi=pmi2 …, or the mpiexec of the MPI library that mpi4py loads",
        )
    return MPI.COMM_WORLD


def _portable(failure: HpcstemError) -> bytes:
    """Pickle an error, or its message where the error itself does not travel."""
    try:
        data = pickle.dumps(failure)
        pickle.loads(data)  # noqa: S301
    except Exception:
        return pickle.dumps(ExecutionError(str(failure)))
    return data
