"""Where the processes of one group find each other: a small server, and what each process has to be told."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Literal

from hpcstem.errors import ExecutionError
from hpcstem.execution.torch_group import RANK, SIZE, STORE_ADDRESS, STORE_PORT

GroupKind = Literal["horovod", "torch"]
Environments = list[dict[str, str]]


def installed_group() -> GroupKind:
    """Horovod where it is installed, for nobody builds it by accident; else torch.distributed."""
    return "torch" if importlib.util.find_spec("horovod") is None else "horovod"


def local_ranks(hosts: Sequence[str]) -> list[int]:
    """Number of each rank among those on its host.

    Examples
    --------
    >>> local_ranks(["a", "a", "b"])
    [0, 1, 0]
    """
    return [list(hosts[:rank]).count(host) for rank, host in enumerate(hosts)]


def rendezvous(kind: GroupKind, hosts: Sequence[str], address: str) -> AbstractContextManager[Environments]:
    """Serve one group until it is formed and done.

    Parameters
    ----------
    kind
        Which implementation the group has.
    hosts
        Host of each rank; ranks of one host are neighbours.
    address
        Of this process, as the ranks reach it.

    Returns
    -------
    context manager
        Yields the environment variables of each rank.

    Raises
    ------
    ExecutionError
        Horovod is asked for and not installed.
    """
    return _horovod_rendezvous(hosts, address) if kind == "horovod" else _torch_rendezvous(hosts, address)


@contextmanager
def _torch_rendezvous(hosts: Sequence[str], address: str) -> Iterator[Environments]:
    import torch.distributed as dist

    # The store takes a free port itself, so that no other program can take it in between.
    store = dist.TCPStore(address, 0, is_master=True, wait_for_workers=False)
    shared = {STORE_ADDRESS: address, STORE_PORT: str(store.port), SIZE: str(len(hosts))}
    try:
        yield [{**shared, RANK: str(rank)} for rank in range(len(hosts))]
    finally:
        del store


@contextmanager
def _horovod_rendezvous(hosts: Sequence[str], address: str) -> Iterator[Environments]:
    try:
        from horovod.runner.common.util.hosts import HostInfo, get_host_assignments
        from horovod.runner.http.http_server import RendezvousServer
    except ImportError as error:
        raise ExecutionError("Horovod is not installed here", error, "launchers/install-horovod") from error
    slots = get_host_assignments(
        [HostInfo(host, list(hosts).count(host)) for host in dict.fromkeys(hosts)], len(hosts), len(hosts)
    )
    server = RendezvousServer(verbose=0)
    port = server.start()
    server.init(slots)
    shared = {
        "GLOO_RENDEZVOUS_ADDR": address,
        "GLOO_RENDEZVOUS_PORT": str(port),
        "CONTROLLER": "gloo",
        "CPU_OPERATIONS": "gloo",
        "GLOO_TIMEOUT_SECONDS": "120",
    }
    environments = []
    for slot in slots:
        own = {
            "HOSTNAME": slot.hostname,
            "RANK": slot.rank,
            "SIZE": slot.size,
            "LOCAL_RANK": slot.local_rank,
            "LOCAL_SIZE": slot.local_size,
            "CROSS_RANK": slot.cross_rank,
            "CROSS_SIZE": slot.cross_size,
        }
        environments.append({f"HOROVOD_{key}": str(value) for key, value in {**shared, **own}.items()})
    try:
        yield environments
    finally:
        server.stop()
