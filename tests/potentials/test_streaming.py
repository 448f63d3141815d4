import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from fit_job import FAULTS, job
from known_motion import SYMBOLS, toy_trajectory

from hpcstem.errors import StructureError
from hpcstem.execution import SerialExecutor, mpiexec_command
from hpcstem.potentials.bases import SplineBasis
from hpcstem.potentials.equations import ForceEquations
from hpcstem.potentials.fitted import solve
from hpcstem.potentials.streaming import InMemory, Segment, Streamed, segments

BASIS = SplineBasis(1.05, 3.5, 12)


@dataclass(frozen=True)
class Stops:
    """A source whose reading ends with an error at some snapshot."""

    source: InMemory
    at: int

    @property
    def n_frames(self):
        return self.source.n_frames

    def read(self, first, stop):
        if first <= self.at < stop:
            raise KeyboardInterrupt
        return self.source.read(first, stop)

    def __repr__(self):
        return repr(self.source)


class Unreadable(Stops):
    def read(self, first, stop):
        raise AssertionError("read again")


@pytest.fixture(scope="module")
def small():
    return InMemory(toy_trajectory(40, 1e-3, cells=(6, 4)))


@pytest.mark.parametrize("at", [0, 7, 23, 39])
def test_a_job_that_was_stopped_goes_on_to_the_same_bits(small, tmp_path, at):
    equations = ForceEquations(BASIS, SYMBOLS, 1e-3)
    whole = SerialExecutor().run(Streamed(equations, 3), segments(small, 4))
    resumable = Streamed(equations, 3, tmp_path, every_s=1e-9)
    with pytest.raises(KeyboardInterrupt):
        SerialExecutor().run(resumable, segments(Stops(small, at), 4))
    again = SerialExecutor().run(resumable, segments(Stops(small, at).source, 4))
    np.testing.assert_array_equal(again.total.design, whole.total.design)
    np.testing.assert_array_equal(again.total.moment, whole.total.moment)
    np.testing.assert_array_equal(again.total.distances, whole.total.distances)
    assert again.total.n_intervals == whole.total.n_intervals == 39


def test_finished_blocks_are_not_done_again(small, tmp_path):
    equations = ForceEquations(BASIS, SYMBOLS, 1e-3)
    resumable = Streamed(equations, 3, tmp_path)
    first = SerialExecutor().run(resumable, segments(small, 4))
    again = SerialExecutor().run(
        resumable, [Segment(Unreadable(small, 0), s.first, s.stop, s.block) for s in segments(small, 4)]
    )
    np.testing.assert_array_equal(again.total.gram, first.total.gram)


def test_a_checkpoint_of_other_settings_is_refused(small, tmp_path):
    SerialExecutor().run(Streamed(ForceEquations(BASIS, SYMBOLS, 1e-3), 3, tmp_path), segments(small, 4))
    with pytest.raises(StructureError, match="other settings"):
        SerialExecutor().run(Streamed(ForceEquations(BASIS, SYMBOLS, 2e-3), 3, tmp_path), segments(small, 4))
    for file in tmp_path.iterdir():
        file.write_bytes(b"PK no more")
    with pytest.raises(StructureError, match="cannot read checkpoint"):
        SerialExecutor().run(Streamed(ForceEquations(BASIS, SYMBOLS, 1e-3), 3, tmp_path), segments(small, 4))


def test_too_short_a_trajectory_or_too_few_blocks_are_refused(small):
    with pytest.raises(StructureError, match="frames of the trajectory; got 1"):
        segments(InMemory(small.trajectory[:1]))
    with pytest.raises(StructureError, match="blocks"):
        segments(small, 1)


def start(arguments, n_ranks):
    pytest.importorskip("mpi4py", reason="mpi4py is not installed: pip install 'hpcstem[mpi]'")
    job_file = str(Path(__file__).with_name("fit_job.py"))
    command = [*mpiexec_command(n_ranks), sys.executable, job_file, *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True)


def test_one_to_four_ranks_give_the_same_sums_and_potential(tmp_path):
    process = start(["sizes", tmp_path], 4)
    assert process.wait(timeout=300) == 0, process.stderr.read()
    reference = SerialExecutor().run(*job())
    potential = solve(reference, job()[0].analysis)
    for size in (1, 2, 3, 4):
        with np.load(tmp_path / f"{size}.npz", allow_pickle=False) as got:
            for name in ("gram", "design", "moment"):
                wanted = getattr(reference.total, name)
                np.testing.assert_allclose(got[name], wanted, rtol=1e-12, atol=1e-12 * np.abs(wanted).max())
            np.testing.assert_allclose(got["coefficients"], potential.coefficients, rtol=1e-8, atol=1e-10)


def test_a_job_killed_at_random_goes_on_to_the_same_result(tmp_path):
    """A rank, then the whole job, are killed with SIGKILL while both ranks wait in the middle of their work."""
    rng = np.random.default_rng(11)
    # The first rank has the snapshots before 50, the second the others; the second time both get farther.
    for victim, (low, high) in (("rank", (8, 20)), ("job", (25, 40))):
        hold_at = rng.integers(low, high, 2) + np.array([0, 48])
        process = start(["kill", tmp_path, *hold_at], 2)
        for frame in hold_at:
            wait_for(process, lambda frame=frame: list(tmp_path.glob(f"held-{frame}-*")))
        assert len(list((tmp_path / "checkpoint").glob("block-*"))) >= 2
        ranks = [int((tmp_path / f"rank-{rank}.pid").read_text()) for rank in (0, 1)]
        if victim == "rank":
            os.kill(ranks[1], signal.SIGKILL)
        else:
            os.killpg(process.pid, signal.SIGKILL)
            for rank in ranks:
                kill_quietly(rank)
        assert process.wait(timeout=300) != 0
    process = start(["kill", tmp_path], 2)
    assert process.wait(timeout=300) == 0, process.stderr.read()
    reference = SerialExecutor().run(*job())
    with np.load(tmp_path / "fit.npz", allow_pickle=False) as got:
        np.testing.assert_array_equal(got["gram"], reference.total.gram)
        np.testing.assert_array_equal(got["moment"], reference.total.moment)


def wait_for(process, condition):
    deadline = time.monotonic() + 300
    while not condition():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def kill_quietly(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def test_a_fault_on_one_rank_is_one_error_on_all(tmp_path):
    process = start(["faults", tmp_path], 3)
    assert process.wait(timeout=300) == 0, process.stderr.read()
    said = [(tmp_path / f"rank-{rank}.txt").read_text().splitlines() for rank in range(3)]
    assert said[0] == said[1] == said[2]
    wanted = ["frame 68 after frame 72", "positions in frame 68; got a value", "two atoms in one place", "index 2"]
    assert len(said[0]) == len(FAULTS)
    for line, words in zip(said[0], wanted, strict=True):
        assert line.startswith("StructureError")
        assert words in line
