"""Batch normalisation over the images of all processes of a group, as if one process had them all.

Without it each process would normalise by the mean and variance of its own share, and the answer would depend on how
many processes there are. Horovod's own version needs a GPU, torch's the processes of torch.distributed.

References
----------
.. [1] T. F. Chan, G. H. Golub and R. J. LeVeque, Algorithms for computing the sample variance, The American
   Statistician 37 (1983) 242. doi:10.1080/00031305.1983.10483115
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from hpcstem.process_group import ProcessGroup


class SynchronisedBatchNorm2d(nn.BatchNorm2d):
    """`BatchNorm2d` in training, with the statistics of the whole batch; every process calls it in the same order."""

    group: ProcessGroup

    @classmethod
    def like(cls, norm: nn.BatchNorm2d, group: ProcessGroup) -> SynchronisedBatchNorm2d:
        """Return a layer that shares the weights of another."""
        layer = cls(norm.num_features, norm.eps, norm.momentum)
        layer.weight, layer.bias = norm.weight, norm.bias
        layer._buffers = norm._buffers
        layer.group = group
        return layer

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Normalise this process's images, with shape (n, channels, rows, columns)."""
        output, mean, variance, count = _Normalise.apply(input, self.weight, self.bias, self.group, self.eps)
        assert self.momentum is not None  # noqa: S101 - for mypy: torch allows None, this network does not
        assert self.running_mean is not None  # noqa: S101
        assert self.running_var is not None  # noqa: S101
        with torch.no_grad():
            self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
            unbiased = variance * (count / (count - 1))
            self.running_var.lerp_(unbiased.to(self.running_var.dtype), self.momentum)
            if self.num_batches_tracked is not None:
                self.num_batches_tracked.add_(1)
        return output


def synchronise(network: nn.Module, group: ProcessGroup) -> None:
    """Replace each batch normalisation of a network, in place; names and weights stay."""
    for name, child in network.named_children():
        if isinstance(child, nn.BatchNorm2d):
            setattr(network, name, SynchronisedBatchNorm2d.like(child, group))
        else:
            synchronise(child, group)


class _Normalise(torch.autograd.Function):
    """y = (x - mean) / √(variance + ε) · weight + bias over the group, and its derivative."""

    @staticmethod
    def forward(
        ctx: Any, images: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, group: ProcessGroup, eps: float
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        x = images.to(weight.dtype)
        mean, variance, count = _statistics(x, group)
        inverse = torch.rsqrt(variance + eps)
        normal = (x - _column(mean)) * _column(inverse)
        ctx.save_for_backward(normal, weight, inverse, count)
        ctx.group, ctx.dtype = group, images.dtype
        ctx.mark_non_differentiable(mean, variance, count)
        return (normal * _column(weight) + _column(bias)).to(images.dtype), mean, variance, count

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        normal, weight, inverse, count = ctx.saved_tensors
        upstream = gradients[0].to(weight.dtype)
        to_bias, to_weight = upstream.sum((0, 2, 3)), (upstream * normal).sum((0, 2, 3))
        # The statistics depend on the images of all processes, so their derivatives are sums over all of them.
        sums = torch.stack([to_bias, to_weight])
        ctx.group.average([sums])
        means = sums * (ctx.group.size / count)
        to_images = _column(weight * inverse) * (upstream - _column(means[0]) - normal * _column(means[1]))
        return to_images.to(ctx.dtype), to_weight, to_bias, None, None


def _statistics(x: torch.Tensor, group: ProcessGroup) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Mean and variance per channel over all processes, and the number of pixels, merged pairwise stably [1]_."""
    mean = x.mean((0, 2, 3))
    squares = ((x - _column(mean)) ** 2).sum((0, 2, 3))
    count = torch.full_like(mean, x.numel() / x.shape[1])
    table = x.new_zeros(group.size, 3, x.shape[1])
    table[group.rank] = torch.stack([mean, squares, count])
    group.average([table])
    means, squares_of, counts = (table * group.size).unbind(1)
    total = counts.sum(0)
    mean = (counts * means).sum(0) / total
    return mean, (squares_of + counts * (means - mean) ** 2).sum(0) / total, total


def _column(values: torch.Tensor) -> torch.Tensor:
    return values[None, :, None, None]
