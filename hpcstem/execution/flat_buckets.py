"""Many small tensors sent as few large ones: one flat bucket per number type."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def in_buckets(tensors: Iterable[torch.Tensor], operation: Callable[[torch.Tensor, str], None]) -> None:
    """Apply a collective operation to tensors, in place, one bucket after another in an order common to all processes.

    Parameters
    ----------
    tensors
        Of any shapes and types, the same in every process.
    operation
        Changes a flat bucket in place. Takes it and a name, the same in every process, by which Horovod tells that
        all of them mean the same tensor.
    """
    import torch

    by_type: dict[torch.dtype, list[torch.Tensor]] = {}
    for tensor in tensors:
        by_type.setdefault(tensor.dtype, []).append(tensor.detach())
    for dtype, members in by_type.items():
        flat = torch.cat([member.reshape(-1) for member in members])
        operation(flat, f"{str(dtype).removeprefix('torch.')}.{flat.numel()}")
        for member, part in zip(members, flat.split([member.numel() for member in members]), strict=True):
            member.copy_(part.view(member.shape))
