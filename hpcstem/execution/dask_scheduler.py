"""The Dask scheduler for workers on other nodes: with TLS, on the interface of the machine, its pages on loopback."""

from __future__ import annotations

import getpass
import importlib.util
import socket
import sys
from pathlib import Path
from typing import Any

from hpcstem.execution.credentials import tls_options
from hpcstem.execution.interface import find_interface
from hpcstem.execution.site import Site

# Pages to look at. Those through which anybody on this machine could end workers are left out.
_PAGES = ["distributed.http.scheduler.info", "distributed.http.health", "distributed.http.statics"]


def security(tls: Path) -> Any:
    """`distributed.Security` that lets in only who has the certificates of the folder."""
    from distributed import Security

    return Security(require_encryption=True, **tls_options(tls))


def scheduler_options(site: Site, tls: Path) -> dict[str, Any]:
    """Arguments of `distributed.Scheduler`."""
    return {
        "interface": find_interface(site.network.interfaces),
        "protocol": "tls",
        "security": security(tls),
        "allowed_failures": site.retries,
        "dashboard_address": "127.0.0.1:0",
        "dashboard": _has_dashboard(),
    }


def scheduler_configuration() -> dict[str, Any]:
    """Dask configuration under which the scheduler has to be started."""
    return {"distributed.scheduler.http.routes": _PAGES if _has_dashboard() else []}


def tell_dashboard(scheduler: Any) -> None:
    """Say on standard error how to look at the dashboard from another machine, where bokeh is installed."""
    if not _has_dashboard():
        return
    port = scheduler.http_server.port
    host = socket.getfqdn()
    print(
        f"Dask dashboard: ssh -L {port}:127.0.0.1:{port} {getpass.getuser()}@{host}, then http://127.0.0.1:{port}/status",
        file=sys.stderr,
    )


def _has_dashboard() -> bool:
    return importlib.util.find_spec("bokeh") is not None
