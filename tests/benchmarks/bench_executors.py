"""What chunks and executors cost beyond the decoding of their frames, and the networks' share in a chunk.

Not collected by a normal run. Run it by name, one thread:

    OMP_NUM_THREADS=1 pytest tests/benchmarks/bench_executors.py -s

CPU time of this process and of its workers, the ways in turn, so that a drift of the machine's speed cancels; medians.
Only the gain of a second worker is wall time, each on a core of its own: it is printed beside what two processes gain
that have nothing to do with each other, which is all that the machine has to give at that time.
"""

import os
import shutil
import statistics
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest
import torch
from many_movies import small_frames

from hpcstem.execution import DaskExecutor, SerialExecutor
from hpcstem.execution.memory import keep_memory
from hpcstem.files import sha256
from hpcstem.frames import FrameRange, MovieMetadata, open_movie, write_movie
from hpcstem.segmentation import Ensemble
from hpcstem.segmentation.chunks import ChunkOfMovie, DecodeChunks
from hpcstem.segmentation.decoding import decode_frames
from hpcstem.segmentation.ensemble import find_ensemble, save_card
from hpcstem.segmentation.inference import predict_prepared, prepared

PIXEL_A = 0.16
N_FRAMES, SIDE, PER_CHUNK = 48, 128, 8
ROUNDS = 15
TURNS, ROUNDS_OF_A_GAIN = 24, 2  # 1,152 frames per worker, half a minute

ALONE = """
import os, sys, time
os.sched_setaffinity(0, {int(sys.argv[2])})
import numpy as np, torch
torch.set_num_threads(1)
from hpcstem.execution.memory import keep_memory
from hpcstem.segmentation import Ensemble
from hpcstem.segmentation.decoding import decode_frames
keep_memory()
frames, ensemble = np.load(sys.argv[1]), Ensemble.load("graphene-si")
list(decode_frames(frames[:8], 0.16, ensemble))
print("ready", flush=True)
sys.stdin.readline()
begun = time.perf_counter()
for _ in range(int(sys.argv[3])):
    for first in range(0, len(frames), 8):
        list(decode_frames(frames[first : first + 8], 0.16, ensemble))
print(time.perf_counter() - begun)
"""


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def frames():
    return small_frames(N_FRAMES, (SIDE, SIDE))


@pytest.fixture(scope="module")
def movie(frames, tmp_path_factory):
    path = tmp_path_factory.mktemp("movie") / "movie.h5"
    write_movie(path, frames, MovieMetadata(pixel_size_A=PIXEL_A))
    return open_movie(path)


def chunks_of(movie, folder, per_chunk=PER_CHUNK):
    digest = sha256(movie.path)
    starts = range(0, movie.n_frames, per_chunk)
    ranges = [FrameRange(start, min(start + per_chunk, movie.n_frames)) for start in starts]
    return [ChunkOfMovie(movie, r, folder / f"{r.start}.parquet", digest) for r in ranges]


def cpu_s():
    """CPU time of this process and of those that it started [s]."""
    others = psutil.Process().children(recursive=True)
    return time.process_time() + sum(one.cpu_times().user + one.cpu_times().system for one in others)


def spent(work):
    begun = cpu_s()
    work()
    return cpu_s() - begun


@pytest.mark.parametrize("per_chunk", [PER_CHUNK, N_FRAMES])
@pytest.mark.parametrize("kind", ["serial", "one Dask worker"])
def test_cost_beyond_a_bare_loop(kind, per_chunk, movie, frames, tmp_path):
    ensemble = Ensemble.load("graphene-si")
    analysis = DecodeChunks(find_ensemble("graphene-si"), ensemble.digest)
    batches, starts = chunks_of(movie, tmp_path, per_chunk), range(0, N_FRAMES, per_chunk)
    keep_memory()
    with SerialExecutor() if kind == "serial" else DaskExecutor(1) as executor:

        def bare():
            for start in starts:
                list(decode_frames(frames[start : start + per_chunk], PIXEL_A, ensemble))

        def chunks():
            executor.run(analysis, batches)

        bare()
        chunks()
        both = [(spent(bare), spent(chunks)) for _ in range(ROUNDS)]
    alone_ms = statistics.median(one for one, _ in both) / N_FRAMES * 1e3
    beyond_ms = [(other - one) / N_FRAMES * 1e3 for one, other in both]
    low_ms, middle_ms, high_ms = statistics.quantiles(beyond_ms)
    print(
        f"\n{kind}: {middle_ms:+.2f} ms per frame of {SIDE}² (quartiles {low_ms:+.2f}, {high_ms:+.2f}) beyond "
        f"{alone_ms:.1f} ms of a loop, {per_chunk} per chunk"
    )


