"""All that training needs to go on: one safetensors file, whole or not at all, nothing pickled.

Numbers that are not tensors (step, losses, the state of the random stream) are JSON in a tensor of bytes, so that
weights and they can never be of different steps.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpcstem.errors import ModelError
from hpcstem.files import whole_file
from hpcstem.process_group import ProcessGroup

if TYPE_CHECKING:
    import torch

_VALUES = "values.json"


def save_checkpoint(path: Path, tensors: dict[str, torch.Tensor], values: dict[str, Any]) -> None:
    """Write tensors and JSON values, replacing what was there."""
    import torch
    from safetensors.torch import save_file

    encoded = torch.frombuffer(bytearray(json.dumps(values, allow_nan=False).encode()), dtype=torch.uint8)
    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with whole_file(path) as temporary:
        save_file({**whole, _VALUES: encoded}, temporary)


def load_checkpoint(
    path: Path, group: ProcessGroup, device: str = "cpu"
) -> tuple[dict[str, torch.Tensor], dict[str, Any]] | None:
    """Read what `save_checkpoint` wrote; every process gets what rank 0 finds, or None where it finds nothing.

    Parameters
    ----------
    path
        The file, which rank 0 reads: a shared file system may show others an older one.
    group
        Who goes on together.
    device
        Where the group sends tensors.

    Raises
    ------
    ModelError
        The file is damaged.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load

    data = path.read_bytes() if group.rank == 0 and path.is_file() else b""
    length = torch.tensor([len(data)], dtype=torch.int64, device=device)
    group.broadcast([length])
    if not int(length):
        return None
    sent = torch.zeros(int(length), dtype=torch.uint8, device=device)
    if group.rank == 0:
        sent.copy_(torch.frombuffer(bytearray(data), dtype=torch.uint8))
    group.broadcast([sent])
    try:
        tensors = load(sent.cpu().numpy().tobytes())
        return tensors, json.loads(tensors.pop(_VALUES).numpy().tobytes())
    except (SafetensorError, KeyError, ValueError) as error:
        raise ModelError(f"cannot read the checkpoint {path}", error, "the file deleted, to begin anew") from error
