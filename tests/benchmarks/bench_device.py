"""What the device of this machine makes of the networks: frames per second, against its own rate of matrix products.

    python tests/benchmarks/bench_device.py rate networks same decode processes train

prints one line of JSON per figure. Where there is no GPU it measures the processor, which takes long.
"""

import json
import multiprocessing
import os
import sys
import time
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from hpcstem.device import find_device
from hpcstem.imaging import Acquisition, Probe, TrainingRecipe, simulate_movie
from hpcstem.imaging.training import training_samples
from hpcstem.segmentation import Ensemble, TrainingConfig
from hpcstem.segmentation.decoding import decode_frames
from hpcstem.segmentation.inference import predict_prepared, prepared
from hpcstem.segmentation.score import match
from hpcstem.segmentation.training import Conduct, train_member

PIXEL_A = 0.08
DEVICE = find_device()
NUMBERS = getattr(torch, DEVICE.inference)
SHORT = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}
SECONDS = float(os.environ.get("SECONDS", "15"))
STEPS = int(os.environ.get("STEPS", "120"))


def say(**figures):
    print(json.dumps(figures), flush=True)


def synchronise():
    if DEVICE.kind != "cpu":
        getattr(torch, DEVICE.kind).synchronize()


def median_seconds(work, least=3, most=30, budget_s=1.5):
    work()
    synchronise()
    spent, start = [], time.perf_counter()
    while len(spent) < least or (len(spent) < most and time.perf_counter() - start < budget_s):
        begin = time.perf_counter()
        work()
        synchronise()
        spent.append(time.perf_counter() - begin)
    return float(np.median(spent))


def mixed(short):
    return nullcontext() if SHORT[short] is None else torch.autocast(DEVICE.kind, dtype=SHORT[short])


def ensemble_of(n_members):
    """As many members as wanted, the shipped ones in turn: the work does not depend on the weights."""
    shipped = Ensemble.load("graphene-si")
    card = shipped.card.model_copy(update={"members": tuple(f"member-{i:02d}" for i in range(n_members))})
    weights = tuple(shipped.weights[i % len(shipped.weights)] for i in range(n_members))
    return replace(shipped, card=card, weights=weights, _networks=[])


