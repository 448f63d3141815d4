"""Dask workers on all nodes of the batch job that this process runs in."""

from __future__ import annotations

import logging
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hpcstem.errors import ExecutionError
from hpcstem.execution.credentials import tls_folder
from hpcstem.execution.dask_scheduler import scheduler_configuration, scheduler_options, security, tell_dashboard
from hpcstem.execution.launcher import launch_words
from hpcstem.execution.node_workers import node_worker_command
from hpcstem.execution.site import Site
from hpcstem.execution.workers import Workers, last_words

_SECONDS_TO_START = 300.0
_SECONDS_TO_END = 30.0


@contextmanager
def allocation_cluster(site: Site, nodes: int, workers_per_node: int) -> Iterator[Workers]:
    """Start a Dask scheduler here and, by the site's launcher, workers on every node; end them.

    Parameters
    ----------
    site
        The machine.
    nodes
        Nodes of the job.
    workers_per_node
        Worker processes on each.

    Raises
    ------
    ExecutionError
        The launcher or the workers do not start; what it said is given.
    """
    import dask
    from distributed import Client, Scheduler, SpecCluster

    with tls_folder(site) as tls:
        with dask.config.set(scheduler_configuration()):
            cluster = SpecCluster(
                scheduler={"cls": Scheduler, "options": scheduler_options(site, tls)},
                workers={},
                security=security(tls),
                silence_logs=logging.CRITICAL,
            )
        with cluster, Client(cluster) as client:
            command = node_worker_command(site, cluster.scheduler_address, tls, None, workers_per_node)
            log, ending = tls / "workers.log", threading.Event()
            process = _started([*launch_words(site, nodes, 1), *command], log)
            try:
                _wait_for_workers(client, process, log)
                tell_dashboard(cluster.scheduler)
                workers = Workers(client, planned_threads=nodes * workers_per_node * site.threads_per_worker)
                threading.Thread(target=_watch, args=(process, workers, log, ending), daemon=True).start()
                yield workers
            finally:
                ending.set()
                _end(process)


def _started(command: list[str], log: Path) -> subprocess.Popen[str]:
    with open(log, "wb") as output:
        try:
            return subprocess.Popen(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, text=True)
        except OSError as error:
            raise ExecutionError(
                f"launcher {command[0]} of the site",
                error.strerror,
                "its module under environment.modules, or another launcher.kind",
            ) from error


def _wait_for_workers(client: Any, process: subprocess.Popen[str], log: Path) -> None:
    """Wait for the first worker; the others may join later."""
    end = time.monotonic() + _SECONDS_TO_START
    while not client.nthreads():
        if process.poll() is not None:
            raise _failure(process, log)
        if time.monotonic() > end:
            raise ExecutionError("Dask workers do not start", f"none in {_SECONDS_TO_START:g} s; {last_words(log)}")
        time.sleep(0.2)


def _watch(process: subprocess.Popen[str], workers: Workers, log: Path, ending: threading.Event) -> None:
    process.wait()
    if not ending.is_set():
        workers.failure = _failure(process, log)


def _failure(process: subprocess.Popen[str], log: Path) -> ExecutionError:
    return ExecutionError(
        "Dask workers have ended", f"exit status {process.returncode} of {process.args!r}; {last_words(log)}"
    )


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(_SECONDS_TO_END)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
