"""CPU time to decode one frame of 512×512 pixels with one member, and the share of the bare forward pass in it.

Not collected by a normal run. Run it by name, on a quiet machine, one thread:

    OMP_NUM_THREADS=1 pytest tests/benchmarks/bench_decode.py --benchmark-only -s

Compare the ratios of one run, not the times of two: the speed of a shared machine drifts.
"""

import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from hpcstem.imaging import Acquisition, Probe, simulate_movie
from hpcstem.imaging.resample import resample
from hpcstem.segmentation import Ensemble, decode_frame
from hpcstem.segmentation.inference import predict
from hpcstem.segmentation.locate import locate
from hpcstem.segmentation.normalise import normalise

PIXEL_A = 0.08
ROUNDS = {"rounds": 20, "warmup_rounds": 3}

pytestmark = pytest.mark.benchmark(timer=time.process_time, group="one frame, one member, CPU time")


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def member():
    """The first member of the shipped ensemble, as an ensemble of its own."""
    ensemble = Ensemble.load("graphene-si")
    card = ensemble.card.model_copy(update={"members": ensemble.card.members[:1]})
    return replace(ensemble, card=card, weights=ensemble.weights[:1], _networks=[])


@pytest.fixture(scope="module")
def frame():
    return simulate_movie("m", 1, (512, 512), PIXEL_A, Probe(), Acquisition(), np.random.SeedSequence(1))[0][0]


def test_decode_frame(benchmark, frame, member):
    found = benchmark.pedantic(decode_frame, (frame, PIXEL_A, member), **ROUNDS)
    benchmark.extra_info["atoms"] = len(found.species)


def test_bare_forward_pass(benchmark, frame, member):
    size_A = member.card.pixel_size_A
    (network,) = member.networks()
    image = torch.from_numpy(normalise(resample(frame[None], PIXEL_A, size_A), size_A))[None].to(network.head.weight)

    def forward():
        with torch.inference_mode():
            return network(image)

    benchmark.pedantic(forward, **ROUNDS)


def test_locate(benchmark, frame, member):
    maps = predict(frame, PIXEL_A, member)
    benchmark.pedantic(locate, (maps, member.card.atom_radius_A), **ROUNDS)
