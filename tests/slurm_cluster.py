"""A real Slurm of several nodes on this machine, for tests: no systemd, no files outside a temporary folder."""

import getpass
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import psutil
import pytest

DEADLINE_S = 240
"""Waiting ends when its condition holds; this only ends a test that cannot succeed, on a machine that is busy too."""

_PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "scontrol", "srun")
_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
_STARTS = 3
_CONFIGURATION = """\
ClusterName=hpcstem
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={base}/munge.socket,cred_expire=60
CryptoType=crypto/munge
SlurmctldPort={controller_port}
SlurmctldPidFile={base}/slurmctld.pid
SlurmctldLogFile={base}/log/slurmctld.log
StateSaveLocation={base}/state
SlurmdPidFile={base}/slurmd.%n.pid
SlurmdLogFile={base}/log/slurmd.%n.log
SlurmdSpoolDir={base}/spool/%n
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,sched_min_interval=100000,bf_interval=2,batch_sched_delay=0
MpiDefault=none
TmpFS={base}
ReturnToService=2
SlurmdTimeout=600
SlurmctldTimeout=600
MessageTimeout=60
InactiveLimit=0
MinJobAge=600
KillWait=3
OverTimeLimit=0
NodeName=n[1-{n_nodes}] NodeHostname={host} NodeAddr=127.0.0.1 Port=[{first_port}-{last_port}] CPUs=2 RealMemory=8000
PartitionName=debug Nodes=ALL Default=YES MaxTime=INFINITE DefaultTime=10 State=UP
"""


def wait_until(condition: Callable[[], object], what: str) -> None:
    """Wait until a condition holds; fail with what was waited for when it does not."""
    end = time.monotonic() + DEADLINE_S
    while not condition():
        if time.monotonic() > end:
            pytest.fail(f"waited {DEADLINE_S} s in vain until {what}")
        time.sleep(0.1)


