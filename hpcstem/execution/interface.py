"""The network interface of a machine, found among the names that a site gives."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from hpcstem.errors import ExecutionError


def find_interface(candidates: Sequence[str]) -> str:
    """Name of the first interface that this machine has, that is up and has an IPv4 address.

    Names of interfaces change with a machine's hardware and system, and differ between login and compute nodes; so
    they are looked for where they are used, not trusted.

    Parameters
    ----------
    candidates
        Names in order of preference, `*` for any ending.

    Raises
    ------
    ExecutionError
        There is none; those that there are are named.
    """
    import socket

    import psutil

    up = {name for name, state in psutil.net_if_stats().items() if state.isup}
    usable = sorted(
        name
        for name, addresses in psutil.net_if_addrs().items()
        if name in up and any(address.family == socket.AF_INET for address in addresses)
    )
    for pattern in candidates:
        for name in usable:
            if fnmatchcase(name, pattern):
                return name
    raise ExecutionError(
        "network interface",
        f"only {', '.join(usable) or 'those that are down'}",
        f"one of {', '.join(candidates)}: network.interfaces of the site",
    )
