"""Batch jobs that run launchers of the queue, through FireWorks' queue adapters.

FireWorks puts values into its templates as they are: a newline in an account name becomes a directive or a command.
Here every value is checked, every argument quoted, and nothing else reaches the script.
"""

from __future__ import annotations

import logging
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from fireworks.user_objects.queue_adapters.common_adapter import CommonAdapter

from hpcstem.errors import ConfigError, SimulationError

Scheduler = Literal["slurm", "pbs", "lsf"]

_TYPES = {"slurm": "SLURM", "pbs": "PBS", "lsf": "LoadSharingFacility"}
_DIRECTIVES = {"slurm": "#SBATCH", "pbs": "#PBS", "lsf": "#BSUB"}
_WORD = re.compile(r"[A-Za-z0-9_.:=,@%+*/\[\]&|()-]+")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SUBMIT_TIMEOUT_S = 60


@dataclass(frozen=True)
class BatchRequest:
    """A batch job with one launcher per node.

    Parameters
    ----------
    scheduler
        `slurm`, `pbs` or `lsf`.
    folder
        Folder of the queue; the job starts there, and its output goes to `submitted/` in it.
    command
        Program and arguments of a launcher; the end of the allocation is added to it.
    nodes
        Number of nodes.
    walltime_s
        Time asked for [s].
    name
        Name of the job.
    account, queue, qos, constraint
        Values of the scheduler; None leaves them to its defaults.
    cores, gpus
        Cores and GPUs of a node; 0 leaves them to the scheduler.
    directives
        Further directives, each with its value.
    launcher
        What starts one process per node: `srun`, `mpiexec`, `jsrun`, or `none` for jobs of one node.
    launcher_arguments
        Further options of it.
    modules
        Environment modules to load.
    setup
        Commands before the launcher, one simple command each.
    variables
        Environment variables.

    Raises
    ------
    ConfigError
        A value is none that could be meant, or several nodes have no launcher.
    """

    scheduler: Scheduler
    folder: Path
    command: tuple[str, ...]
    nodes: int = 1
    walltime_s: int = 3600
    name: str = "hpcstem-queue"
    account: str | None = None
    queue: str | None = None
    qos: str | None = None
    constraint: str | None = None
    cores: int = 0
    gpus: int = 0
    directives: tuple[str, ...] = ()
    launcher: Literal["none", "srun", "mpiexec", "jsrun"] = "none"
    launcher_arguments: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    setup: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.scheduler not in _TYPES:
            raise ConfigError("scheduler", repr(self.scheduler), f"one of {', '.join(_TYPES)}")
        for name in ("name", "account", "queue", "qos", "constraint"):
            value = getattr(self, name)
            if value is not None and (not _WORD.fullmatch(value) or value.startswith("-")):
                raise ConfigError(f"{name} of a batch job", repr(value), "one plain word")
        for name in ("directives", "launcher_arguments", "modules", "setup"):
            for value in getattr(self, name):
                if not all(_WORD.fullmatch(word) for word in value.split(" ")):
                    raise ConfigError(f"{name} of a batch job", repr(value), "plain words with one space between them")
        for variable, value in self.variables.items():
            if not _VARIABLE.fullmatch(variable) or "\n" in value:
                raise ConfigError("variable of a batch job", repr(f"{variable}={value}"), "NAME=value on one line")
        if self.nodes < 1 or self.walltime_s < 60:
            raise ConfigError(
                "size of a batch job", f"{self.nodes} nodes, {self.walltime_s} s", "1 node and 60 s or more"
            )
        if self.nodes > 1 and self.launcher == "none":
            raise ConfigError("launcher of a batch job", f"none for {self.nodes} nodes", "srun, mpiexec or jsrun")


