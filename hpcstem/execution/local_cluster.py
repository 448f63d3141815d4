"""A Dask cluster of processes on this machine."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hpcstem.errors import ExecutionError
from hpcstem.execution.memory import KEEPING_MEMORY
from hpcstem.execution.workers import Workers

# The threads of a worker are its batches; libraries must not start more of their own.
WORKER_ENVIRONMENT = {
    variable: "1" for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
}

_SETTINGS: dict[str, list[str] | str | bool] = {
    # The scheduler always serves HTTP, without a password: give it no pages.
    "distributed.scheduler.http.routes": [],
    # Without pages nobody sees profiles of workers; they and the checks that an event loop still turns, 50 per second
    # in each process, took 6 % of a core from two workers.
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.interval": "500ms",
    **{f"distributed.nanny.pre-spawn-environ.{variable}": value for variable, value in KEEPING_MEMORY.items()},
}


def available_cores() -> int:
    """Number of processor cores that this process may use."""
    return len(os.sched_getaffinity(0))


@contextmanager
def local_cluster(
    n_workers: int,
    threads_per_worker: int,
    memory_per_worker_GB: float | None,
    scratch: Path | None,
    allowed_failures: int,
) -> Iterator[Workers]:
    """Start worker processes that listen on the loopback interface only, and end them.

    Parameters
    ----------
    n_workers
        Number of worker processes.
    threads_per_worker
        Batches that one process works on at the same time.
    memory_per_worker_GB
        A worker that grows beyond this many GB (1e9 bytes) is started anew; None for an equal share of the
        machine's memory.
    scratch
        Existing or new folder in which workers keep what does not fit into their memory; None for the system's.
    allowed_failures
        Deaths of workers that a task may survive.

    Yields
    ------
    Workers
        Connected to all of them.

    Raises
    ------
    ExecutionError
        The scratch folder cannot be written, or the workers do not start.
    """
    import dask
    from distributed import Client, LocalCluster, Security

    memory = {} if memory_per_worker_GB is None else {"memory_limit": int(memory_per_worker_GB * 1e9)}
    with _environment_as_before():
        try:
            with dask.config.set(_SETTINGS):
                cluster = LocalCluster(
                    n_workers=n_workers,
                    threads_per_worker=threads_per_worker,
                    processes=True,
                    host="127.0.0.1",
                    # On a shared node every user reaches the loopback interface: TLS keeps the others out.
                    security=Security.temporary(),
                    dashboard_address="127.0.0.1:0",
                    scheduler_kwargs={"allowed_failures": allowed_failures, "dashboard": False},
                    # Dask removes there what killed workers left behind.
                    local_directory=str(_folder(scratch) or tempfile.gettempdir()),
                    env=WORKER_ENVIRONMENT,
                    **memory,
                    # Errors reach the caller as exceptions; dask's own account of them would come on top.
                    silence_logs=logging.CRITICAL,
                )
        except (OSError, RuntimeError, TimeoutError) as error:
            raise ExecutionError("Dask workers do not start", f"{type(error).__name__}: {error}") from error
        with cluster, Client(cluster) as client:
            yield Workers(client)


@contextmanager
def _environment_as_before() -> Iterator[None]:
    """Undo what Dask sets for its workers in this process, which would reach all programs started later."""
    before = dict(os.environ)
    try:
        yield
    finally:
        for variable in {*KEEPING_MEMORY, *WORKER_ENVIRONMENT, "PYTHONHASHSEED"} & os.environ.keys():
            if variable in before:
                os.environ[variable] = before[variable]
            else:
                del os.environ[variable]


def _folder(scratch: Path | None) -> Path | None:
    if scratch is not None:
        try:
            scratch.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ExecutionError(
                f"scratch folder {scratch}", error.strerror, "a folder that you can write to"
            ) from error
    return scratch
