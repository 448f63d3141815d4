"""Process groups of real processes: they agree, and train as one process trains on the whole batch."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import group_ranks
import numpy as np
import pytest
from safetensors.torch import load_file

from hpcstem.execution.rendezvous import installed_group, local_ranks, rendezvous

SECONDS = 300
FLOAT64 = 1e-12
# Sums of other parts in another order, through twelve steps.
FLOAT32_LOSS = 1e-5


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    file = tmp_path_factory.mktemp("alone") / "found"
    group_ranks.alone(file)
    return load_file(file)


@pytest.fixture(scope="module", params=[("torch", 2), ("torch", 3), ("horovod", 2)], ids=lambda p: f"{p[0]}-{p[1]}")
def together(request, tmp_path_factory):
    """What each rank of a group found."""
    kind, n_ranks = request.param
    if kind == "horovod" and importlib.util.find_spec("horovod") is None:
        pytest.skip("Horovod is not installed: launchers/install-horovod")
    file = tmp_path_factory.mktemp("ranks") / "found"
    script = Path(group_ranks.__file__)
    with rendezvous(kind, ["127.0.0.1"] * n_ranks, "127.0.0.1") as environments:
        programs = [
            subprocess.Popen(
                [sys.executable, script, kind, file],
                env={**os.environ, "GLOO_SOCKET_IFNAME": "lo", "HOROVOD_GLOO_IFACE": "lo", **one},
                stderr=subprocess.PIPE,
                text=True,
            )
            for one in environments
        ]
        try:
            errors = [program.communicate(timeout=SECONDS)[1] for program in programs]
        finally:
            for program in programs:
                program.kill()
    assert [program.returncode for program in programs] == [0] * n_ranks, "\n".join(errors)
    return [load_file(f"{file}.{rank}") for rank in range(n_ranks)]


def test_ranks_and_sizes(together):
    assert [one["place"].tolist() for one in together] == [[rank, len(together)] for rank in range(len(together))]


def test_average_and_broadcast(together):
    n = len(together)
    for one in together:
        np.testing.assert_allclose(one["one"].flatten(), np.arange(210.0) + (n - 1) / 2, rtol=1e-6)
        assert float(one["two"]) == pytest.approx(np.mean(np.arange(n) ** 2), rel=1e-15)
        assert one["sent.0"].tolist() == [5]
        assert one["sent.1"].flatten().tolist() == [0.5] * 6


def test_float64_equals_one_process_on_the_whole_batch(together, alone):
    names = [name for name in alone if name.startswith("float64.")]
    assert len(names) > 50
    difference = max(float((together[0][name] - alone[name]).abs().max()) for name in names)
    print(f"largest difference of any weight or loss after {group_ranks.STEPS} steps: {difference:.2e}")
    assert difference < FLOAT64


def test_float32_losses_equal_those_of_one_process(together, alone):
    difference = (together[0]["float32.losses"] / alone["float32.losses"] - 1).abs().max()
    print(f"largest relative difference of a loss: {float(difference):.2e}")
    assert difference < FLOAT32_LOSS
    assert alone["float32.losses"][-1] < alone["float32.losses"][0]


def test_all_ranks_hold_the_same_weights(together):
    for name, value in together[0].items():
        if name.startswith("float"):
            assert all(np.array_equal(other[name], value) for other in together[1:]), name


def test_neighbours_on_a_host_count_from_zero():
    assert local_ranks(["a", "a", "b", "b", "b"]) == [0, 1, 0, 1, 2]


def test_horovod_is_taken_where_it_is_installed(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert installed_group() == "torch"
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    assert installed_group() == "horovod"