@dataclass
class SlurmCluster:
    """A running cluster.

    Parameters
    ----------
    base
        Folder of all its files; `work` in it is a folder for the tests, which all nodes see.
    nodes
        Names of its nodes.
    """

    base: Path
    nodes: tuple[str, ...]
    daemons: dict[str, subprocess.Popen] = field(default_factory=dict)

    @property
    def configuration(self) -> Path:
        """What SLURM_CONF has to name."""
        return self.base / "slurm.conf"

    def environment(self, **variables: str) -> dict[str, str]:
        """Environment for commands that use this cluster: this process's, outside of any other job, and more."""
        held = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM", "PMI", "OMPI"))}
        return {**held, "PATH": _PATH, "SLURM_CONF": str(self.configuration), **variables}

    def run(self, *command: object, check: bool = True) -> str:
        """Run a command on this cluster to its end; what it printed."""
        done = subprocess.run(
            [str(word) for word in command],
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            env=self.environment(),
            cwd=self.base / "work",
            check=False,
        )
        assert not check or done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def jobs(self) -> dict[str, str]:
        """State of each job that Slurm still knows, by its number: PENDING, RUNNING, COMPLETED, TIMEOUT …"""
        lines = self.run("squeue", "--noheader", "--states=all", "--format=%i %T").splitlines()
        return dict(line.split() for line in lines)

    def alive(self) -> list[str]:
        """Numbers of the jobs that are waiting or running."""
        return self.run("squeue", "--noheader", "--format=%i").split()

    def cancel_all(self) -> None:
        """Cancel every job, wait until none is left, and put every node back to work."""
        self.run("scancel", f"--user={getpass.getuser()}", check=False)
        wait_until(lambda: not self.alive(), "all jobs have ended")
        for node in self.nodes:
            if f"slurmd {node}" not in self.daemons:
                self._start_node(node)
                self.run("scontrol", "update", f"nodename={node}", "state=resume", check=False)
        self._wait_for_nodes()

    def lose_node(self, node: str) -> None:
        """Kill a node with everything that runs on it, as a power failure does, and tell the controller."""
        daemon = self.daemons.pop(f"slurmd {node}")
        daemon.kill()
        daemon.wait()
        while processes := self._processes(node):  # one of them may start another meanwhile
            for process in processes:
                with suppress(psutil.Error):
                    process.kill()
            psutil.wait_procs(processes, timeout=1)
        self.run("scontrol", "update", f"nodename={node}", "state=down", "reason=lost")

    def start(self) -> bool:
        """Start all daemons; False where one ended at once, as with a port that another program took."""
        self._start_daemon(
            "munged",
            _program("munged"),
            "--foreground",
            "--num-threads=10",
            f"--key-file={self.base}/munge.key",
            f"--socket={self.base}/munge.socket",
            f"--pid-file={self.base}/munge.pid",
            f"--log-file={self.base}/log/munge.log",
            f"--seed-file={self.base}/munge.seed",
        )
        wait_until(lambda: (self.base / "munge.socket").exists() or self._ended("munged"), "munged listens")
        self._start_daemon("slurmctld", _program("slurmctld"), "-D", "-c", "-f", str(self.configuration))
        for node in self.nodes:
            self._start_node(node)
        return self._wait_for_nodes()

    def stop(self) -> None:
        """End every process that belongs to this cluster, whatever state it is in."""
        if not self._ended("slurmctld"):
            with suppress(AssertionError, subprocess.TimeoutExpired):
                self.run("scancel", f"--user={getpass.getuser()}", check=False)
        for daemon in reversed(self.daemons.values()):
            daemon.terminate()
        for daemon in self.daemons.values():
            with suppress(subprocess.TimeoutExpired):
                daemon.wait(20)
            daemon.kill()
            daemon.wait()
        for process in self._processes():
            with suppress(psutil.Error):
                process.kill()

    def _start_node(self, node: str) -> None:
        self._start_daemon(f"slurmd {node}", _program("slurmd"), "-D", "-N", node, "-f", str(self.configuration))

    def _start_daemon(self, name: str, *command: str) -> None:
        with open(self.base / "log" / f"{name}.out", "ab") as log:
            # Ends with this process, even when that is killed.
            tied = ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []
            self.daemons[name] = subprocess.Popen([*tied, *command], stdout=log, stderr=log, env=self.environment())

    def _wait_for_nodes(self) -> bool:
        def idle() -> bool:
            return self.run("sinfo", "--noheader", "--format=%D %t", check=False) == f"{len(self.nodes)} idle"

        wait_until(lambda: idle() or any(map(self._ended, self.daemons)), "all nodes are idle")
        return not any(map(self._ended, self.daemons))

    def _ended(self, name: str) -> bool:
        return name not in self.daemons or self.daemons[name].poll() is not None

    def _processes(self, node: str | None = None) -> list[psutil.Process]:
        """Processes of the jobs and steps of this cluster, or of one of its nodes."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.name() == "slurmstepd":  # it hides its environment, but keeps the log of its node open
                    logs = {self.base / "log" / f"slurmd.{name}.log" for name in self.nodes if node in (None, name)}
                    own = any(Path(file.path) in logs for file in process.open_files())
                else:
                    held = process.environ()
                    own = held.get("SLURM_CONF") == str(self.configuration) and process.pid != os.getpid()
                    own = own and node in (None, held.get("SLURMD_NODENAME"))
                if own:
                    found.append(process)
        return found


def _program(name: str) -> str:
    path = shutil.which(name, path=_PATH)
    assert path is not None, name
    return path


def _free_ports(count: int, random: Random) -> int:
    """First of so many ports in a row that are free now, below those that the system hands out."""
    while True:
        first = random.randrange(20000, 32000)
        with suppress(OSError):
            for port in range(first, first + count):
                with socket.socket() as trial:
                    trial.bind(("127.0.0.1", port))
            return first


@contextmanager
def slurm_cluster(n_nodes: int = 4) -> Iterator[SlurmCluster]:
    """Start a cluster, give it, and end everything that belongs to it; skips the test where Slurm is not installed."""
    if missing := [name for name in _PROGRAMS if shutil.which(name, path=_PATH) is None]:
        pytest.skip(f"Slurm is not installed (no {', '.join(missing)}): .ci/install-slurm")
    random = Random()
    # A short path: Unix sockets allow about a hundred characters.
    with tempfile.TemporaryDirectory(prefix="hs-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        for trial in range(1, _STARTS + 1):
            base = Path(folder) / str(trial)
            nodes = tuple(f"n{i + 1}" for i in range(n_nodes))
            for name in ("log", "state", "work", *(f"spool/{node}" for node in nodes)):
                (base / name).mkdir(parents=True)
            for part in (base.parent, base):
                part.chmod(0o711)  # munged wants its socket within reach of every user
            (base / "munge.key").write_bytes(random.randbytes(128))
            (base / "munge.key").chmod(0o600)
            port = _free_ports(n_nodes + 1, random)
            (base / "slurm.conf").write_text(
                _CONFIGURATION.format(
                    base=base,
                    host=socket.gethostname().split(".")[0],
                    user=getpass.getuser(),
                    n_nodes=n_nodes,
                    controller_port=port,
                    first_port=port + 1,
                    last_port=port + n_nodes,
                )
            )
            cluster = SlurmCluster(base, nodes)
            try:
                if cluster.start():
                    yield cluster
                    return
            finally:
                cluster.stop()
        logs = "\n".join(path.read_text()[-500:] for path in (base / "log").iterdir())
        pytest.fail(f"Slurm does not start here:\n{logs}")


@pytest.fixture(scope="session")
def slurm_session() -> Iterator[SlurmCluster]:
    """One cluster of four nodes for the whole session."""
    with slurm_cluster() as cluster:
        yield cluster


@pytest.fixture
def slurm(slurm_session: SlurmCluster) -> Iterator[SlurmCluster]:
    """The cluster of this session, with no jobs before and after the test."""
    yield slurm_session
    slurm_session.cancel_all()