def movie(n_frames, n_pixels=512):
    few = simulate_movie("m", 8, (n_pixels, n_pixels), PIXEL_A, Probe(), Acquisition(), np.random.SeedSequence(1))[0]
    return np.concatenate([few] * -(-n_frames // len(few)))[:n_frames]


def rate():
    """Of products of large matrices, two operations per multiplication."""
    n = 8192 if DEVICE.kind != "cpu" else 1024
    for name, kind, tf32 in (
        ("bfloat16", torch.bfloat16, False),
        ("float16", torch.float16, False),
        ("tf32", torch.float32, True),
        ("float32", torch.float32, False),
    ):
        torch.backends.cuda.matmul.allow_tf32 = tf32
        one, other = (torch.randn(n, n, device=DEVICE.torch_name, dtype=kind) for _ in range(2))
        seconds = median_seconds(lambda one=one, other=other: one @ other)
        say(section="rate", device=DEVICE.name, kind=name, tera_per_s=2e-12 * n**3 / seconds)
    torch.backends.cuda.matmul.allow_tf32 = False


def networks():
    for n_pixels in (256, 512):
        for n_members in (1, 3, 20):
            ensemble = ensemble_of(n_members)
            n_frames = max(2**22 // n_pixels**2 // (1 if n_members < 20 else 4), 2)
            images = prepared(movie(n_frames, 2 * n_pixels), PIXEL_A, ensemble)
            with FlopCounterMode(display=False) as counter, torch.inference_mode():
                ensemble.networks()[0](torch.from_numpy(images[:1, None]).to(DEVICE.torch_name, NUMBERS))
            for short in SHORT:
                for tf32 in (True, False) if short == "float32" else (True,):
                    torch.backends.cudnn.allow_tf32 = tf32
                    with mixed(short):
                        whole_s = median_seconds(lambda: list(predict_prepared(images, ensemble)))  # noqa: B023  called at once
                        bare_s = bare(images, ensemble)
                    say(
                        section="networks",
                        pixels=n_pixels,
                        members=n_members,
                        kind="tf32" if short == "float32" and tf32 else short,
                        frames_per_s=n_frames / whole_s,
                        bare_frames_per_s=n_frames / bare_s,
                        tera_per_s=1e-12 * counter.get_total_flops() * n_members * n_frames / bare_s,
                        flop_per_frame_and_member=counter.get_total_flops(),
                    )
    torch.backends.cudnn.allow_tf32 = True


def bare(images, ensemble):
    """Forward passes alone, of images that are on the device, in batches of the same size."""
    layout = torch.channels_last if DEVICE.channels_last else torch.contiguous_format
    at_once = max(2**20 // images[0].size, 1)
    there = torch.from_numpy(images[:, None]).to(DEVICE.torch_name, NUMBERS, memory_format=layout).split(at_once)

    def work():
        with torch.inference_mode():
            for batch in there:
                for network in ensemble.networks():
                    network(batch)

    return median_seconds(work)


def same():
    """Atoms by this device against those by the processor."""
    frames, here, there = movie(8), Ensemble.load("graphene-si"), Ensemble.load("graphene-si")
    import hpcstem.segmentation.ensemble as ensembles
    import hpcstem.segmentation.inference as inference
    from hpcstem.device import CPU

    found = {name: None for name in ("tf32", *SHORT)}
    for name in found:
        torch.backends.cudnn.allow_tf32 = name == "tf32"
        with mixed("float32" if name == "tf32" else name):
            found[name] = list(decode_frames(frames, PIXEL_A, here))
    ensembles.find_device = inference.find_device = lambda: CPU
    wanted = list(decode_frames(frames, PIXEL_A, there))
    ensembles.find_device = inference.find_device = find_device
    for name, ours in found.items():
        pairs = [(a, b, match(a.positions_A, b.positions_A)) for a, b in zip(ours, wanted, strict=True)]
        say(
            section="same",
            kind=name,
            atoms=sum(len(b.species) for _, b, _ in pairs),
            missed=sum(len(b.species) - len(both) for _, b, both in pairs),
            added=sum(len(a.species) - len(both) for a, _, both in pairs),
            other_species=sum(int((a.species[m[:, 0]] != b.species[m[:, 1]]).sum()) for a, b, m in pairs),
            largest_A=max(float(np.abs(a.positions_A[m[:, 0]] - b.positions_A[m[:, 1]]).max()) for a, b, m in pairs),
            largest_probability=max(
                float(np.abs(a.probability[m[:, 0]] - b.probability[m[:, 1]]).max()) for a, b, m in pairs
            ),
        )
    torch.backends.cudnn.allow_tf32 = True


def decode():
    for n_members in (3, 20):
        ensemble, frames = ensemble_of(n_members), movie(32)
        for short in ("float32", "bfloat16"):
            with mixed(short):
                seconds = median_seconds(lambda: list(decode_frames(frames, PIXEL_A, ensemble)))  # noqa: B023
            say(section="decode", members=n_members, kind=short, frames_per_s=len(frames) / seconds)


def one_process(n_members, short, ready, counts, index, end):
    torch.set_num_threads(1)
    ensemble, frames = ensemble_of(n_members), movie(16)
    with mixed(short):
        list(decode_frames(frames, PIXEL_A, ensemble))
        ready.wait()
        stop = time.perf_counter() + SECONDS
        while time.perf_counter() < stop:
            counts[index] += len(list(decode_frames(frames, PIXEL_A, ensemble)))
        end[index] = time.perf_counter() - stop + SECONDS


def processes():
    """Processes that share the device, each with a core for what is not the networks."""
    context = multiprocessing.get_context("spawn")
    cores = len(os.sched_getaffinity(0))
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = "1"
    numbers = sorted({1, min(8, cores), cores})
    for on in ("device", "processor"):
        if on == "processor":
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
            numbers = sorted({1, min(8, cores), cores})
        for n_members in (3, 20):
            for n in numbers if n_members == 3 else [cores]:
                ready, counts, end = context.Barrier(n), context.Array("l", n), context.Array("d", n)
                given = [(n_members, "float32", ready, counts, i, end) for i in range(n)]
                running = [context.Process(target=one_process, args=one) for one in given]
                for process in running:
                    process.start()
                for process in running:
                    process.join()
                per_s = sum(c / s for c, s in zip(counts, end, strict=True) if s > 0)
                say(section="processes", on=on, members=n_members, processes=n, frames_per_s=per_s)


def one_training(precision, ready, rates, index):
    torch.set_num_threads(1)
    samples = list(training_samples(TrainingRecipe(n_pixels=256), 16, np.random.SeedSequence(3)))
    images, masks = (np.array([getattr(one, name) for one in samples]) for name in ("image", "mask"))
    config = TrainingConfig(members=1, steps=STEPS, batch_size=16, n_samples=16, precision=precision)
    times = []

    def follow(step, loss):
        if step == STEPS // 4:
            ready.wait()
        times.append(time.perf_counter())

    conduct = Conduct(device=DEVICE)
    train_member(images, masks, config, np.random.SeedSequence(1), follow, conduct)
    rates[index] = (STEPS - 1 - STEPS // 4) / (times[-1] - times[STEPS // 4])


def train():
    """Steps of 16 images of 256², by processes that share the device."""
    context = multiprocessing.get_context("spawn")
    for precision, n in (("float32", 1), ("mixed", 1), ("mixed", 4), ("mixed", 10)):
        ready, rates = context.Barrier(n), context.Array("d", n)
        running = [context.Process(target=one_training, args=(precision, ready, rates, i)) for i in range(n)]
        for process in running:
            process.start()
        for process in running:
            process.join()
        say(section="train", precision=precision, processes=n, steps_per_s=sum(rates))


if __name__ == "__main__":
    for name in sys.argv[1:]:
        globals()[name]()
