"""Small trials of one part of the machine each, for a process of their own that may hang or crash.

`python -m hpcstem.execution.probe NAME` prints one line of detail and ends with 0, or fails.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Squares:
    """Smallest analysis: sum of squares."""

    def process(self, batch: int) -> int:
        """Square one number."""
        return batch * batch

    def merge(self, left: int, right: int) -> int:
        """Add."""
        return left + right

    def finish(self, partial: int) -> int:
        """Return the sum."""
        return partial


def torch_probe() -> str:
    """Version of torch and the device that it computes on, after a computation there."""
    import torch

    from hpcstem.device import find_device

    device = find_device()
    ones = torch.ones(64, 64, device=device.torch_name)
    if float((ones @ ones).sum()) != 64**3:
        raise ArithmeticError(f"torch on {device} multiplies matrices wrongly")
    return f"torch {torch.__version__} on {device}"


def gpu_probe() -> str:
    """Names of the GPUs that torch sees; empty without one."""
    import torch

    kind = torch.xpu if torch.xpu.is_available() else torch.cuda
    return ", ".join(kind.get_device_name(index) for index in range(kind.device_count()))


def numba_probe() -> str:
    """Version of numba, after compiling a function."""
    import numba

    if numba.njit(lambda x: x + 1)(1) != 2:
        raise ArithmeticError("numba compiles wrongly")
    return f"numba {numba.__version__}"


def dask_probe() -> str:
    """Versions of dask and distributed, after one task on one local worker."""
    import dask
    import distributed

    from hpcstem.execution.dask_executor import DaskExecutor

    with DaskExecutor(1) as executor:
        if executor.run(Squares(), [3]) != 9:
            raise ArithmeticError("a Dask worker computes wrongly")
    return f"dask {dask.__version__}, distributed {distributed.__version__}: one task on one local worker"


def mpi_probe() -> str:
    """Library of MPI, after all ranks have computed together; empty on ranks other than the root."""
    from mpi4py import MPI

    from hpcstem.execution.mpi_executor import MPIExecutor

    with MPIExecutor() as executor:
        n_ranks = executor.workers
        if executor.run(Squares(), range(5)) != 30:
            raise ArithmeticError("MPI ranks compute wrongly")
        library = " ".join(MPI.Get_library_version().splitlines()[0].split())
        return f"{library}: {n_ranks} ranks talk" if executor.is_root else ""


def horovod_probe() -> str:
    """Version of Horovod, after a group of one has averaged a tensor."""
    import horovod
    import torch

    from hpcstem.device import CPU
    from hpcstem.execution.horovod_group import HorovodGroup

    group, ones = HorovodGroup(CPU), torch.ones(3)
    group.average([ones])
    if float(ones.sum()) != 3:
        raise ArithmeticError("Horovod averages wrongly")
    group.close()
    return f"horovod {horovod.__version__}: processes that train together use it"


PROBES: dict[str, Callable[[], str]] = {
    "torch": torch_probe,
    "gpu": gpu_probe,
    "numba": numba_probe,
    "dask": dask_probe,
    "mpi": mpi_probe,
    "horovod": horovod_probe,
}

if __name__ == "__main__":
    print(PROBES[sys.argv[1]](), end="")
