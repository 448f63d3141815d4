"""One rank of a process group: `python group_ranks.py KIND FILE`, with the variables of a rendezvous.

Writes what the group did to tensors, and the weights and losses of short trainings, to FILE.RANK.
"""

import os
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from hpcstem.device import CPU
from hpcstem.execution.horovod_group import HorovodGroup
from hpcstem.execution.torch_group import TorchGroup
from hpcstem.process_group import SingleProcess
from hpcstem.segmentation import TrainingConfig
from hpcstem.segmentation.training import Conduct, train_member

STEPS = 12


def config(precision):
    return TrainingConfig(filters=4, layers=(1,) * 7, steps=STEPS, batch_size=4, precision=precision)


def trained(group, precision):
    """Weights and the loss of each step of a short training on images of discs."""
    rng = np.random.default_rng(7)
    masks = rng.integers(0, 3, (12, 4, 4)).repeat(8, axis=1).repeat(8, axis=2).astype(np.uint8)
    images = (masks + rng.normal(0, 0.5, masks.shape)).astype(np.float32)
    losses = []
    weights, _ = train_member(
        images,
        masks,
        config(precision),
        np.random.SeedSequence(8),
        lambda step, loss: losses.append(loss),
        Conduct(group),
    )
    return {
        **{f"{precision}.{name}": value.contiguous() for name, value in weights.items()},
        f"{precision}.losses": torch.tensor(losses, dtype=torch.float64),
    }


def operations(group):
    """What average and broadcast make of tensors of two types and odd shapes, given in two layouts."""
    one = torch.full((2, 3, 5, 7), float(group.rank)).to(memory_format=torch.channels_last)
    one += torch.arange(210.0).view(2, 3, 5, 7)
    two = torch.tensor(float(group.rank) ** 2, dtype=torch.float64)
    group.average([one, two])
    sent = [torch.tensor([group.rank + 5]), torch.full((3, 2), group.rank + 0.5)]
    group.broadcast(sent)
    group.barrier()
    return {"one": one.contiguous(), "two": two, "sent.0": sent[0], "sent.1": sent[1]}


def main(kind, file):
    group = HorovodGroup(CPU) if kind == "horovod" else TorchGroup(CPU, os.environ)
    found = {**operations(group), **trained(group, "float64"), **trained(group, "float32")}
    found["place"] = torch.tensor([group.rank, group.size])
    save_file(found, f"{file}.{group.rank}")
    group.barrier()
    group.close()


def alone(path: Path):
    """The same trainings in one process."""
    found = {**trained(SingleProcess(), "float64"), **trained(SingleProcess(), "float32")}
    save_file(found, path)


if __name__ == "__main__":
    main(*sys.argv[1:])
