"""Training: the same answer after a kill and for any number of processes, early stopping, and what it refuses."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from three_fold_sites import sites

from hpcstem.errors import HpcstemError
from hpcstem.execution.torch_group import RANK, SIZE, STORE_ADDRESS, STORE_PORT
from hpcstem.latent.autoencoder import ConvolutionalAutoencoder
from hpcstem.latent.checkpoints import LossCurve
from hpcstem.latent.rotational import RotationalVAE
from hpcstem.latent.settings import AutoencoderConfig, RotationalConfig, TrainingConfig
from hpcstem.latent.sub_images import ImagesInMemory
from hpcstem.latent.training import split, train
from hpcstem.process_group import SingleProcess

IMAGES = ImagesInMemory(sites(130, np.random.default_rng(0), n_pixels=16)[0])
CONFIG = TrainingConfig(epochs=4, batch_size=30, learning_rate=1e-3)


def model(seed: int = 0) -> RotationalVAE:
    torch.manual_seed(seed)
    return RotationalVAE(16, RotationalConfig(n_turns=6, n_hidden=16))


def weights(network: torch.nn.Module) -> np.ndarray:
    return torch.cat([tensor.flatten() for tensor in network.state_dict().values()]).numpy()


@pytest.fixture(scope="module")
def whole() -> tuple[np.ndarray, LossCurve]:
    network = model()
    curve = train(network, IMAGES, CONFIG, seed=3)
    return weights(network), curve


KILLED_SCRIPT = """
import sys
from pathlib import Path
import test_latent_training as t
from hpcstem.latent.training import train
config = t.CONFIG.model_copy(update={"epochs": 100000})
train(t.model(), t.IMAGES, config, seed=3, checkpoint=Path(sys.argv[1]) / "checkpoint.safetensors")
"""
RANK_SCRIPT = """
import os, sys
import numpy as np
import test_latent_training as t
from hpcstem.device import CPU
from hpcstem.execution.torch_group import TorchGroup
from hpcstem.latent.training import train
group = TorchGroup(CPU, os.environ)
# Weights of the others are not those of rank 0 at first.
network = t.model(seed=group.rank)
curve = train(network, t.IMAGES, t.CONFIG, seed=3, group=group)
np.savez(f"{sys.argv[1]}/rank-{group.rank}.npz", held_out=curve.held_out, weights=t.weights(network))
group.close()
"""


def _started(script: str, folder: Path, **environment: str) -> subprocess.Popen:
    paths = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[2])])
    values = os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"} | environment
    return subprocess.Popen([sys.executable, "-c", script, str(folder)], env=values)


def test_loss_falls_and_the_seed_fixes_everything(whole) -> None:
    again = model()
    curve = train(again, IMAGES, CONFIG, seed=3)
    assert curve == whole[1]
    assert np.array_equal(weights(again), whole[0])
    assert curve.held_out[-1] < curve.held_out[0]
    assert train(model(), IMAGES, CONFIG, seed=4) != curve


def test_training_goes_on_where_it_stopped(whole, tmp_path: Path) -> None:
    file = tmp_path / "checkpoint.safetensors"
    train(model(), IMAGES, CONFIG.model_copy(update={"epochs": 2}), seed=3, checkpoint=file)
    network, seen = model(seed=9), []
    curve = train(network, IMAGES, CONFIG, seed=3, checkpoint=file, on_epoch=lambda epoch, *_: seen.append(epoch))
    assert seen == [3, 4]
    assert curve == whole[1]
    assert np.array_equal(weights(network), whole[0])


def test_kill_at_any_moment_changes_nothing(whole, tmp_path: Path) -> None:
    file = tmp_path / "checkpoint.safetensors"
    # It cannot end by itself before it is killed.
    program = _started(KILLED_SCRIPT, tmp_path)
    deadline = time.monotonic() + 120
    while not file.exists():
        assert program.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    program.send_signal(signal.SIGKILL)
    program.wait()
    network = model(seed=9)
    curve = train(network, IMAGES, CONFIG, seed=3, checkpoint=file)
    assert curve.held_out[:4] == whole[1].held_out
    assert curve.training[:4] == whole[1].training


def test_group_of_three_processes_learns_the_same(whole, tmp_path: Path) -> None:
    size = 3
    store = torch.distributed.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    environment = {STORE_ADDRESS: "127.0.0.1", STORE_PORT: str(store.port), SIZE: str(size), "GLOO_SOCKET_IFNAME": "lo"}
    ranks = [_started(RANK_SCRIPT, tmp_path, **environment, **{RANK: str(rank)}) for rank in range(size)]
    try:
        assert [rank.wait(300) for rank in ranks] == [0] * size
    finally:
        for rank in ranks:
            rank.kill()
    found = [np.load(tmp_path / f"rank-{rank}.npz") for rank in range(size)]
    for one in found:
        assert np.allclose(one["held_out"], whole[1].held_out, rtol=1e-4)
        assert np.array_equal(one["weights"], found[0]["weights"])
        assert np.allclose(one["weights"], whole[0], atol=2e-3)


def test_early_stop_keeps_the_best_weights() -> None:
    network = ConvolutionalAutoencoder(16, AutoencoderConfig())
    # So fast that it gets worse again.
    config = TrainingConfig(epochs=60, learning_rate=0.05, batch_size=20, patience=3)
    curve = train(network, IMAGES, config, seed=0)
    best = int(np.argmin(curve.held_out))
    assert curve.n_epochs == best + 1 + config.patience < config.epochs
    held_out = split(len(IMAGES), config.held_out, 0)[1]
    images = torch.from_numpy(IMAGES.read(held_out))
    loss = network.negative_elbo(images, network.draw(len(images), torch.Generator()), 1.0).mean()
    assert float(loss.detach()) == pytest.approx(curve.held_out[best], rel=1e-5)


@pytest.mark.parametrize(
    ("config", "epoch", "weight"),
    [
        (TrainingConfig(), 0, 1.0),
        (TrainingConfig(kl_start=4.0, kl_epochs=3), 0, 4.0),
        (TrainingConfig(kl_start=4.0, kl_epochs=3), 2, 2.0),
        (TrainingConfig(kl_start=0.0, kl_epochs=4), 1, 0.25),
        (TrainingConfig(kl_start=0.0, kl_epochs=4), 4, 1.0),
    ],
)
def test_schedule_of_the_divergence(config: TrainingConfig, epoch: int, weight: float) -> None:
    assert config.kl_weight(epoch) == pytest.approx(weight)


def test_split_is_three_quarters_and_fixed() -> None:
    learned, held_out = split(100, 0.25, 5)
    assert len(learned) == 75
    assert np.array_equal(np.union1d(learned, held_out), np.arange(100))
    assert np.array_equal(split(100, 0.25, 5)[0], learned)
    assert not np.array_equal(split(100, 0.25, 6)[0], learned)


def test_what_cannot_be_trained_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HpcstemError, match="sub-images to train on"):
        train(model(), ImagesInMemory(np.ones((1, 16, 16))), CONFIG, seed=0)
    with pytest.raises(HpcstemError, match="one value throughout"):
        train(model(), ImagesInMemory(np.ones((40, 16, 16))), CONFIG, seed=0)
    with pytest.raises(HpcstemError, match="multiple of 4"):
        ConvolutionalAutoencoder(18, AutoencoderConfig())
    file = tmp_path / "checkpoint.safetensors"
    train(model(), IMAGES, CONFIG.model_copy(update={"epochs": 1}), seed=3, checkpoint=file)
    with pytest.raises(HpcstemError, match="other images or settings"):
        train(model(), IMAGES, CONFIG, seed=4, checkpoint=file)
    file.write_bytes(file.read_bytes()[:50])
    with pytest.raises(HpcstemError, match="cannot read"):
        train(model(), IMAGES, CONFIG, seed=3, checkpoint=file, group=SingleProcess())
