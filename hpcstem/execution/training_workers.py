"""The Dask workers of a site that members of an ensemble are placed on."""

from __future__ import annotations

import os

from hpcstem.errors import ConfigError
from hpcstem.execution.batch import batch_system
from hpcstem.execution.dask_executor import DaskExecutor
from hpcstem.execution.local_cluster import available_cores
from hpcstem.execution.selection import make_executor
from hpcstem.execution.site import Site


def ranks_per_member(site: Site, members: int, batch_size: int) -> int | None:
    """Processes for each member that use all that is here; None where one process should train all members.

    In a batch job the members share its workers evenly, each at most one per image of a batch. On one machine each
    member gets one process, if there are several of both.
    """
    if site.executor != "dask":
        return None
    if site.scheduler.kind == "none":
        return 1 if min(members, site.workers or available_cores()) > 1 else None
    nodes = batch_system(site).allocation_nodes(os.environ)
    return None if nodes is None else min(batch_size, max(1, nodes * site.training_ranks_per_node // members))


def training_executor(site: Site, ranks: int) -> DaskExecutor:
    """Start the workers: on this machine as many as the site says, at least one per rank; in a batch job on its nodes.

    Raises
    ------
    ConfigError
        The executor of the site is not Dask; or the site has a batch system and this process is in no job: workers
        there come and go with the number of batches that wait, of which a training has none.
    ExecutionError
        The workers do not start.
    """
    if site.executor != "dask":
        raise ConfigError("executor of the site", site.executor, "dask, to place members on its workers")
    if site.scheduler.kind == "none":
        executor = make_executor(site, max(ranks, site.workers or available_cores()))
    elif (nodes := batch_system(site).allocation_nodes(os.environ)) is not None:
        executor = make_executor(site, nodes * site.training_ranks_per_node)
    else:
        raise ConfigError(
            "training on a site with a batch system", "no batch job around this command", "the same command in a job"
        )
    assert isinstance(executor, DaskExecutor)  # noqa: S101 - for mypy: asked for above
    return executor
