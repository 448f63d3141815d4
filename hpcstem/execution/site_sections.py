"""The groups of a site file: what is known of a facility, and what its user fills in.

Every text of these groups may reach a batch script or a command line. So each has a pattern that leaves no way out of
its place: no newline, quote, `;`, `$` or other character that a shell or a scheduler gives a meaning.
"""

from __future__ import annotations

import os
import re
from datetime import date
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from hpcstem.errors import ConfigError

_PLAIN = re.compile(r"[A-Za-z0-9_.:=,@%+*/\[\]-]+")
_PLAIN_SIGNS = "letters, digits and _ . : = , @ % + * / [ ] -"
_CONSTRAINT = re.compile(r"[A-Za-z0-9_.,&|*:()\[\]-]+")
_PATH = re.compile(r"(/|\$[A-Z][A-Z0-9_]*(/|$))[A-Za-z0-9_.:=,@%+/-]*")
_PROXY = re.compile(r"https?://[A-Za-z0-9_.-]+(:[0-9]+)?/?")


def _plain_word(value: str) -> str:
    if not _PLAIN.fullmatch(value) or value.startswith("-"):
        raise ValueError(f"wanted one word of {_PLAIN_SIGNS}, not beginning with '-'")
    return value


def _plain_words(value: str) -> str:
    if not all(_PLAIN.fullmatch(word) for word in value.split(" ")):
        raise ValueError(f"wanted words of {_PLAIN_SIGNS}, with one space between them")
    return value


def _plain_path(value: str) -> str:
    if not _PATH.fullmatch(value) or ".." in value.split("/"):
        raise ValueError("wanted an absolute path of plain characters; it may begin with a variable such as $SCRATCH")
    return value


def _plain_constraint(value: str) -> str:
    if not _CONSTRAINT.fullmatch(value) or value.startswith("-"):
        raise ValueError("wanted names of node features, joined by & or |")
    return value


def _plain_proxy(value: str) -> str:
    if not _PROXY.fullmatch(value):
        raise ValueError("wanted http://HOST:PORT")
    return value


_FromList = Field(strict=False)
Count = Annotated[int, Field(ge=1)]
WalltimeS = Annotated[int, Field(ge=60)]
Word = Annotated[str, AfterValidator(_plain_word)]
"""A name: account, queue, module."""
Words = Annotated[str, AfterValidator(_plain_words)]
"""A directive, an argument with its value, or a command of the set-up."""
SitePath = Annotated[str, AfterValidator(_plain_path)]
"""An absolute path, which may begin with an environment variable."""
_Constraint = Annotated[str, AfterValidator(_plain_constraint)]
_Proxy = Annotated[str, AfterValidator(_plain_proxy)]
_VariableName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
_AllWords = Annotated[tuple[Words, ...], _FromList]


def expanded(path: str) -> Path:
    """Path of a site with its variable replaced.

    Raises
    ------
    ConfigError
        The variable is not set here, or not to an absolute path.
    """
    variable, _, rest = path.removeprefix("$").partition("/")
    if not path.startswith("$"):
        return Path(path)
    value = os.environ.get(variable, "")
    if not value.startswith("/"):
        got = f"{variable}={value}" if value else f"no variable {variable} here"
        raise ConfigError(f"path {path} of the site", got, "a path, or to set the variable")
    return Path(value) / rest.lstrip("/")


