"""The contract of data-parallel training: what a training step asks of the processes that share it.

A training step is written once, for a group. With one process the group does nothing; `hpcstem.execution` has groups
over Horovod and torch.distributed. All processes of a group call the same methods in the same order, with tensors of
the same shapes and types; all tensors of one call travel together.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import torch


class ProcessGroup(Protocol):
    """Processes that train one network together, each on its share of every batch."""

    @property
    def rank(self) -> int:
        """Number of this process, from 0."""
        ...

    @property
    def size(self) -> int:
        """Number of processes."""
        ...

    def broadcast(self, tensors: Iterable[torch.Tensor]) -> None:
        """Overwrite the tensors of every process, in place, with those of rank 0."""
        ...

    def average(self, tensors: Iterable[torch.Tensor]) -> None:
        """Replace each tensor, in place, by its mean over the processes."""
        ...

    def barrier(self) -> None:
        """Wait until every process is here."""
        ...

    def close(self) -> None:
        """Leave the group."""
        ...


class SingleProcess:
    """A group of one."""

    rank = 0
    size = 1

    def broadcast(self, tensors: Iterable[torch.Tensor]) -> None:
        """Do nothing."""

    def average(self, tensors: Iterable[torch.Tensor]) -> None:
        """Do nothing."""

    def barrier(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""
