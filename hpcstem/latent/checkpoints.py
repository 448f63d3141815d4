"""Where training stands, in one file: weights, moments of Adam, and the curve of the loss.

A file is a safetensors file whose metadata are JSON, so that weights and curve are always of the same epoch; nothing in
it is ever unpickled.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from hpcstem.errors import HpcstemError
from hpcstem.files import whole_file

_STATE = "hpcstem"


@dataclass
class LossCurve:
    """Loss of each epoch.

    Parameters
    ----------
    training
        Mean over the images that are learned from, while they were, with the divergence weighted as scheduled.
    held_out
        Mean over the others after the epoch, with the divergence in full.
    """

    training: list[float] = field(default_factory=list)
    held_out: list[float] = field(default_factory=list)

    @property
    def n_epochs(self) -> int:
        """Epochs so far."""
        return len(self.training)


def save_checkpoint(path: Path, tensors: Mapping[str, torch.Tensor], curve: LossCurve, fingerprint: str) -> None:
    """Write a checkpoint, whole or not at all.

    Parameters
    ----------
    path
        The file.
    tensors
        All numbers by name.
    curve
        Loss so far.
    fingerprint
        What was trained, on what and how; a checkpoint of another fingerprint is refused.
    """
    state = json.dumps(asdict(curve) | {"fingerprint": fingerprint}, sort_keys=True)
    with whole_file(path) as temporary:
        contiguous = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
        save_file(contiguous, temporary, metadata={_STATE: state})


def load_checkpoint(path: Path, fingerprint: str) -> tuple[dict[str, torch.Tensor], LossCurve]:
    """Read a checkpoint.

    Raises
    ------
    HpcstemError
        It cannot be read, or is of other data or settings.
    """
    tensors, state = _read(path)
    try:
        curve, other = LossCurve(state["training"], state["held_out"]), state["fingerprint"]
    except (KeyError, TypeError) as error:
        raise HpcstemError(f"cannot read {path}", repr(error), "a checkpoint of hpcstem") from error
    if other != fingerprint:
        raise HpcstemError(f"checkpoint {path}", "one of other images or settings", "a folder of its own")
    return tensors, curve


def best_weights(path: Path) -> dict[str, torch.Tensor]:
    """Weights of the epoch that was best on held-out images, by the names that the model gives them.

    Raises
    ------
    HpcstemError
        The file cannot be read.
    """
    tensors, _ = _read(path)
    return {name.removeprefix("best."): tensor for name, tensor in tensors.items() if name.startswith("best.")}


def _read(path: Path) -> tuple[dict[str, torch.Tensor], Any]:
    try:
        with safe_open(path, framework="pt") as file:
            state = json.loads((file.metadata() or {})[_STATE])
            return {name: file.get_tensor(name) for name in file.keys()}, state  # noqa: SIM118 - not a mapping
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise HpcstemError(f"cannot read {path}", error, "a checkpoint of hpcstem") from error