class SiteSection(BaseModel):
    """Base of the groups: unknown keys are errors, values are not converted."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Facts(SiteSection):
    """A group of facts about a facility.

    Attributes
    ----------
    source
        Where they stand: a document of the facility, best with its address.
    verified
        Date of the version of that document which they were compared with; none where nobody has.
    """

    source: str | None = None
    verified: date | None = None


class QueueLimit(SiteSection):
    """One row of a facility's table of limits.

    Attributes
    ----------
    queue
        Quality of service, partition or queue that it is about.
    nodes
        Fewest and most nodes of a job.
    walltime_s
        Longest job [s].
    """

    queue: Word
    nodes: Annotated[tuple[Count, Count], _FromList]
    walltime_s: WalltimeS


class SchedulerFacts(Facts):
    """The batch system and how a job is handed to it.

    Attributes
    ----------
    kind
        'none' where there is no batch system.
    account
        Allocation that is charged.
    queue
        Partition (Slurm) or queue (PBS, LSF).
    qos, constraint
        Quality of service and node features (Slurm).
    chunk
        What a job asks for on each node besides the node, such as 'ncpus=64:ngpus=4' (PBS).
    directives
        Further options of the submit command, such as '-S 8', one directive each.
    required
        Which of account, queue, qos and constraint a job cannot do without here.
    limits
        Largest jobs. A queue without a row is not checked.
    out_of_service
        Why nothing can be submitted any more.
    """

    kind: Literal["none", "slurm", "pbs", "lsf"] = "none"
    account: Word | None = None
    queue: Word | None = None
    qos: Word | None = None
    constraint: _Constraint | None = None
    chunk: Word | None = None
    directives: _AllWords = ()
    required: Annotated[tuple[Literal["account", "queue", "qos", "constraint"], ...], _FromList] = ()
    limits: Annotated[tuple[QueueLimit, ...], _FromList] = ()
    out_of_service: str | None = None

    @model_validator(mode="after")
    def _words_of_this_scheduler(self) -> Self:
        if self.kind != "slurm" and (self.qos or self.constraint):
            raise ValueError(f"qos and constraint are Slurm's; scheduler.kind is {self.kind!r}")
        if self.kind != "pbs" and self.chunk:
            raise ValueError(f"chunk is for PBS; scheduler.kind is {self.kind!r}")
        return self


class NodeFacts(Facts):
    """One node.

    Attributes
    ----------
    cores
        Physical cores that jobs may use.
    memory_GB
        Main memory [1e9 bytes].
    gpus
        Devices that a process can have for itself: GPUs, or their tiles or dies where each is one device.
    gpu
        What they are.
    device_variable
        Environment variable that lists the devices which a process may use.
    """

    cores: Count | None = None
    memory_GB: Annotated[float, Field(gt=0)] | None = None
    gpus: Annotated[int, Field(ge=0)] = 0
    gpu: str | None = None
    device_variable: Literal["CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "ZE_AFFINITY_MASK"] = (
        "CUDA_VISIBLE_DEVICES"
    )


class NetworkFacts(Facts):
    """How nodes reach each other.

    Attributes
    ----------
    interfaces
        Names of network interfaces, `*` for any ending; the first that a machine has is used.
    """

    interfaces: Annotated[tuple[Word, ...], _FromList] = ("hsn*", "ib*", "bond0", "lo")


class LauncherFacts(Facts):
    """What starts processes on the nodes of a job.

    Attributes
    ----------
    kind
        'none' where a job has one node and no launcher.
    arguments
        Further options of each call, such as '--mpi=pmi2'.
    """

    kind: Literal["none", "srun", "mpiexec", "jsrun"] = "none"
    arguments: _AllWords = ()


class PathFacts(Facts):
    """File systems and the way out.

    Attributes
    ----------
    scratch
        File system of all nodes for runs and for what processes on several nodes share.
    purge_days
        Age at which files there are removed [days].
    proxy
        HTTP proxy of the compute nodes.
    """

    scratch: SitePath | None = None
    purge_days: Count | None = None
    proxy: _Proxy | None = None


class EnvironmentFacts(Facts):
    """What a batch script does before anything else.

    Attributes
    ----------
    modules
        Environment modules to load.
    setup
        Commands after that, such as 'source /path/to/venv/bin/activate', one simple command each.
    variables
        Environment variables.
    """

    modules: Annotated[tuple[Word, ...], _FromList] = ()
    setup: _AllWords = ()
    variables: dict[_VariableName, Words] = {}


class EngineFacts(Facts):
    """Where simulation programs and their data are; its user's to fill in.

    Attributes
    ----------
    vasp_std, vasp_gam, dftb
        Programs: a name on PATH once the modules are loaded, or an absolute path.
    potcar_library
        Folder with one folder per potential, each with a POTCAR.
    slater_koster
        Folder of a Slater–Koster set.
    """

    vasp_std: Word = "vasp_std"
    vasp_gam: Word = "vasp_gam"
    dftb: Word = "dftb+"
    potcar_library: SitePath | None = None
    slater_koster: SitePath | None = None


class JobSize(SiteSection):
    """How large the batch jobs of one kind are.

    Attributes
    ----------
    nodes
        Nodes of a job.
    walltime_s
        Time asked for [s].
    ranks_per_node
        MPI ranks per node, for kinds that run as ranks; as many as Dask workers by default.
    """

    nodes: Count = 1
    walltime_s: WalltimeS = 3600
    ranks_per_node: Count | None = None


class JobSizes(SiteSection):
    """Batch jobs by what they do.

    Attributes
    ----------
    frames
        Reading, decoding and analysing movies.
    training
        Training of networks.
    fits
        Kinetics and potentials of a campaign; fits over MPI ranks.
    queue
        Launchers of the simulation queue.
    """

    frames: JobSize = JobSize()
    training: JobSize = JobSize()
    fits: JobSize = JobSize()
    queue: JobSize = JobSize()


class DaskFacts(SiteSection):
    """Dask workers in batch jobs.

    Attributes
    ----------
    workers_per_node
        Worker processes; one per core by default. They share the devices of the node in turn.
    minimum_jobs, maximum_jobs
        Batch jobs to keep while there is work: as many as the work can use, within these bounds.
    walltime_s
        Time asked for each [s].
    multi_node
        Whether a job is many nodes here. Then work is not spread over jobs of one node each, but over the nodes of
        the job that it runs in.
    """

    workers_per_node: Count | None = None
    minimum_jobs: Count = 1
    maximum_jobs: Count = 4
    walltime_s: WalltimeS = 3600
    multi_node: bool = False

    @model_validator(mode="after")
    def _bounds_in_order(self) -> Self:
        if self.minimum_jobs > self.maximum_jobs:
            raise ValueError(f"minimum_jobs of at most maximum_jobs, {self.maximum_jobs}")
        return self
