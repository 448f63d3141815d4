import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
from behaviour import Join, joined
from distributed import Security

from hpcstem.errors import ExecutionError
from hpcstem.execution import DaskExecutor
from hpcstem.execution.memory import KEEPING_MEMORY

SECONDS_TO_RECOVER = 240


@dataclass(frozen=True)
class KillsItsWorker(Join):
    """One batch ends its process as `kill -9` does: the first time only, or always."""

    marker: Path | None = None
    killer: int = 3

    def process(self, batch):
        time.sleep(0.05)
        if batch == self.killer and (self.marker is None or not self.marker.exists()):
            if self.marker is not None:
                self.marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().process(batch)


class WatchedBatches:
    """A sequence that notes how many batches were taken and not yet finished."""

    def __init__(self, n_batches):
        self.n_batches, self.taken, self.finished, self.most = n_batches, 0, 0, 0

    def __len__(self):
        return self.n_batches

    def __getitem__(self, index):
        self.taken += 1
        self.most = max(self.most, self.taken - self.finished)
        return index

    def on_batch(self, finished):
        self.finished = finished


def test_a_killed_worker_costs_a_retry(tmp_path):
    left_by_a_killed_worker = tmp_path / "scratch" / "dask-scratch-space" / "worker-0"
    (left_by_a_killed_worker / "storage").mkdir(parents=True)
    left_by_a_killed_worker.with_suffix(".dirlock").touch()
    with DaskExecutor(2, scratch=tmp_path / "scratch") as executor:
        start = time.monotonic()
        calls = []
        analysis = KillsItsWorker(marker=tmp_path / "killed")
        assert executor.run(analysis, range(12), on_batch=calls.append) == joined(12)
        assert (tmp_path / "killed").exists()
        assert calls == list(range(1, 13))
        # A lone worker loses the analysis with its memory, and gets it again.
        assert time.monotonic() - start < SECONDS_TO_RECOVER
    assert not any(path.is_dir() for path in left_by_a_killed_worker.parent.iterdir())


def test_a_killed_lone_worker_costs_a_retry(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.delenv("MALLOC_ARENA_MAX", raising=False)
    with DaskExecutor(1, scratch=tmp_path) as executor:
        assert executor.run(KillsItsWorker(marker=tmp_path / "killed"), range(6)) == joined(6)
    # What Dask sets for its workers does not reach the programs that are started later.
    assert os.environ["OMP_NUM_THREADS"] == "3"
    assert "MALLOC_ARENA_MAX" not in os.environ


def test_a_batch_that_always_kills_is_named_and_its_neighbours_are_not():
    with DaskExecutor(2, retries=1) as executor:
        with pytest.raises(ExecutionError) as error:
            executor.run(KillsItsWorker(killer=3), range(8))
        assert error.value.thing == "batch 4 of 8 failed"
        assert "worker died 2 times" in error.value.got
        assert executor.run(Join(), range(4)) == joined(4)


def test_batches_in_flight_are_bounded(dask_executor):
    batches = WatchedBatches(40)
    assert dask_executor.run(Join(), batches, on_batch=batches.on_batch) == joined(40)
    assert batches.taken == 40
    assert 2 <= batches.most <= 2 * dask_executor.workers


@dataclass(frozen=True)
class Environment:
    """What a worker's libraries are told."""

    def process(self, batch):
        names = "OMP_NUM_THREADS", "NUMBA_NUM_THREADS", *KEEPING_MEMORY
        return {(name, os.environ.get(name)) for name in names}

    def merge(self, left, right):
        return left | right

    def finish(self, partial):
        return partial


def test_libraries_start_no_threads_in_workers_and_memory_is_kept(dask_executor):
    assert dask_executor.workers == 2
    found = dask_executor.run(Environment(), range(4))
    assert found == {("OMP_NUM_THREADS", "1"), ("NUMBA_NUM_THREADS", "1"), *KEEPING_MEMORY.items()}


def inet_connections(process):
    """Connections of a process; none where it has ended since it was listed."""
    try:
        return process.net_connections("inet")
    except psutil.NoSuchProcess:
        return []


def test_only_the_loopback_interface_is_listened_on():
    own = psutil.Process()

    def listening():
        return {
            connection.laddr
            for process in [own, *own.children(recursive=True)]
            for connection in inet_connections(process)
            if connection.status == psutil.CONN_LISTEN
        }

    before = listening()  # of other tests in this process
    with DaskExecutor(1):
        assert {address.ip for address in listening() - before} == {"127.0.0.1"}


@pytest.mark.parametrize("own_certificate", [False, True])
def test_a_stranger_without_the_certificate_is_turned_away(dask_executor, tmp_path, own_certificate):
    address = urlsplit(dask_executor._client.scheduler.address)
    assert address.scheme == "tls"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if own_certificate:
        credentials = Security.temporary()
        (tmp_path / "pem").write_text(credentials.tls_client_key + credentials.tls_client_cert)
        context.load_cert_chain(tmp_path / "pem")
    plain = socket.create_connection((address.hostname, address.port), timeout=300)
    # In TLS 1.3 the handshake ends before the server looks at the client's certificate; the refusal comes after.
    with context.wrap_socket(plain) as encrypted, pytest.raises(ssl.SSLError, match=r"CERTIFICATE_REQ|UNKNOWN_CA"):
        encrypted.recv(1)


def test_an_existing_client_is_used_and_left_open(dask_executor):
    client = dask_executor._client
    with DaskExecutor(client=client) as executor:
        assert executor.workers == 2
        assert executor.run(Join(), range(5)) == joined(5)
    assert client.status == "running"
    assert dask_executor.run(Join(), range(3)) == joined(3)


@pytest.mark.parametrize("setting", ["n_workers", "threads_per_worker", "in_flight_per_worker"])
def test_a_number_below_one_is_refused(setting):
    with pytest.raises(ExecutionError, match=setting):
        DaskExecutor(**{"n_workers": 1, setting: 0})


def test_a_scratch_folder_that_cannot_be_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ExecutionError, match="scratch folder"):
        DaskExecutor(1, scratch=tmp_path / "file" / "scratch")


QUIET = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from behaviour import Join
from test_dask_executor import KillsItsWorker
from hpcstem.errors import HpcstemError
from hpcstem.execution import DaskExecutor
if __name__ == "__main__":
    with DaskExecutor(2) as executor:
        for analysis in (Join(refuse=2), Join(fail=2), KillsItsWorker(marker=Path(sys.argv[2]))):
            try:
                print(executor.run(analysis, range(6)))
            except HpcstemError as error:
                print(type(error).__name__)
"""


def test_errors_and_deaths_leave_standard_error_clean(tmp_path):
    (tmp_path / "quiet.py").write_text(QUIET)
    command = [sys.executable, tmp_path / "quiet.py", Path(__file__).parent, tmp_path / "killed"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=tmp_path)
    assert done.stdout.split("\n") == ["MovieError", "ExecutionError", joined(6), ""]
    assert done.stderr == ""
    assert sorted(file.name for file in tmp_path.iterdir()) == ["killed", "quiet.py"]
