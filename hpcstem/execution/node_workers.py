"""The Dask workers of one node: what a batch job runs there.

`python -m hpcstem.execution.node_workers SCHEDULER --tls-folder DIR --name NAME …` finds the node's interface and
becomes `dask worker`, with one process for each device.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
from collections.abc import Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any

from hpcstem.errors import HpcstemError
from hpcstem.execution.credentials import tls_options
from hpcstem.execution.interface import find_interface
from hpcstem.execution.local_cluster import WORKER_ENVIRONMENT
from hpcstem.execution.memory import KEEPING_MEMORY
from hpcstem.execution.site import Site

_DEVICES = "HPCSTEM_NODE_DEVICES"
"""Tells the worker processes VARIABLE=NUMBER of the node's devices; empty where each may use all."""

_SECONDS_TO_MEET_THE_SCHEDULER = 300


def node_worker_command(site: Site, scheduler: str, tls: Path, name: str | None, n_workers: int) -> list[str]:
    """Command line that starts the Dask workers of one node.

    Parameters
    ----------
    site
        The machine.
    scheduler
        Address of the Dask scheduler.
    tls
        Folder of the certificates.
    name
        Beginning of the names of the workers; the node's own name by default.
    n_workers
        Worker processes on the node.
    """
    memory_GB = site.memory_per_worker_GB
    if memory_GB is None and site.node.memory_GB is not None:
        memory_GB = site.node.memory_GB / n_workers
    command = [sys.executable, "-m", "hpcstem.execution.node_workers", scheduler, "--tls-folder", str(tls)]
    command += ["--workers", str(n_workers), "--threads", str(site.threads_per_worker)]
    if site.node.gpus and n_workers > 1:
        command += ["--devices", f"{site.node.device_variable}={site.node.gpus}"]
    command += ["--interfaces", ",".join(site.network.interfaces)]
    command += [] if name is None else ["--name", name]
    command += [] if memory_GB is None else ["--memory-GB", f"{memory_GB:g}"]
    command += [] if site.scratch is None else ["--scratch", str(site.scratch)]
    return command


def dask_setup(worker: Any) -> None:
    """Give a worker process a device of its own; Dask calls this in each, as it was asked to by `--preload`."""
    variable, _, n_devices = os.environ.get(_DEVICES, "").partition("=")
    if variable:
        take_device(int(worker.name.rpartition("-")[2]), variable, int(n_devices), os.environ)


def take_device(index: int, variable: str, n_devices: int, environment: MutableMapping[str, str]) -> None:
    """Leave one of a node's devices visible to this process.

    Parameters
    ----------
    index
        Number of the process on its node.
    variable
        Environment variable that lists the devices which a process may use.
    n_devices
        Devices of a node, where the variable is not set.
    environment
        Environment variables, before anything has looked for devices.
    """
    # What the batch system has given, or all of them.
    listed = environment.get(variable) or ",".join(map(str, range(n_devices)))
    devices = listed.split(",")
    environment[variable] = devices[index % len(devices)]


def _arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="hpcstem.execution.node_workers")
    parser.add_argument("scheduler")
    parser.add_argument("--tls-folder", type=Path, required=True)
    parser.add_argument("--interfaces", required=True)
    parser.add_argument("--workers", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--devices", default="")
    parser.add_argument("--name")
    parser.add_argument("--memory-GB", dest="memory_GB", type=float)
    parser.add_argument("--scratch")
    return parser.parse_args(words)


def _dask_command(given: argparse.Namespace, environment: Mapping[str, str]) -> list[str]:
    tls = tls_options(given.tls_folder)
    node = given.name or environment.get("SLURMD_NODENAME") or socket.gethostname().split(".")[0]
    command = [sys.executable, "-m", "distributed.cli.dask_worker", given.scheduler, "--name", node]
    command += ["--nworkers", str(given.workers), "--nthreads", str(given.threads), "--nanny", "--no-dashboard"]
    command += ["--memory-limit", "auto" if given.memory_GB is None else f"{given.memory_GB:g}GB"]
    command += ["--interface", find_interface(given.interfaces.split(",")), "--protocol", "tls"]
    command += ["--tls-ca-file", tls["tls_ca_file"], "--tls-cert", tls["tls_worker_cert"]]
    command += ["--tls-key", tls["tls_worker_key"], "--death-timeout", str(_SECONDS_TO_MEET_THE_SCHEDULER)]
    command += ["--preload", "hpcstem.execution.node_workers"]
    command += ["--local-directory", given.scratch] if given.scratch else []
    return command


def main(words: Sequence[str]) -> None:
    """Become `dask worker`."""
    given = _arguments(words)
    command = _dask_command(given, os.environ)
    environment = {**os.environ, **WORKER_ENVIRONMENT, **KEEPING_MEMORY, _DEVICES: given.devices}
    os.execve(command[0], command, environment)  # noqa: S606  no shell is wanted


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except HpcstemError as error:
        sys.exit(f"hpcstem: {error}")
