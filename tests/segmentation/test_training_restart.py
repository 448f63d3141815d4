"""Training broken off and begun again gives, to the last bit, what an unbroken one gives."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from hpcstem.device import CPU
from hpcstem.errors import ModelError
from hpcstem.process_group import SingleProcess
from hpcstem.segmentation import TrainingConfig
from hpcstem.segmentation.checkpoint import load_checkpoint
from hpcstem.segmentation.stop_request import StopRequest, TrainingStopped
from hpcstem.segmentation.training import Conduct, train_member

CONFIG = TrainingConfig(filters=2, layers=(1,) * 7, steps=50, batch_size=4)
BROKEN_AT = 27


def train(on_step=lambda step, loss: None, config=CONFIG, seed=8, **conduct):
    """Train on images of squares; the weights, the history, and the loss of each step."""
    rng = np.random.default_rng(7)
    masks = rng.integers(0, 3, (12, 4, 4)).repeat(8, axis=1).repeat(8, axis=2).astype(np.uint8)
    images = (masks + rng.normal(0, 0.5, masks.shape)).astype(np.float32)
    losses = {}

    def follow(step, loss):
        losses[step] = loss
        on_step(step, loss)

    weights, history = train_member(images, masks, config, np.random.SeedSequence(seed), follow, Conduct(**conduct))
    return weights, history, losses


@pytest.fixture(scope="module")
def unbroken():
    return train()


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in other)


def test_killed_it_goes_on_from_its_last_checkpoint(unbroken, tmp_path):
    """The process is killed in step 27, after the checkpoint of step 26."""
    child = subprocess.run([sys.executable, __file__, tmp_path / "point"], timeout=300, check=False)
    assert child.returncode == -signal.SIGKILL
    weights, history, losses = train(checkpoint=tmp_path / "point")
    assert list(losses) == list(range(BROKEN_AT, CONFIG.steps + 1))
    assert losses == {step: unbroken[2][step] for step in losses}
    assert history == unbroken[1]
    assert same(weights, unbroken[0])


def test_sigterm_ends_it_with_a_checkpoint(unbroken, tmp_path):
    def stop(step, loss):
        if step == BROKEN_AT:
            signal.raise_signal(signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    with StopRequest() as asked, pytest.raises(TrainingStopped, match="after step 28 of 50") as stopped:
        train(stop, checkpoint=tmp_path / "point", stop_requested=lambda: asked.requested)
    assert stopped.value.exit_status == 143
    assert signal.getsignal(signal.SIGTERM) == before
    weights, history, losses = train(checkpoint=tmp_path / "point")
    assert next(iter(losses)) == BROKEN_AT + 2
    assert history == unbroken[1]
    assert same(weights, unbroken[0])


def test_asked_to_stop_after_its_last_step_it_is_done(unbroken):
    assert same(train(stop_requested=lambda: False)[0], unbroken[0])
    last = CONFIG.model_copy(update={"steps": 1})
    assert train(config=last, stop_requested=lambda: True)[1].step == [1]


def test_a_checkpoint_is_not_pickled_and_holds_all_that_is_needed(tmp_path):
    train(checkpoint=tmp_path / "point", checkpoint_every_s=0.0)
    tensors, values = load_checkpoint(tmp_path / "point", SingleProcess())
    assert values["step"] == CONFIG.steps
    assert values["random_stream"]["bit_generator"] == "PCG64"
    assert {name.split(".")[0] for name in tensors} == {"network", "optimiser"}
    header = (tmp_path / "point").read_bytes()[8:]
    assert json.JSONDecoder().raw_decode(header.decode("latin-1"))[0]["values.json"]["dtype"] == "U8"
    assert [path.name for path in tmp_path.iterdir()] == ["point"]


@pytest.mark.parametrize("damage", [lambda data: b"", lambda data: data[:1000], lambda data: b"\0" * len(data)])
def test_a_damaged_checkpoint_is_named(tmp_path, damage):
    path = tmp_path / "point"
    train(checkpoint=path, checkpoint_every_s=0.0, config=CONFIG.model_copy(update={"steps": 1}))
    path.write_bytes(damage(path.read_bytes()))
    if not path.stat().st_size:
        assert load_checkpoint(path, SingleProcess()) is None
        return
    with pytest.raises(ModelError, match=r"cannot read the checkpoint.*deleted"):
        train(checkpoint=path)


def test_a_checkpoint_of_another_training_is_refused(tmp_path):
    train(checkpoint=tmp_path / "point", checkpoint_every_s=0.0, config=CONFIG.model_copy(update={"steps": 1}))
    with pytest.raises(ModelError, match="of another training"):
        train(checkpoint=tmp_path / "point")


def test_more_processes_than_images_in_a_batch_are_refused():
    class Five(SingleProcess):
        size = 5

    with pytest.raises(ModelError, match="got 5; wanted at most batch_size, which is 4"):
        train(group=Five())


def test_mixed_precision_where_the_device_has_it(unbroken):
    mixed = CONFIG.model_copy(update={"precision": "mixed"})
    assert same(train(config=mixed)[0], unbroken[0])
    short = train(config=mixed, device=dataclasses.replace(CPU, autocast="bfloat16"))
    assert all(value.dtype == unbroken[0][name].dtype for name, value in short[0].items())
    assert not same(short[0], unbroken[0])
    difference = np.abs(np.array(short[1].loss) / np.array(unbroken[1].loss) - 1).max()
    print(f"largest relative difference of a mean loss, bfloat16 against float32: {difference:.1e}")
    assert difference < 0.03


def killed_in_a_step(path):
    """Write a checkpoint after every step, and die in the middle of one."""

    def die(step, loss):
        if step == BROKEN_AT:
            os.kill(os.getpid(), signal.SIGKILL)

    train(die, checkpoint=path, checkpoint_every_s=0.0)


if __name__ == "__main__":
    torch.set_num_threads(1)
    killed_in_a_step(Path(sys.argv[1]))
