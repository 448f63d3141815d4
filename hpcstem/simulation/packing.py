"""Several jobs side by side in one allocation: which cores and which GPU each of them gets."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace

from hpcstem.errors import SimulationError

GPU_VARIABLES = ("CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "ZE_AFFINITY_MASK")
"""What NVIDIA's, AMD's and Intel's libraries read."""

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Slot:
    """Place of one worker on a node.

    Parameters
    ----------
    number
        Counted from 0.
    cores
        Cores that it is kept on; none: wherever the system puts it.
    gpu
        Name of its GPU as the libraries read it; None: none of its own.
    """

    number: int
    cores: tuple[int, ...] = ()
    gpu: str | None = None

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables of its worker."""
        threads = dict.fromkeys(_THREAD_VARIABLES, str(max(len(self.cores), 1)))
        return threads | ({} if self.gpu is None else dict.fromkeys(GPU_VARIABLES, self.gpu))


def plain_slots(n_slots: int) -> list[Slot]:
    """Return slots of one thread each that are kept nowhere.

    Raises
    ------
    SimulationError
        None are asked for.
    """
    if n_slots < 1:
        raise SimulationError("workers", n_slots, "at least 1")
    return [Slot(number) for number in range(n_slots)]


def pinned_slots(n_slots: int, cores: list[int], gpus: list[str]) -> list[Slot]:
    """Share cores evenly, each to one slot alone, and give GPUs in turn.

    Parameters
    ----------
    n_slots
        Number of slots.
    cores
        Cores of this node that may be used; cores left over are not.
    gpus
        Names of its GPUs; with fewer than slots, slots share.

    Raises
    ------
    SimulationError
        There are fewer cores than slots.
    """
    share = len(cores) // max(n_slots, 1)
    if n_slots < 1 or share < 1:
        raise SimulationError("slots", n_slots, f"1 to {len(cores)}, the cores that this process may use")
    return [
        Slot(k, tuple(cores[k * share : (k + 1) * share]), gpus[k * len(gpus) // n_slots] if gpus else None)
        for k in range(n_slots)
    ]


def own_slots(n_slots: int | None, pinned: bool, n_gpus: int) -> list[Slot]:
    """Return slots for this node, as the environment and the system have it.

    Parameters
    ----------
    n_slots
        Number of slots; None for one per core.
    pinned
        Whether each is kept on cores of its own.
    n_gpus
        Number of GPUs of this node; 0 leaves the environment as it is.

    Raises
    ------
    SimulationError
        There are fewer cores than slots to be kept on them.
    """
    cores = own_cores()
    n_slots = n_slots or len(cores)
    gpus = own_gpus(n_gpus, os.environ) if n_gpus else []
    if pinned:
        return pinned_slots(n_slots, cores, gpus)
    return [replace(slot, cores=()) for slot in pinned_slots(n_slots, list(range(n_slots)), gpus)]


def own_cores() -> list[int]:
    """Return the cores that the scheduler has given to this process."""
    return sorted(os.sched_getaffinity(0))


def own_gpus(n_gpus: int, environment: Mapping[str, str]) -> list[str]:
    """Return the names of the GPUs of this node that may be used.

    Parameters
    ----------
    n_gpus
        Number of GPUs of a node, where the scheduler has not said which.
    environment
        Environment in which a scheduler may have named them.
    """
    for variable in GPU_VARIABLES:
        named = [name.strip() for name in environment.get(variable, "").split(",") if name.strip()]
        if named:
            return named
    return [str(number) for number in range(n_gpus)]
