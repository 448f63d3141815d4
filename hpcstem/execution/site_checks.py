"""What of a site works here: the lines of `hpcstem doctor --site` that are about the site."""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from hpcstem.checks import Check, Status
from hpcstem.errors import HpcstemError
from hpcstem.execution.batch import batch_system
from hpcstem.execution.checks import probe, writes
from hpcstem.execution.interface import find_interface
from hpcstem.execution.launcher import launch_words
from hpcstem.execution.site import Site, require_submittable
from hpcstem.execution.site_sections import expanded

_TIMEOUT_S = 60.0
_RANKS_PER_NODE = 2


def site_checks(site: Site, name_or_path: str | Path) -> list[Check]:
    """Try what the site says, none for longer than a minute; some of it can only be tried within a batch job.

    Parameters
    ----------
    site
        The machine.
    name_or_path
        What it was loaded by, for the messages.
    """
    has_jobs = site.scheduler.kind != "none"
    nodes = batch_system(site).allocation_nodes(os.environ) if has_jobs else None
    return [
        *_jobs(site, name_or_path),
        _tried("interface", lambda: find_interface(site.network.interfaces), "network: {interfaces: […]}"),
        *_environment(site),
        *_launcher(site, nodes),
        *_devices(site, nodes),
        *_paths(site, nodes),
        *_engines(site),
    ]


def _tried(name: str, trial: Callable[[], str], fix: str) -> Check:
    try:
        return Check(name, Status.OK, trial())
    except HpcstemError as error:
        return Check(name, Status.BROKEN, " ".join(str(error).split()), fix)


def _jobs(site: Site, name_or_path: str | Path) -> Iterator[Check]:
    """Whether jobs can be submitted, and the batch system answers."""
    if site.scheduler.kind == "none":
        yield Check("batch system", Status.ABSENT, "this site has none")
        return
    system = batch_system(site)

    def submittable() -> str:
        require_submittable(site, name_or_path)
        scheduler = site.scheduler
        parts = {"account": scheduler.account, "queue": scheduler.queue, "qos": scheduler.qos}
        return ", ".join(f"{key} {value}" for key, value in parts.items() if value) or "the defaults of the cluster"

    yield _tried("submission", submittable, "the lines that this says, in a site file of your own")
    yield _tried(
        "batch system", lambda: f"answers: {len(system.live())} of your jobs wait or run", "a machine that reaches it"
    )


def _environment(site: Site) -> Iterator[Check]:
    """Modules and set-up, in a shell of its own, as in a batch script."""
    facts = site.environment
    lines = [f"module load {shlex.quote(module)}" for module in facts.modules]
    lines += [shlex.join(line.split(" ")) for line in facts.setup]
    if not lines:
        return
    command = ["bash", "-l", "-c", "\n".join(["set -e", *lines])]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        yield Check("environment", Status.BROKEN, f"not ready in {_TIMEOUT_S:g} s", "environment: {modules, setup}")
        return
    if done.returncode == 0:
        yield Check("environment", Status.OK, "; ".join(lines))
        return
    said = " ".join(done.stderr.split()[-30:]) or f"exit status {done.returncode}"
    yield Check("environment", Status.BROKEN, said, "environment: {modules, setup}")


def _launcher(site: Site, nodes: int | None) -> Iterator[Check]:
    """Whether the launcher starts ranks that see each other; processes that do not are alone, each as rank 0 of 1."""
    kind = site.launcher.kind
    if kind == "none":
        return
    if shutil.which(kind) is None:
        yield Check("launcher", Status.BROKEN, f"no {kind} on PATH", "launcher: {kind: …}, or load its module")
        return
    if nodes is None:
        yield Check("launcher", Status.ABSENT, f"{kind} is here; ranks can be tried within a batch job only")
        return
    expected = nodes * _RANKS_PER_NODE
    works, detail = probe("mpi", launch_words(site, nodes, _RANKS_PER_NODE), _TIMEOUT_S)
    if works and f": {expected} ranks talk" in detail:
        yield Check("launcher", Status.OK, f"{kind}: {detail}")
        return
    wanted = f"{expected} ranks that see each other" if works else detail
    fix = 'launcher: {arguments: ["--mpi=pmi2"]}, or an mpi4py that is built with the site\'s MPI'
    yield Check("launcher", Status.BROKEN, f"{kind} does not give {wanted}" if works else f"{kind}: {detail}", fix)


def _devices(site: Site, nodes: int | None) -> Iterator[Check]:
    if site.node.gpus == 0:
        return
    if nodes is None:
        yield Check("devices", Status.ABSENT, f"{site.node.gpus} per node, to be seen within a batch job only")
        return
    works, detail = probe("gpu")
    n_found = len(detail.split(", ")) if works and detail else 0
    if n_found == site.node.gpus:
        yield Check("devices", Status.OK, detail)
        return
    fix = "the torch build of this site, its modules, or node: {gpus: …}"
    found = f"torch sees {n_found} of {site.node.gpus}" if works else detail
    yield Check("devices", Status.BROKEN, found, fix)


def _paths(site: Site, nodes: int | None) -> Iterator[Check]:
    paths = site.paths
    if paths.scratch is not None:
        purge = f"; files are removed there after {paths.purge_days} days" if paths.purge_days else ""
        fix = "paths: {scratch: …}, a folder of yours that all nodes see"
        try:
            yield writes("shared scratch", expanded(paths.scratch), fix, purge)
        except HpcstemError as error:
            yield Check("shared scratch", Status.BROKEN, str(error), fix)
    if paths.proxy is not None:
        address = urlsplit(paths.proxy)
        try:
            socket.create_connection((address.hostname, address.port or 80), timeout=5).close()
            yield Check("proxy", Status.OK, paths.proxy)
        except OSError as error:
            # Login nodes need none, and may not reach it.
            status = Status.ABSENT if nodes is None else Status.BROKEN
            yield Check("proxy", status, f"{paths.proxy}: {error.strerror or error}", "paths: {proxy: …}")


def _engines(site: Site) -> Iterator[Check]:
    folders = {"POTCAR library": site.engines.potcar_library, "Slater–Koster set": site.engines.slater_koster}
    for name, place in folders.items():
        if place is not None:
            yield _tried(name, lambda place=place: _readable(place), "engines: {…} of the site")  # type: ignore[misc]


def _readable(place: str) -> str:
    folder = expanded(place)
    if not (folder.is_dir() and os.access(folder, os.R_OK | os.X_OK)):
        raise HpcstemError(f"{folder} is no folder that can be read")
    return str(folder)
