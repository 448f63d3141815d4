"""The one place where the executor of a site is chosen."""

from __future__ import annotations

from hpcstem.execution.dask_executor import DaskExecutor
from hpcstem.execution.executor import Executor
from hpcstem.execution.mpi_executor import MPIExecutor
from hpcstem.execution.serial import SerialExecutor
from hpcstem.execution.site import Site


def make_executor(site: Site, n_workers: int | None = None) -> Executor:
    """Start the executor that a site asks for; close it, or use it in a `with` statement.

    Parameters
    ----------
    site
        The machine.
    n_workers
        Dask worker processes instead of the site's number. MPI has as many ranks as were started.

    Raises
    ------
    ExecutionError
        The executor cannot start.
    """
    if site.executor == "serial":
        return SerialExecutor()
    if site.executor == "mpi":
        return MPIExecutor()
    return DaskExecutor(
        site.workers if n_workers is None else n_workers,
        threads_per_worker=site.threads_per_worker,
        in_flight_per_worker=site.in_flight_per_worker,
        memory_per_worker_GB=site.memory_per_worker_GB,
        scratch=site.scratch,
        retries=site.retries,
    )