class BatchAdapter(CommonAdapter):
    """FireWorks' adapter with scripts of our own: it submits them, reads the number of the job, and counts jobs.

    Parameters
    ----------
    request
        The job.
    """

    _fw_name = "hpcstem BatchAdapter"

    def __init__(self, request: BatchRequest) -> None:
        super().__init__(_TYPES[request.scheduler], timeout=_SUBMIT_TIMEOUT_S, queue=request.queue)
        self.request = request

    def get_script_str(self, launch_dir: str) -> str:
        """Return the batch script; `launch_dir` gets the output of the job."""
        request = self.request
        prefix = _DIRECTIVES[request.scheduler]
        lines = ["#!/bin/bash -l", *(f"{prefix} {line}" for line in _directives(request, launch_dir)), ""]
        # Counted from here: what the job waited for is not part of its time.
        lines += ["begin=$(date +%s)"]
        lines += [f"module load {shlex.quote(module)}" for module in request.modules]
        lines += [shlex.join(command.split(" ")) for command in request.setup]
        lines += [f"export {name}={shlex.quote(value)}" for name, value in sorted(request.variables.items())]
        lines += [f"cd {shlex.quote(str(request.folder))}"]
        end = f'--end-time "$((begin + {request.walltime_s}))"'
        return "\n".join([*lines, " ".join([*_launcher(request), shlex.join(request.command), end]), ""])

    def submit(self, script: Path) -> str:
        """Submit a script that is written; return the number that the scheduler gave it.

        Raises
        ------
        SimulationError
            The scheduler is absent or refuses it.
        """
        heard = _Heard()
        logger = logging.getLogger(f"qadapter.{self.q_name}")
        logger.addHandler(heard)
        try:
            number = self.submit_to_queue(str(script))
        finally:
            logger.removeHandler(heard)
        if number is None:
            wanted = f"a {self.q_commands[self.q_type]['submit_cmd']} that takes the script"
            raise SimulationError(f"cannot submit {script}", " ".join(heard.messages)[-500:] or "no answer", wanted)
        return str(number)


class _Heard(logging.Handler):
    """Keeps what FireWorks says about a failed submission, which it only logs."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []

    def emit(self, record: Any) -> None:
        self.messages.append(" ".join(record.getMessage().split()))


def _directives(request: BatchRequest, output: str) -> list[str]:
    hours, rest_s = divmod(request.walltime_s, 3600)
    clock = f"{hours:02d}:{rest_s // 60:02d}"
    given: list[tuple[str, Any]]
    if request.scheduler == "slurm":
        given = [
            ("--job-name=", request.name),
            ("--nodes=", request.nodes),
            ("--ntasks-per-node=", 1),
            ("--cpus-per-task=", request.cores or None),
            ("--gpus-per-node=", request.gpus or None),
            ("--time=", f"{clock}:{rest_s % 60:02d}"),
            ("--account=", request.account),
            ("--partition=", request.queue),
            ("--qos=", request.qos),
            ("--constraint=", request.constraint),
            ("--output=", f"{_quoted(output)}/%x-%j.out"),
        ]
    elif request.scheduler == "pbs":
        cores = f":ncpus={request.cores}" if request.cores else ""
        given = [
            ("-N ", request.name),
            ("-l ", f"select={request.nodes}{cores}"),
            ("-l ", f"walltime={clock}:{rest_s % 60:02d}"),
            ("-A ", request.account),
            ("-q ", request.queue),
            ("-j ", "oe"),
            ("-o ", f"{_quoted(output)}/"),
        ]
    else:
        given = [
            ("-J ", request.name),
            ("-nnodes ", request.nodes),
            ("-W ", clock),
            ("-P ", request.account),
            ("-q ", request.queue),
            ("-o ", f"{_quoted(output)}/%J.out"),
        ]
    return [f"{option}{value}" for option, value in given if value is not None] + list(request.directives)


def _quoted(path: str) -> str:
    """Return a path for a directive, which no shell reads: what needs quotes is refused."""
    if not _WORD.fullmatch(path):
        raise ConfigError("folder of the queue", repr(path), "a path of plain characters, without spaces")
    return path


def _launcher(request: BatchRequest) -> list[str]:
    n = str(request.nodes)
    arguments = [shlex.quote(word) for text in request.launcher_arguments for word in text.split(" ")]
    if request.launcher == "srun":
        cores = [f"--cpus-per-task={request.cores}"] if request.cores else []
        return ["srun", f"--nodes={n}", f"--ntasks={n}", "--ntasks-per-node=1", *cores, *arguments]
    if request.launcher == "mpiexec":
        return ["mpiexec", "-n", n, *(["--ppn", "1"] if request.scheduler == "pbs" else []), *arguments]
    if request.launcher == "jsrun":
        every = [f"-c{request.cores}"] if request.cores else ["-cALL_CPUS"]
        return [
            "jsrun",
            f"-n{n}",
            "-r1",
            "-a1",
            *every,
            f"-g{request.gpus}" if request.gpus else "-gALL_GPUS",
            *arguments,
        ]
    return []
