"""What of this machine works: the lines of `hpcstem doctor` for processes, ranks, devices and scratch."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from hpcstem.checks import Check, Status
from hpcstem.errors import ExecutionError, HpcstemError
from hpcstem.execution.local_cluster import available_cores
from hpcstem.execution.ranks import mpiexec_command
from hpcstem.execution.site import Site
from hpcstem.files import whole_file

_TIMEOUT_S = 20.0
_SCHEDULERS = {"Slurm": "sbatch", "PBS": "qsub", "LSF": "bsub"}
_LEAST_FREE_GB = 1.0


def checks(site: Site | None = None) -> list[Check]:
    """Try each part of the machine, none for longer than 20 s.

    Parameters
    ----------
    site
        Whose scratch folder to try; by default the system's temporary folder.
    """
    scratch = Path(tempfile.gettempdir()) if site is None or site.scratch is None else site.scratch
    return [
        _python(),
        _probed("torch", "pip install torch"),
        _gpus(),
        _probed("numba", "pip install numba"),
        _probed("dask", "pip install dask distributed cryptography"),
        _mpi(),
        _horovod(),
        *(_scheduler(name, command) for name, command in _SCHEDULERS.items()),
        writes("scratch", scratch, "scratch: a folder with write permission, in the site file"),
    ]


def _python() -> Check:
    from distributed.system import MEMORY_LIMIT

    detail = f"Python {platform.python_version()}, {available_cores()} cores, {MEMORY_LIMIT / 1e9:.0f} GB memory"
    return Check("python", Status.OK, detail)


def probe(name: str, launcher: list[str] | None = None, timeout_s: float | None = None) -> tuple[bool, str]:
    """Run a probe in a process of its own.

    Parameters
    ----------
    name
        One of `hpcstem.execution.probe.PROBES`.
    launcher
        Beginning of a command line that starts it as several processes.
    timeout_s
        When it is ended; after 20 s by default.

    Returns
    -------
    works : bool
        Whether it worked.
    detail : str
        Its line, or the reason.
    """
    timeout_s = _TIMEOUT_S if timeout_s is None else timeout_s
    command = [*(launcher or []), sys.executable, "-m", "hpcstem.execution.probe", name]
    # A session of its own, so that a probe that hangs is ended with all that it started.
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        output, errors = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return False, f"no answer in {timeout_s:g} s"
    if process.returncode != 0:
        return False, next(reversed(errors.strip().splitlines()), f"exit status {process.returncode}")
    return True, output.strip()


def _probed(name: str, fix: str) -> Check:
    works, detail = probe(name)
    return Check(name, Status.OK, detail) if works else Check(name, Status.BROKEN, detail, fix)


def _gpus() -> Check:
    works, detail = probe("gpu")
    if works and detail:
        return Check("GPU", Status.OK, detail)
    return Check("GPU", Status.ABSENT, "torch sees none" if works else detail)


def _mpi() -> Check:
    if importlib.util.find_spec("mpi4py") is None:
        return Check("MPI", Status.ABSENT, "mpi4py is not installed", "pip install 'hpcstem[mpi]'")
    try:
        launcher = mpiexec_command(2)
    except ExecutionError as error:
        return Check("MPI", Status.ABSENT, str(error.got), str(error.wanted))
    works, detail = probe("mpi", launcher)
    if works and "2 ranks talk" in detail:
        return Check("MPI", Status.OK, f"{detail} ({launcher[0]})")
    return Check("MPI", Status.BROKEN, detail, "pip install 'hpcstem[mpi]', or the mpiexec of mpi4py's MPI library")


def _horovod() -> Check:
    if importlib.util.find_spec("horovod") is None:
        detail = "not installed; processes that train together use torch.distributed"
        return Check("horovod", Status.ABSENT, detail, "launchers/install-horovod")
    return _probed("horovod", "pip uninstall horovod, then launchers/install-horovod builds it for this torch")


def _scheduler(name: str, command: str) -> Check:
    found = shutil.which(command)
    return Check(name, Status.OK, found) if found else Check(name, Status.ABSENT, f"no {command} on PATH")


def writes(name: str, folder: Path, fix: str, note: str = "") -> Check:
    """Write a file in a folder, fsync and rename it, as every result is written.

    Parameters
    ----------
    name
        Of the check.
    folder
        Where.
    fix
        What to write where it cannot be done.
    note
        What else there is to know of the folder.
    """
    trial = folder / f".hpcstem-doctor-{os.getpid()}"
    try:
        with whole_file(trial) as temporary:
            temporary.write_bytes(b"hpcstem")
        trial.unlink()
    except (HpcstemError, OSError) as error:
        return Check(name, Status.BROKEN, str(error), fix)
    free_GB = shutil.disk_usage(folder).free / 1e9
    if free_GB < _LEAST_FREE_GB:
        return Check(name, Status.BROKEN, f"{folder}: {free_GB:.1f} GB free", "free space, or another folder")
    return Check(name, Status.OK, f"{folder}: written, fsynced, renamed; {free_GB:.0f} GB free{note}")
