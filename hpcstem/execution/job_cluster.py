"""Dask workers in batch jobs of one node each, as many as the work can use."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hpcstem.errors import ExecutionError
from hpcstem.execution.batch import BatchJob, BatchSystem, batch_system, render_script
from hpcstem.execution.credentials import tls_folder
from hpcstem.execution.dask_scheduler import scheduler_configuration, scheduler_options, security, tell_dashboard
from hpcstem.execution.node_workers import node_worker_command
from hpcstem.execution.site import Site
from hpcstem.execution.site_sections import JobSize
from hpcstem.execution.workers import Workers, last_words

_SECONDS_BETWEEN_LOOKS = 3.0
_SECONDS_BETWEEN_QUESTIONS = 15.0
"""The batch system of a facility serves thousands: it is not asked more often."""

_MOST_FRUITLESS_JOBS = 3
_UNFINISHED = ("processing", "queued", "no-worker", "waiting")


@contextmanager
def job_cluster(site: Site, jobs: tuple[int, int], workers_per_node: int) -> Iterator[Workers]:
    """Start a Dask scheduler here, and batch jobs with workers as there is work for them; end them all.

    Jobs are added while there is more work than they can do at once, none is taken away before the end, and a job that
    ends early, by an error, by the loss of its node or at its time limit, is replaced while there is work.

    Parameters
    ----------
    site
        The machine.
    jobs
        Fewest and most jobs at a time.
    workers_per_node
        Worker processes in each.

    Raises
    ------
    ConfigError
        The site has no batch system.
    ExecutionError
        There is no such network interface. That the batch system refuses a job, or that jobs end without a worker,
        shows as the `failure` of what is yielded.
    """
    import dask
    from dask_jobqueue import JobQueueCluster
    from distributed import Client

    system = batch_system(site)
    threads_per_job = workers_per_node * site.threads_per_worker
    workers = Workers(client=None, planned_threads=jobs[1] * threads_per_job)
    with tls_folder(site) as tls:
        with dask.config.set(scheduler_configuration()):
            cluster = JobQueueCluster(
                job_cls=_job_class(site, system, tls, workers, workers_per_node),
                cores=threads_per_job,
                processes=1,  # to dask-jobqueue a job is one worker; how many it is, is said in its own command
                memory="1GB",  # likewise
                security=security(tls),
                scheduler_options=scheduler_options(site, tls),
                name="workers",
                silence_logs=logging.CRITICAL,
            )
        with cluster, Client(cluster) as client:
            tell_dashboard(cluster.scheduler)
            workers.client = client
            cluster.adapt(
                Adaptive=_adaptive_class(system, workers, threads_per_job, tls),
                minimum_jobs=jobs[0],
                maximum_jobs=jobs[1],
                interval=f"{_SECONDS_BETWEEN_LOOKS:g}s",
            )
            yield workers


def _job_class(site: Site, system: BatchSystem, tls: Path, workers: Workers, workers_per_node: int) -> Any:
    """A job of dask-jobqueue whose script is one of ours: it quotes, and starts one process per device."""
    from dask_jobqueue.core import Job
    from distributed.core import Status

    class SiteJob(Job):
        cancel_command: Any = system.cancel_program
        config_name: Any = site.scheduler.kind

        def __init__(self, scheduler: Any = None, name: Any = None, **options: Any) -> None:
            super().__init__(scheduler=scheduler, name=name, **options)

        def job_script(self) -> str:
            size = JobSize(nodes=1, walltime_s=site.dask.walltime_s)
            command = node_worker_command(site, self.scheduler, tls, self.name, workers_per_node)
            job = BatchJob(f"hpcstem-{self.name}", "dask", tuple(command), Path.cwd(), tls / f"{self.name}.log", size)
            return render_script(site, job)

        async def _submit_job(self, script_filename: str) -> str:
            import asyncio

            try:
                return await asyncio.to_thread(system.submit, Path(script_filename))
            except ExecutionError as error:
                # Dask would only log it, and could not close the cluster any more.
                workers.failure = error
                return ""

        async def close(self) -> None:
            await super().close()
            self.status = Status.closed  # dask-jobqueue leaves it running, which a closing cluster may find wrong

        def _job_id_from_submit_output(self, out: str) -> str:
            return out

    return SiteJob


def _adaptive_class(system: BatchSystem, workers: Workers, threads_per_job: int, tls: Path) -> Any:
    """How many jobs there should be, and which of them are gone."""
    from distributed.core import Status
    from distributed.deploy import Adaptive

    class ByWork(Adaptive):
        cluster: Any

        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            self._most_jobs = 0
            self._arrived: set[str] = set()
            self._n_fruitless = 0
            self._looks = 0

        async def target(self) -> int:
            """Jobs that the unfinished tasks can fill, never fewer than before.

            Dask's own estimate from the duration of tasks swings, and would cancel jobs that wait in the queue.
            """
            tasks = self.cluster.scheduler.tasks.values()
            # Those that others wait for are done before them, by the same workers.
            n_unfinished = sum(task.state in _UNFINISHED and not task.dependents for task in tasks)
            self._most_jobs = max(self._most_jobs, math.ceil(n_unfinished / threads_per_job))
            self._looks += 1
            if self._looks * _SECONDS_BETWEEN_LOOKS >= _SECONDS_BETWEEN_QUESTIONS:
                self._looks = 0
                await self._forget_ended_jobs()
            return self._most_jobs

        async def _forget_ended_jobs(self) -> None:
            """Take jobs that the batch system does not know any more off the books, so that others take their place."""
            import asyncio

            known = dict(self.cluster.workers)
            try:
                live = await asyncio.to_thread(system.live)
            except ExecutionError:
                return  # it may answer the next time
            self._arrived |= {worker.name for worker in self.cluster.scheduler.workers.values()}
            for name, job in known.items():
                if not job.job_id or job.job_id in live or name not in self.cluster.workers:
                    continue
                self.cluster.workers.pop(name).status = Status.closed
                arrived = any(worker == name or worker.startswith(f"{name}-") for worker in self._arrived)
                self._n_fruitless = 0 if arrived else self._n_fruitless + 1
                if self._n_fruitless >= _MOST_FRUITLESS_JOBS:
                    what = f"{self._n_fruitless} batch jobs in a row ended without a Dask worker"
                    workers.failure = ExecutionError(what, last_words(tls / f"{name}.log"))

    return ByWork
