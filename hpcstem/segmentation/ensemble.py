"""An ensemble of networks on disk and in memory: safetensors for weights, JSON for the rest; nothing is unpickled."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from hpcstem.device import find_device
from hpcstem.errors import HpcstemError, ModelError
from hpcstem.files import inside, read_json, sha256, whole_file, write_json
from hpcstem.segmentation.architecture import Layers
from hpcstem.segmentation.confidence import Confidence

if TYPE_CHECKING:
    import torch

    from hpcstem.segmentation.unet import UNet

SHIPPED = Path(__file__).parent / "models"
"""Folder of the ensembles that come with the package."""
CARD_FORMAT: Literal[2] = 2
"""Of `ensemble.json`; format 1 did not say what chance a probability stands for."""


class EnsembleCard(BaseModel):
    """Content of `ensemble.json`.

    Attributes
    ----------
    pixel_size_A
        Pixel size at which the networks expect images [Å].
    atom_radius_A
        Radius of an atom's disc in the training masks [Å].
    sigma_floor_A, sigma_scale
        Position uncertainty = sqrt(sigma_floor_A² + (sigma_scale * spread of the members)²), fitted on held-out
        simulated frames [Å].
    confidence
        Makes the networks' probability the chance that an atom is there; None where that was not measured.
    members
        Names of the weight files.
    training
        Recipe, seeds, steps, versions.
    metrics
        Measured on held-out simulated frames.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1, 2] = CARD_FORMAT
    classes: tuple[str, ...]
    filters: int = Field(gt=0)
    layers: Layers
    pixel_size_A: float = Field(gt=0)
    atom_radius_A: float = Field(gt=0)
    sigma_floor_A: float = Field(ge=0)
    sigma_scale: float = Field(ge=0)
    confidence: Confidence | None = None
    members: tuple[str, ...] = Field(min_length=1)
    training: dict[str, Any] = Field(default_factory=dict)
    metrics: dict[str, Any] = Field(default_factory=dict)


@dataclass(frozen=True)
class Ensemble:
    """Networks that vote.

    Parameters
    ----------
    name
        Name of its folder.
    card
        What the networks are and were trained on.
    weights
        One state dictionary per member.
    digest
        SHA-256 over the card and all weight files.
    """

    name: str
    card: EnsembleCard
    weights: tuple[dict[str, torch.Tensor], ...]
    digest: str = ""
    _networks: list[UNet] = field(default_factory=list, repr=False, compare=False)

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Read an ensemble.

        Parameters
        ----------
        folder
            Path of an ensemble's folder, or the name of one that ships with the package, such as 'graphene-si'.

        Raises
        ------
        ModelError
            There is none, or a file of it is damaged.
        """
        path = find_ensemble(folder)
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            card = EnsembleCard.model_validate_json((path / "ensemble.json").read_text(encoding="utf-8"))
            weights = tuple(load_file(inside(path, name)) for name in card.members)
        except (OSError, ValueError, SafetensorError, HpcstemError) as error:
            raise ModelError(
                f"cannot read the ensemble in {path}", error, "files written by `hpcstem train`"
            ) from error
        return cls(path.name, card, weights, ensemble_digest(path, card))

    def networks(self) -> list[UNet]:
        """Members ready for inference on this process's device, in its type of numbers; built once.

        Batch normalisation is folded into the convolutions before they are rounded.

        Raises
        ------
        ModelError
            Weights do not fit the architecture on the card.
        """
        if not self._networks:
            import torch

            from hpcstem.segmentation.unet import UNet

            device, networks = find_device(), []
            layout = torch.channels_last if device.channels_last else torch.contiguous_format
            for name, weights in zip(self.card.members, self.weights, strict=True):
                network = UNet(len(self.card.classes), self.card.filters, self.card.layers)
                try:
                    network.load_state_dict({key: value.float() for key, value in weights.items()})
                except RuntimeError as error:
                    raise ModelError(
                        f"weights {name} of ensemble {self.name}", error, "the card's architecture"
                    ) from error
                numbers = getattr(torch, device.inference)
                networks.append(network.fuse().to(device.torch_name, numbers, memory_format=layout))  # type: ignore[call-overload]
            self._networks[:] = networks  # all at once: another thread must never see some of the members
        return self._networks

    def subset(self, members: Sequence[str]) -> Ensemble:
        """Return an ensemble of some of the members, named as on the card, in the order there.

        Raises
        ------
        ModelError
            A name is not on the card, or there is none.
        """
        unknown = sorted(set(members) - set(self.card.members))
        if unknown or not members:
            raise ModelError(
                f"members of ensemble {self.name}", ", ".join(unknown) or "none", ", ".join(self.card.members)
            )
        if len(set(members)) == len(self.card.members):
            return self
        kept = [i for i, name in enumerate(self.card.members) if name in members]
        names = tuple(self.card.members[i] for i in kept)
        card = self.card.model_copy(update={"members": names})
        digest = hashlib.sha256("\n".join([self.digest, *names]).encode()).hexdigest()
        return Ensemble(self.name, card, tuple(self.weights[i] for i in kept), digest)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_networks": []}


def find_ensemble(folder: str | Path) -> Path:
    """Folder of an ensemble given by path, or by name among those that ship with the package.

    Raises
    ------
    ModelError
        There is none.
    """
    paths = [Path(folder)]
    if paths[0].name == str(folder):  # a path that leads nowhere must not find a shipped ensemble of the same name
        paths.append(SHIPPED / folder)
    for path in paths:
        if (path / "ensemble.json").is_file():
            return path
    shipped = sorted(p.parent.name for p in SHIPPED.glob("*/ensemble.json"))
    raise ModelError(f"no ensemble in {folder}", wanted=f"a folder with ensemble.json, or one of: {', '.join(shipped)}")


def final_losses(folder: Path, card: EnsembleCard) -> list[float | None]:
    """Mean loss over the last tenth of each member's training; None where it was not kept."""
    losses: list[float | None] = []
    for name in card.members:
        path = inside(folder, name).with_suffix(".json")
        history = read_json(path).get("loss", []) if path.is_file() else []
        last = history[-max(len(history) // 10, 1) :]
        losses.append(sum(last) / len(last) if last else None)
    return losses


def ensemble_digest(folder: Path, card: EnsembleCard) -> str:
    """SHA-256 that names an ensemble's content, from the digests of its files."""
    parts = [sha256(inside(folder, name)) for name in ("ensemble.json", *card.members)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def save_member(path: Path, state: dict[str, torch.Tensor]) -> None:
    """Write one member's weights in half precision, whole or not at all."""
    import torch
    from safetensors.torch import save_file

    half = {key: value.half() if value.dtype == torch.float32 else value for key, value in state.items()}
    with whole_file(path) as temporary:
        save_file({key: value.contiguous() for key, value in half.items()}, temporary)


def save_card(folder: Path, card: EnsembleCard) -> None:
    """Write `ensemble.json`; the weight files that it names must be there already."""
    write_json(folder / "ensemble.json", json.loads(card.model_dump_json()))
