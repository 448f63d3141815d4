"""Models made, trained and read by name: one checkpoint file each, with a JSON file that says what it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel

from hpcstem.config import checked
from hpcstem.errors import HpcstemError
from hpcstem.files import read_json, write_json
from hpcstem.latent.autoencoder import ConvolutionalAutoencoder
from hpcstem.latent.checkpoints import LossCurve, best_weights
from hpcstem.latent.rotational import Posterior, RotationalVAE
from hpcstem.latent.settings import AutoencoderConfig, RotationalConfig, TrainingConfig
from hpcstem.latent.sub_images import SubImages, batches
from hpcstem.latent.training import OnEpoch, train

_KINDS: dict[str, tuple[type[BaseModel], Any]] = {
    "autoencoder": (AutoencoderConfig, ConvolutionalAutoencoder),
    "rotational": (RotationalConfig, RotationalVAE),
}
_ENCODED_AT_ONCE = 500

Model = ConvolutionalAutoencoder | RotationalVAE


def trained_model(
    folder: Path,
    settings: AutoencoderConfig | RotationalConfig,
    images: SubImages,
    training: TrainingConfig,
    seed: int,
    on_epoch: OnEpoch = lambda epoch, training, held_out: None,
) -> tuple[Any, LossCurve]:
    """Train a model in a folder, from where it was left; one that is finished is only read.

    Parameters
    ----------
    folder
        Folder of `KIND.safetensors` and `KIND.json`, where KIND is `autoencoder` or `rotational`.
    settings
        Of the model; they decide its kind.
    images
        What it learns from.
    training, seed, on_epoch
        As of `hpcstem.latent.training.train`; the seed also makes the first weights.
    """
    kind = next(name for name, (config, _) in _KINDS.items() if isinstance(settings, config))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = _KINDS[kind][1](images.n_pixels, settings)
    write_json(
        folder / f"{kind}.json",
        {"kind": kind, "n_pixels": images.n_pixels, "settings": settings.model_dump(mode="json")},
    )
    curve = train(model, images, training, seed, folder / f"{kind}.safetensors", on_epoch=on_epoch)
    return model, curve


def load_model(folder: Path, kind: str) -> Model:
    """Read a trained model, with the weights that were best on held-out images.

    Raises
    ------
    HpcstemError
        There is none, or its files do not fit each other.
    """
    path = Path(folder) / f"{kind}.json"
    card = read_json(path)
    try:
        config, network = _KINDS[card["kind"]]
        model: Model = network(int(card["n_pixels"]), checked(config, card["settings"], str(path)))
        model.load_state_dict(best_weights(Path(folder) / f"{kind}.safetensors"))
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise HpcstemError(
            f"model in {folder}", error, f"{kind}.json and {kind}.safetensors of one training"
        ) from error
    return model


def encode_all(model: RotationalVAE, images: SubImages) -> Posterior:
    """Latents of all images, a batch at a time."""
    parts = [model.encode(torch.from_numpy(batch)) for batch in batches(images, _ENCODED_AT_ONCE)]
    names = Posterior.__dataclass_fields__
    return Posterior(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})
