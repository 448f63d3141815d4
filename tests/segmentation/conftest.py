"""The shipped ensemble, on one thread."""

import numpy as np
import pytest
import torch

from hpcstem.segmentation import Ensemble
from hpcstem.segmentation.ensemble import EnsembleCard, save_card, save_member
from hpcstem.segmentation.unet import UNet


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Sums in another order on more threads are other sums."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def ensemble(one_thread) -> Ensemble:
    return Ensemble.load("graphene-si")


@pytest.fixture
def small_folder(tmp_path):
    """An ensemble of two small networks that nobody trained, on disk."""
    card = EnsembleCard(
        classes=("background", "C", "Si"),
        filters=2,
        layers=(1, 1, 2, 1, 1, 1, 1),
        pixel_size_A=0.16,
        atom_radius_A=0.48,
        sigma_floor_A=0.05,
        sigma_scale=1.0,
        members=("member-00.safetensors", "member-01.safetensors"),
    )
    folder = tmp_path / "small"
    for seed, name in enumerate(card.members):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            save_member(folder / name, UNet(3, card.filters, card.layers).state_dict())
    save_card(folder, card)
    return folder


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(17))
