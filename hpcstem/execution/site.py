"""What a machine is like, from a YAML file of `site-configs/`: data only."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from hpcstem.config import checked, read_yaml, shipped_file
from hpcstem.errors import ConfigError
from hpcstem.execution.site_sections import (
    Count,
    DaskFacts,
    EngineFacts,
    EnvironmentFacts,
    JobSizes,
    LauncherFacts,
    NetworkFacts,
    NodeFacts,
    PathFacts,
    SchedulerFacts,
    SiteSection,
)


class Site(SiteSection):
    """How to run on one machine.

    Parameters
    ----------
    executor
        What processes batches: `serial`, `dask` or `mpi`.
    workers
        Dask worker processes on this machine; None for one per core.
    threads_per_worker
        Batches that one Dask worker works on at the same time.
    in_flight_per_worker
        Batches handed out per Dask thread.
    memory_per_worker_GB
        Memory at which a Dask worker is started anew [1e9 bytes]; None for an equal share of the machine's.
    retries
        How often Dask tries a batch again after its worker died.
    scratch
        Folder for temporary files, which may be a node's own; None for the system's.
    scheduler, node, network, launcher, paths, environment, engines
        Facts of the facility; see `hpcstem.execution.site_sections`.
    jobs
        How large batch jobs are.
    dask
        Dask workers in batch jobs.
    """

    executor: Literal["serial", "dask", "mpi"] = "dask"
    workers: Count | None = None
    threads_per_worker: Count = 1
    in_flight_per_worker: Count = 2
    memory_per_worker_GB: Annotated[float, Field(gt=0)] | None = None
    retries: Annotated[int, Field(ge=0)] = 3
    scratch: Annotated[Path, Field(strict=False)] | None = None
    scheduler: SchedulerFacts = SchedulerFacts()
    node: NodeFacts = NodeFacts()
    network: NetworkFacts = NetworkFacts()
    launcher: LauncherFacts = LauncherFacts()
    paths: PathFacts = PathFacts()
    environment: EnvironmentFacts = EnvironmentFacts()
    engines: EngineFacts = EngineFacts()
    jobs: JobSizes = JobSizes()
    dask: DaskFacts = DaskFacts()

    @property
    def workers_per_node(self) -> int:
        """Dask workers on one node of a batch job: as the site says, or one per core; they share the node's devices.

        Most of what is done with a frame is done by a core, so that one core per device would leave the device idle.
        """
        return self.dask.workers_per_node or max(self.node.cores or 1, self.node.gpus)

    @property
    def training_ranks_per_node(self) -> int:
        """Processes that train networks on one node of a batch job: one per device, or as many as there are workers."""
        return self.node.gpus or self.workers_per_node


def load_site(name_or_path: str | Path) -> Site:
    """Read a site by the name of a shipped file, or from a path that ends in .yaml or .yml.

    A file of one's own may begin with `base: NAME`: it then holds only what differs from that shipped site. Groups are
    merged key by key, lists are replaced.

    Raises
    ------
    ConfigError
        No such site; or the file is not YAML, has an unknown key, or a value that cannot be used.
    """
    path = Path(name_or_path)
    if path.suffix not in (".yaml", ".yml"):
        path = shipped_file("site-configs", str(name_or_path))
    value = read_yaml(path)
    if isinstance(value, dict) and "base" in value:
        own = {key: part for key, part in value.items() if key != "base"}
        base = value["base"]
        if not isinstance(base, str):
            raise ConfigError(f"site {path}: base", repr(base), "the name of a site that ships with hpcstem")
        value = _merged(read_yaml(shipped_file("site-configs", base)), own)
    return checked(Site, value, f"site {path}")


def _merged(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in own.items():
        held = merged.get(key)
        merged[key] = _merged(held, value) if isinstance(held, dict) and isinstance(value, dict) else value
    return merged


def require_submittable(site: Site, name_or_path: str | Path) -> None:
    """Refuse a site to which no batch job can be handed as it stands.

    Parameters
    ----------
    site
        The machine.
    name_or_path
        What it was loaded by, for the message.

    Raises
    ------
    ConfigError
        It has no batch system, is out of service, or lacks a value that every job needs there.
    """
    scheduler = site.scheduler
    if scheduler.out_of_service:
        raise ConfigError(f"site {name_or_path} takes no jobs", scheduler.out_of_service, "another --site")
    if scheduler.kind == "none":
        raise ConfigError(
            f"site {name_or_path} has no batch system",
            "scheduler.kind: none",
            "--site with slurm, pbs, lsf or a facility",
        )
    missing = [name for name in scheduler.required if getattr(scheduler, name) is None]
    if missing:
        path = Path(name_or_path)
        own = path.suffix in (".yaml", ".yml")
        lines = ["scheduler:", *(f"  {name}: {_EXAMPLES[name]}" for name in missing)]
        where = f"in {path}" if own else "in a file such as my-site.yaml, given by --site my-site.yaml"
        text = "\n  ".join(lines if own else [f"base: {name_or_path}", *lines])
        raise ConfigError(
            f"site {name_or_path} needs scheduler.{' and scheduler.'.join(missing)}",
            wanted=f"these lines {where}:\n  {text}",
        )


_EXAMPLES = {"account": "YOUR_PROJECT", "queue": "QUEUE", "qos": "regular", "constraint": "gpu"}


def require_within_limits(site: Site, nodes: int, walltime_s: int) -> None:
    """Refuse a job that the facility's table of limits does not allow.

    Raises
    ------
    ConfigError
        No row of the queue holds so many nodes for so long; the rows are named.
    """
    queue = site.scheduler.qos or site.scheduler.queue
    rows = [limit for limit in site.scheduler.limits if limit.queue == queue]
    if not rows or any(row.nodes[0] <= nodes <= row.nodes[1] and walltime_s <= row.walltime_s for row in rows):
        return
    allowed = ", ".join(f"{row.nodes[0]} to {row.nodes[1]} nodes for {row.walltime_s} s" for row in rows)
    raise ConfigError(f"job in {queue}", f"{nodes} nodes for {walltime_s} s", f"at most {allowed}")