def test_gain_of_a_second_worker(movie, frames, tmp_path):
    """Two workers do twice the work of one; so do two processes apart, each on the same core as a worker."""
    np.save(tmp_path / "frames.npy", frames)
    analysis = DecodeChunks(find_ensemble("graphene-si"), Ensemble.load("graphene-si").digest)
    gains = {"two processes apart": [], "two Dask workers": []}
    with DaskExecutor(1) as one, DaskExecutor(2) as two:
        for executor in (one, two):
            pin_workers(executor)
            executor.run(analysis, chunks_of(movie, tmp_path / "warm"))
        for _ in range(ROUNDS_OF_A_GAIN):
            alone, together = apart(tmp_path / "frames.npy", 1), apart(tmp_path / "frames.npy", 2)
            gains["two processes apart"].append(2 * alone / together)
            wall = []
            for executor in (one, two):
                chunks = [
                    chunk
                    for turn in range(executor.workers * TURNS)
                    for chunk in chunks_of(movie, tmp_path / f"out{turn}")
                ]
                begun = time.perf_counter()
                executor.run(analysis, chunks)
                wall.append(time.perf_counter() - begun)
            gains["two Dask workers"].append(2 * wall[0] / wall[1])
            print(f"\nalone {alone:.1f} s, together {together:.1f} s, one worker {wall[0]:.1f} s, two {wall[1]:.1f} s")
    for name, found in gains.items():
        print(f"\n{name}: {statistics.median(found):.2f} × one ({', '.join(f'{g:.2f}' for g in found)})", end="")
    shares = [ours / theirs for theirs, ours in zip(*gains.values(), strict=True)]
    print(f"; shares of theirs: {', '.join(f'{one:.3f}' for one in shares)}; load {os.getloadavg()[0]:.1f}")


def pin_workers(executor):
    """Bind each worker, all of its threads, to a core of its own; scheduler and client may use all."""
    client = executor.connection.client
    for core, address in enumerate(client.scheduler_info()["workers"]):
        client.run(pin, core, workers=[address])


def pin(core):
    for thread in os.listdir("/proc/self/task"):
        os.sched_setaffinity(int(thread), {core})


def apart(path, n_processes):
    """Longest wall time of processes that decode the same frames at the same time, each on a core [s]."""
    programs = [
        subprocess.Popen(
            [sys.executable, "-c", ALONE, path, str(core), str(TURNS)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for core in range(n_processes)
    ]
    for program in programs:
        assert program.stdout.readline() == "ready\n"
    for program in programs:
        program.stdin.write("go\n")
        program.stdin.flush()
    return max(float(program.communicate()[0]) for program in programs)


@pytest.mark.parametrize("n_members", [3, 20])
def test_share_of_the_networks(n_members, tmp_path):
    folder, shipped = tmp_path / "model", find_ensemble("graphene-si")
    card = Ensemble.load(shipped).card
    folder.mkdir()
    names = tuple(f"member-{i:02d}.safetensors" for i in range(n_members))
    for i, name in enumerate(names):
        shutil.copy(shipped / card.members[i % len(card.members)], folder / name)
    save_card(folder, card.model_copy(update={"members": names}))
    ensemble = Ensemble.load(folder)
    frames = small_frames(2, (512, 512))
    write_movie(tmp_path / "movie.h5", frames, MovieMetadata(pixel_size_A=PIXEL_A))
    analysis = DecodeChunks(folder, ensemble.digest)
    (chunk,) = chunks_of(open_movie(tmp_path / "movie.h5"), tmp_path)
    images = prepared(frames, PIXEL_A, ensemble)
    list(predict_prepared(images[:1, :64, :64], ensemble))
    whole, bare = [], []
    for _ in range(ROUNDS if n_members < 10 else 2):
        whole.append(spent(lambda: analysis.process(chunk)))
        bare.append(spent(lambda: list(predict_prepared(images, ensemble))))
    share = statistics.median(b / w for b, w in zip(bare, whole, strict=True))
    rest_ms = statistics.median(w - b for b, w in zip(bare, whole, strict=True)) / len(frames) * 1e3
    print(
        f"\n{n_members} members, 512²: chunk {statistics.median(whole) / 2:.2f} s per frame, networks alone "
        f"{statistics.median(bare) / 2:.2f} s: {share:.3f} of it, the rest {rest_ms:.0f} ms"
    )
