"""Ways to run all members of an ensemble on a frame, against one after another, CPU time.

Not collected by a normal run. Run it by name, on a quiet machine, one thread:

    OMP_NUM_THREADS=1 pytest tests/benchmarks/bench_members.py -s

Each way and the loop in turn, so that a drift of the machine's speed cancels; ratios of medians.
"""

import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.func import functional_call, stack_module_state, vmap

from hpcstem.device import find_device
from hpcstem.segmentation import Ensemble

ROUNDS = 7
NUMBERS = getattr(torch, find_device().inference)
TOLERANCE = 0.1 if torch.bfloat16 == NUMBERS else 1e-4  # of logits


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def networks_of(n_members):
    ensemble = Ensemble.load("graphene-si")
    weights = tuple(ensemble.weights[i % len(ensemble.weights)] for i in range(n_members))
    card = ensemble.card.model_copy(update={"members": tuple(f"member-{i:02d}" for i in range(n_members))})
    return replace(ensemble, card=card, weights=weights, _networks=[]).networks()


def ratio(one, other):
    """CPU time of one over that of the other, and both must give the same."""
    seconds = [], []
    with torch.inference_mode():
        assert torch.allclose(one(), other(), atol=TOLERANCE)
        for _ in range(ROUNDS):
            for work, spent in zip((one, other), seconds, strict=True):
                start = time.process_time()
                work()
                spent.append(time.process_time() - start)
    return np.median(seconds[0]) / np.median(seconds[1])


def images(n_pixels, n_frames=1):
    return torch.from_numpy(np.random.default_rng(1).normal(size=(n_frames, 1, n_pixels, n_pixels))).to(NUMBERS)


@pytest.mark.parametrize("n_pixels", [128, 256])
@pytest.mark.parametrize("n_members", [3, 20])
def test_all_members_as_one_grouped_network(n_members, n_pixels):
    networks, image = networks_of(n_members), images(n_pixels)
    skeleton, (parameters, buffers) = networks[0], stack_module_state(networks)

    def one_of(parameters, buffers):
        return functional_call(skeleton, (parameters, buffers), (image,))

    together = vmap(one_of)
    found = ratio(lambda: together(parameters, buffers)[:, 0], lambda: torch.cat([n(image) for n in networks]))
    print(f"\n{n_members} members at {n_pixels}²: in one pass {found:.2f} × the time of one after another")


@pytest.mark.parametrize("n_pixels", [128, 256])
def test_frames_in_batches_of_four(n_pixels):
    (network,), batch = networks_of(1), images(n_pixels, 4)
    found = ratio(lambda: network(batch), lambda: torch.cat([network(image[None]) for image in batch]))
    print(f"\nfour frames of {n_pixels}² as one batch: {found:.2f} × the time of one after another")


@pytest.mark.parametrize("n_pixels", [128, 256])
def test_channels_last(n_pixels):
    (last,), image = networks_of(1), images(n_pixels)
    (first,) = networks_of(1)
    first = first.to(memory_format=torch.contiguous_format)
    found = ratio(lambda: last(image), lambda: first(image))
    print(f"\nchannels last at {n_pixels}²: {found:.2f} × the time of channels first")
