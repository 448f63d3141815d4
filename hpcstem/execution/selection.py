"""The one place where the executor of a site is chosen."""

from __future__ import annotations

import os

from hpcstem.errors import ExecutionError
from hpcstem.execution.allocation_cluster import allocation_cluster
from hpcstem.execution.batch import batch_system
from hpcstem.execution.dask_executor import DaskExecutor
from hpcstem.execution.executor import Executor
from hpcstem.execution.job_cluster import job_cluster
from hpcstem.execution.mpi_executor import MPIExecutor
from hpcstem.execution.serial import SerialExecutor
from hpcstem.execution.site import Site


def make_executor(site: Site, n_workers: int | None = None) -> Executor:
    """Start the executor that a site asks for; close it, or use it in a `with` statement.

    With Dask on a site that has a batch system, the workers are on all nodes of the job that this process runs in;
    outside of any job, in jobs of one node each.

    Parameters
    ----------
    site
        The machine.
    n_workers
        Dask worker processes in all, instead of the site's number. MPI has as many ranks as were started.

    Raises
    ------
    ExecutionError
        The executor cannot start.
    """
    if site.executor == "serial":
        return SerialExecutor()
    if site.executor == "mpi":
        return MPIExecutor()
    if site.scheduler.kind != "none":
        return _batch_executor(site, n_workers)
    return DaskExecutor(
        site.workers if n_workers is None else n_workers,
        threads_per_worker=site.threads_per_worker,
        in_flight_per_worker=site.in_flight_per_worker,
        memory_per_worker_GB=site.memory_per_worker_GB,
        scratch=site.scratch,
        retries=site.retries,
    )


def _batch_executor(site: Site, n_workers: int | None) -> DaskExecutor:
    nodes = batch_system(site).allocation_nodes(os.environ)
    per_node = site.workers_per_node
    if nodes is not None:
        per_node = per_node if n_workers is None else -(-n_workers // nodes)
        cluster = allocation_cluster(site, nodes, per_node)
    elif site.dask.multi_node:
        raise ExecutionError(
            "work is not spread from outside of a batch job here",
            "a site whose jobs are many nodes (dask.multi_node)",
            "`hpcstem submit CAMPAIGN --site …`, or the same command in a batch job",
        )
    else:
        fewest, most = site.dask.minimum_jobs, site.dask.maximum_jobs
        if n_workers is not None:
            per_node = min(per_node, n_workers)
            most = -(-n_workers // per_node)
        cluster = job_cluster(site, (min(fewest, most), most), per_node)
    return DaskExecutor(cluster=cluster, in_flight_per_worker=site.in_flight_per_worker, retries=site.retries)
