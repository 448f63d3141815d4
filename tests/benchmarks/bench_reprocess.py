"""Memory over 2,000 frames, and what many movies cost beyond the decoding of their frames.

Not collected by a normal run. Run it by name, on a quiet machine, one thread:

    OMP_NUM_THREADS=1 pytest tests/benchmarks/bench_reprocess.py -s
"""

import statistics
import time

import numpy as np
import psutil
import pytest
import torch
from many_movies import PIXEL_A, small_frames, write_movies

from hpcstem.campaign.reprocessing import DatasetSettings, find_movies, reprocess
from hpcstem.campaign.reprocessing.decoding import DecodeSegments
from hpcstem.frames import MovieMetadata, write_movie
from hpcstem.segmentation import Ensemble, decode

N_FRAMES = 2000
N_MOVIES = 100


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def serial(tmp_path_factory):
    path = tmp_path_factory.mktemp("site") / "serial.yaml"
    path.write_text("executor: serial\n")
    return str(path)


def test_memory_over_many_frames(tmp_path, serial, monkeypatch):
    frames = small_frames()
    path = tmp_path / "movies" / "long.h5"
    path.parent.mkdir()
    write_movie(path, frames[np.arange(N_FRAMES) % len(frames)], MovieMetadata(pixel_size_A=PIXEL_A))
    memory_MB = []
    process = DecodeSegments.process

    def measured(self, batch):
        outcome = process(self, batch)
        memory_MB.append(psutil.Process().memory_info().rss / 1e6)
        return outcome

    monkeypatch.setattr(DecodeSegments, "process", measured)
    summary = reprocess(find_movies([str(path)]), tmp_path / "out", DatasetSettings(chunk_MB=1.0), site=serial)
    assert summary.n_frames_done == N_FRAMES
    quarter = len(memory_MB) // 4
    print(
        f"\nresident memory over {N_FRAMES} frames in {len(memory_MB)} chunks [MB]: "
        + ", ".join(f"{memory_MB[i]:.0f}" for i in (0, quarter, 2 * quarter, 3 * quarter, -1))
    )
    assert memory_MB[-1] - memory_MB[quarter] < 20


def test_cost_beyond_decoding(tmp_path, serial):
    """CPU time of a dataset against the same frames decoded in a loop, in turn, so that a drift of speed cancels."""
    ensemble = Ensemble.load("graphene-si")
    write_movies(tmp_path / "movies", N_MOVIES)
    movies = find_movies([f"{tmp_path}/movies/*.h5"])
    frames = small_frames()
    decode(frames, PIXEL_A, ensemble)
    whole, bare = [], []
    for turn in range(3):
        start = time.process_time()
        done = reprocess(movies, tmp_path / f"out{turn}", DatasetSettings(), site=serial)
        whole.append((time.process_time() - start) / done.n_frames_done)
        start = time.process_time()
        for _ in range(N_MOVIES * 2 // len(frames)):
            decode(frames, PIXEL_A, ensemble)
        bare.append((time.process_time() - start) / done.n_frames_done)
    start = time.process_time()
    assert reprocess(movies, tmp_path / "out0", DatasetSettings(), site=serial).n_frames_done_now == 0
    again_s = time.process_time() - start
    ratio = statistics.median(w / b for w, b in zip(whole, bare, strict=True))
    print(
        f"\n{N_MOVIES} movies of 2 frames of 64 x 72 pixels, CPU time per frame: dataset "
        f"{statistics.median(whole) * 1e3:.1f} ms, decoding alone {statistics.median(bare) * 1e3:.1f} ms, "
        f"ratio {ratio:.3f}; with nothing to do {again_s / N_MOVIES * 1e3:.2f} ms per movie"
    )
