"""The workers of a node: devices, interface and certificates."""

import asyncio
import os
import socket
import ssl
import stat
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
from distributed import Client, Scheduler, Security, Worker

from hpcstem.errors import ConfigError, ExecutionError
from hpcstem.execution import Site, make_executor
from hpcstem.execution.credentials import tls_folder, tls_options
from hpcstem.execution.dask_scheduler import scheduler_options, security
from hpcstem.execution.interface import find_interface
from hpcstem.execution.node_workers import dask_setup, node_worker_command, take_device
from hpcstem.execution.site_sections import expanded


@pytest.mark.parametrize(
    ("variable", "given", "seen"),
    [
        ("CUDA_VISIBLE_DEVICES", None, ["0", "1", "2", "3"]),
        ("CUDA_VISIBLE_DEVICES", "GPU-a,GPU-b", ["GPU-a", "GPU-b", "GPU-a", "GPU-b"]),
        ("ROCR_VISIBLE_DEVICES", "4,5,6,7", ["4", "5", "6", "7"]),
        ("ZE_AFFINITY_MASK", "0.0,0.1,1.0,1.1", ["0.0", "0.1", "1.0", "1.1"]),
    ],
)
def test_each_process_sees_one_device_of_those_that_the_job_was_given(variable, given, seen):
    for index, device in enumerate(seen):
        environment = {} if given is None else {variable: given}
        take_device(index, variable, 4, environment)
        assert environment == {variable: device}


def test_a_worker_takes_the_device_of_its_number_where_workers_share_a_node(monkeypatch):
    monkeypatch.setenv("ROCR_VISIBLE_DEVICES", "8,9")
    monkeypatch.setenv("HPCSTEM_NODE_DEVICES", "")
    dask_setup(SimpleNamespace(name="node-12"))
    monkeypatch.setenv("HPCSTEM_NODE_DEVICES", "ROCR_VISIBLE_DEVICES=2")
    dask_setup(SimpleNamespace(name="node-17-1"))
    assert os.environ["ROCR_VISIBLE_DEVICES"] == "9"


def test_only_workers_that_share_devices_are_told_of_them(tmp_path):
    site = Site.model_validate({"node": {"gpus": 4, "memory_GB": 64}})
    four = node_worker_command(site, "tls://h:1", tmp_path, "n", 4)
    assert four[four.index("--devices") :][:2] == ["--devices", "CUDA_VISIBLE_DEVICES=4"]
    assert four[four.index("--memory-GB") :][:2] == ["--memory-GB", "16"]
    assert "--devices" not in node_worker_command(site, "tls://h:1", tmp_path, "n", 1)


def test_the_first_interface_that_there_is_is_taken():
    assert find_interface(["absent*", "lo*"]) == "lo"
    with pytest.raises(ExecutionError, match=r"got only .*lo; wanted one of hsn\*, ib\*"):
        find_interface(["hsn*", "ib*"])


def test_certificates_lie_in_a_folder_of_ones_own_and_are_removed(tmp_path, monkeypatch):
    monkeypatch.setenv("MY_SCRATCH", str(tmp_path))
    with tls_folder(Site.model_validate({"paths": {"scratch": "$MY_SCRATCH"}})) as folder:
        assert folder.parent == tmp_path / ".hpcstem"
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert stat.S_IMODE((folder / "key.pem").stat().st_mode) == 0o600
        folder.chmod(0o750)
        with pytest.raises(ExecutionError, match="mode 750; wanted chmod 700"):
            tls_options(folder)
    assert not folder.exists()


def test_a_path_that_begins_with_a_variable_is_absolute(monkeypatch):
    monkeypatch.delenv("MY_SCRATCH", raising=False)
    with pytest.raises(ConfigError, match="no variable MY_SCRATCH here"):
        expanded("$MY_SCRATCH")
    monkeypatch.setenv("MY_SCRATCH", "here")
    with pytest.raises(ConfigError, match=r"path \$MY_SCRATCH/a of the site; got MY_SCRATCH=here"):
        expanded("$MY_SCRATCH/a")
    monkeypatch.setenv("MY_SCRATCH", "/there")
    assert [expanded(path) for path in ("$MY_SCRATCH", "$MY_SCRATCH//a", "/else")] == [
        Path("/there"),
        Path("/there/a"),
        Path("/else"),
    ]


def test_a_launcher_that_is_not_there_is_named(tmp_path, monkeypatch):
    value = {
        "scheduler": {"kind": "slurm"},
        "launcher": {"kind": "jsrun"},
        "network": {"interfaces": ["lo"]},
        "paths": {"scratch": str(tmp_path)},
        "node": {"cores": 2},
    }
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ExecutionError, match="launcher jsrun of the site; got No such file"):
        make_executor(Site.model_validate(value))


def test_who_has_the_certificates_takes_part_and_nobody_else(tmp_path):
    site = Site.model_validate({"paths": {"scratch": str(tmp_path)}, "network": {"interfaces": ["lo"]}})

    def refused(address):
        stranger = Security.temporary()
        (tmp_path / "stranger.pem").write_text(stranger.tls_client_key + stranger.tls_client_cert)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.load_cert_chain(tmp_path / "stranger.pem")
        plain = socket.create_connection((urlsplit(address).hostname, urlsplit(address).port), timeout=300)
        # In TLS 1.3 the handshake ends before the server looks at the client's certificate; the refusal comes after.
        with context.wrap_socket(plain) as encrypted, pytest.raises(ssl.SSLError, match="UNKNOWN_CA"):
            encrypted.recv(1)

    async def meet(folder):
        async with Scheduler(**scheduler_options(site, folder), port=0) as scheduler:
            own = security(folder)
            async with (
                Worker(scheduler.address, security=own, nthreads=1, dashboard=False),
                Client(scheduler.address, security=own, asynchronous=True) as client,
            ):
                assert await client.submit(sum, [1, 2]) == 3
            await asyncio.to_thread(refused, scheduler.address)

    with tls_folder(site) as folder:
        asyncio.run(meet(folder))
