"""A process group over torch.distributed: NCCL, RCCL, xccl or gloo, as the device has it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING

from hpcstem.device import Device
from hpcstem.execution.flat_buckets import in_buckets

if TYPE_CHECKING:
    import torch

STORE_ADDRESS, STORE_PORT = "HPCSTEM_STORE_ADDRESS", "HPCSTEM_STORE_PORT"
RANK, SIZE = "HPCSTEM_RANK", "HPCSTEM_RANKS"

_TIMEOUT = timedelta(minutes=10)


class TorchGroup:
    """Processes that found each other through a store; one group per process.

    Parameters
    ----------
    device
        Whose tensors are sent.
    environment
        Holds `HPCSTEM_STORE_ADDRESS`, `HPCSTEM_STORE_PORT`, `HPCSTEM_RANK` and `HPCSTEM_RANKS`.
    """

    def __init__(self, device: Device, environment: Mapping[str, str]) -> None:
        import torch
        import torch.distributed as dist

        self.rank, self.size = int(environment[RANK]), int(environment[SIZE])
        if device.kind != "cpu":
            # NCCL sends from the current device.
            getattr(torch, device.kind).set_device(device.index)
        store = dist.TCPStore(
            environment[STORE_ADDRESS], int(environment[STORE_PORT]), is_master=False, timeout=_TIMEOUT
        )
        dist.init_process_group(device.backend, store=store, rank=self.rank, world_size=self.size, timeout=_TIMEOUT)

    def broadcast(self, tensors: Iterable[torch.Tensor]) -> None:
        """See `ProcessGroup.broadcast`."""
        import torch.distributed as dist

        in_buckets(tensors, lambda flat, name: dist.broadcast(flat, src=0))

    def average(self, tensors: Iterable[torch.Tensor]) -> None:
        """See `ProcessGroup.average`."""
        import torch.distributed as dist

        def mean(flat: torch.Tensor, name: str) -> None:
            dist.all_reduce(flat)
            flat /= self.size

        in_buckets(tensors, mean)

    def barrier(self) -> None:
        """See `ProcessGroup.barrier`."""
        import torch.distributed as dist

        dist.barrier()

    def close(self) -> None:
        """See `ProcessGroup.close`."""
        import torch.distributed as dist

        dist.destroy_process_group()
