"""A process group over Horovod.

Every tensor has a name, for Horovod matches tensors of different processes by it. Horovod sends no bfloat16; nothing
here asks for it, as gradients are float32 in mixed precision too.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from hpcstem.device import Device
from hpcstem.errors import ExecutionError
from hpcstem.execution.flat_buckets import in_buckets

if TYPE_CHECKING:
    import torch


class HorovodGroup:
    """Processes that Horovod's environment variables bring together; one group per process.

    Parameters
    ----------
    device
        Whose tensors are sent.

    Raises
    ------
    ExecutionError
        Horovod is not installed or does not load.
    """

    def __init__(self, device: Device) -> None:
        try:
            import horovod.torch as hvd
        except (ImportError, OSError) as error:
            raise ExecutionError("Horovod cannot be loaded", error, "launchers/install-horovod") from error
        if device.kind == "cuda":
            import torch

            torch.cuda.set_device(device.index)
        hvd.init()
        self._hvd = hvd
        self.rank, self.size = hvd.rank(), hvd.size()

    def broadcast(self, tensors: Iterable[torch.Tensor]) -> None:
        """See `ProcessGroup.broadcast`."""
        in_buckets(tensors, lambda flat, name: self._hvd.broadcast_(flat, root_rank=0, name=f"broadcast.{name}"))

    def average(self, tensors: Iterable[torch.Tensor]) -> None:
        """See `ProcessGroup.average`."""

        def mean(flat: torch.Tensor, name: str) -> None:
            self._hvd.allreduce_(flat, name=f"average.{name}", op=self._hvd.Sum)
            flat /= self.size

        in_buckets(tensors, mean)

    def barrier(self) -> None:
        """See `ProcessGroup.barrier`."""
        self._hvd.barrier()

    def close(self) -> None:
        """See `ProcessGroup.close`."""
        self._hvd.shutdown()
