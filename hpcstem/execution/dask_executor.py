"""Batches over the workers of a Dask cluster."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from hpcstem.analysis import Analysis, Surviving
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
from hpcstem.execution.local_cluster import available_cores, local_cluster
from hpcstem.execution.workers import Workers

_SECONDS_BETWEEN_COUNTS = 1.0
_SECONDS_BETWEEN_GLANCES = 0.1


class DaskExecutor(Executor):
    """Process batches on Dask workers; a worker that dies costs its batches another try, not the run.

    Parameters
    ----------
    n_workers
        Worker processes to start on this machine; by default one per core.
    threads_per_worker
        Batches that one worker works on at the same time.
    in_flight_per_worker
        Batches handed out per thread, those waiting at the worker included. Bounds the memory for batches.
    memory_per_worker_GB
        A worker that grows beyond this many GB (1e9 bytes) is started anew; None for an equal share of the
        machine's memory.
    scratch
        Folder in which workers keep what does not fit into their memory; None for the system's temporary one.
    retries
        How often a batch is tried again after its worker died or an unexpected exception.
    client
        A `distributed.Client` of a cluster that exists; nothing is started or ended then, and the options above
        for workers do not apply.
    cluster
        What starts workers elsewhere, such as `job_cluster` does, and ends them when the executor is closed; the
        options above for workers do not apply.

    Raises
    ------
    ExecutionError
        A number below 1, or the workers do not start.
    """

    name: ClassVar[str] = "dask"

    def __init__(
        self,
        n_workers: int | None = None,
        *,
        threads_per_worker: int = 1,
        in_flight_per_worker: int = 2,
        memory_per_worker_GB: float | None = None,
        scratch: Path | None = None,
        retries: int = 3,
        client: Any = None,
        cluster: AbstractContextManager[Workers] | None = None,
    ) -> None:
        n_workers = available_cores() if n_workers is None else n_workers
        for thing, number in {
            "n_workers": n_workers,
            "threads_per_worker": threads_per_worker,
            "in_flight_per_worker": in_flight_per_worker,
        }.items():
            if number < 1:
                raise ExecutionError(f"{thing} of the Dask executor", number, "at least 1")
        self._in_flight_per_worker, self._retries = in_flight_per_worker, retries
        self._resources = ExitStack()
        if client is not None:
            self._workers = Workers(client)
        else:
            self._workers = self._resources.enter_context(
                cluster or local_cluster(n_workers, threads_per_worker, memory_per_worker_GB, scratch, retries)
            )
        self._client = self._workers.client

    @property
    def connection(self) -> Workers:
        """The workers themselves, for what is placed on them and not mapped over batches."""
        return self._workers

    @property
    def workers(self) -> int:
        """Threads of all workers that are connected now."""
        return sum(self._client.nthreads().values())

    def run(
        self,
        analysis: Analysis[Batch, Partial, Result],
        batches: Sequence[Batch],
        on_batch: OnBatch | None = None,
    ) -> Result:
        """See `Executor.run`."""
        require_batches(batches)
        run = _Run(self._workers, analysis, batches, self._retries)
        n_finished, limit, counted_s = 0, 1, -_SECONDS_BETWEEN_COUNTS
        try:
            while run.unfinished:
                if time.monotonic() - counted_s > _SECONDS_BETWEEN_COUNTS:
                    # Workers come and go on a cluster that adapts; those to come show by the work that waits for them.
                    threads = max(1, self.workers, self._workers.planned_threads)
                    limit, counted_s = self._in_flight_per_worker * threads, time.monotonic()
                run.submit(limit)
                if run.take_one():
                    n_finished += 1
                    if on_batch is not None:
                        on_batch(n_finished)
        finally:
            run.cancel()
        return analysis.finish(run.merged)

    def close(self) -> None:
        """End the workers that this executor started."""
        self._resources.close()


class _Run:
    """The state of one run: batches not yet handed out, in flight, and done but not yet merged."""

    def __init__(
        self, workers: Workers, analysis: Analysis[Any, Any, Any], batches: Sequence[Any], retries: int
    ) -> None:
        from distributed import as_completed

        self._workers, client = workers, workers.client
        self._client, self._analysis, self._batches, self._retries = client, analysis, batches, retries
        # A task, not scattered data: the scheduler can make it again when the worker that holds it dies.
        self._shared_analysis = client.submit(_itself, analysis, pure=False)
        self._completed = as_completed([], loop=client.loop, with_results=True, raise_errors=False)
        self._waiting = deque(range(len(batches)))
        self._suspects: deque[int] = deque()
        self._alone: int | None = None
        self._in_flight: dict[Any, int] = {}
        self._unmerged: dict[int, Any] = {}
        self._n_merged = 0
        self.merged: Any = None

    @property
    def unfinished(self) -> bool:
        return self._n_merged < len(self._batches)

    def submit(self, limit: int) -> None:
        """Hand out batches up to the limit; those suspected of killing their worker one at a time."""
        if self._suspects:
            if not self._in_flight:
                self._alone = self._suspects.popleft()
                self._submit(self._alone)
            return
        while self._waiting and len(self._in_flight) < limit:
            self._submit(self._waiting.popleft())

    def _submit(self, index: int) -> None:
        import dask

        # An analysis with trained networks, or a batch of frames, is large and has to travel all the same.
        with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1TB"}):
            future = self._client.submit(
                _process, self._shared_analysis, self._batches[index], pure=False, retries=self._retries
            )
        self._in_flight[future] = index
        self._completed.add(future)

    def take_one(self) -> int:
        """Take one batch if one is there, and merge what is next in order; return how many were finished, 0 or 1."""
        from distributed.scheduler import KilledWorker

        if not self._completed.has_ready():
            if self._workers.failure is not None:
                raise self._workers.failure
            with self._completed.thread_condition:
                self._completed.thread_condition.wait(timeout=_SECONDS_BETWEEN_GLANCES)
            return 0  # to look after the workers in between
        future, outcome = next(self._completed)
        index = self._in_flight.pop(future)
        if future.status != "finished":
            cause = outcome[1] if isinstance(outcome, tuple) else outcome
            if not isinstance(cause, KilledWorker):
                raise batch_failure(index, len(self._batches), cause) from cause
            if index != self._alone:
                # Another batch on the same worker may have killed it: try again without company.
                self._suspects.append(index)
                return 0
            died = f"its worker died {self._retries + 1} times: killed, or out of memory"
            failure = batch_failure(index, len(self._batches), died)
            if not isinstance(self._analysis, Surviving):
                raise failure from None
            outcome = self._analysis.failed(self._batches[index], failure)
        if isinstance(outcome, _Refusal):
            raise outcome.error
        self._unmerged[index] = outcome
        while self._n_merged in self._unmerged:
            self._merge(self._unmerged.pop(self._n_merged))
        return 1

    def _merge(self, partial: Any) -> None:
        try:
            self.merged = partial if self._n_merged == 0 else self._analysis.merge(self.merged, partial)
        except HpcstemError:
            raise
        except Exception as error:
            raise batch_failure(self._n_merged, len(self._batches), error) from error
        self._n_merged += 1

    def cancel(self) -> None:
        """Let go of all that is not finished."""
        self._client.cancel([*self._in_flight, self._shared_analysis])


@dataclass(frozen=True)
class _Refusal:
    """A user's mistake found by an analysis: returned, since trying again cannot help."""

    error: HpcstemError


def _itself(value: Any) -> Any:
    return value


def _process(analysis: Analysis[Any, Any, Any], batch: Any) -> Any:
    try:
        return analysis.process(batch)
    except HpcstemError as error:
        return _Refusal(error)
