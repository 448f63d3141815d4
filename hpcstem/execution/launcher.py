"""Command lines that start processes on the nodes of a batch job."""

from __future__ import annotations

from hpcstem.errors import ConfigError
from hpcstem.execution.site import Site


def launch_words(site: Site, nodes: int, per_node: int) -> list[str]:
    """Beginning of a command line that starts `per_node` processes on each of `nodes` nodes of a job.

    Parameters
    ----------
    site
        The machine; its cores and devices are divided among the processes of a node.
    nodes, per_node
        How many.

    Raises
    ------
    ConfigError
        The site has no launcher, and one process on one node would not do.
    """
    total, cores, gpus = nodes * per_node, site.node.cores, site.node.gpus
    cores_each = None if cores is None else str(max(1, cores // per_node))
    match site.launcher.kind:
        case "srun":
            words = ["srun", f"--nodes={nodes}", f"--ntasks={total}", f"--ntasks-per-node={per_node}"]
            # Unbound, a process has the cores of its whole node.
            words += ["--cpu-bind=none"] if cores_each is None else [f"--cpus-per-task={cores_each}"]
            words += [f"--gpus-per-node={gpus}"] if gpus else []
        case "mpiexec":
            words = ["mpiexec", "-n", str(total), "-ppn", str(per_node)]
        case "jsrun":
            words = ["jsrun", "-n", str(total), "-r", str(per_node), "-a", "1"]
            words += [] if cores_each is None else ["-c", cores_each]
            words += ["-g", str(gpus // per_node)] if gpus else []
        case _:
            if total > 1:
                raise ConfigError(
                    f"site has no launcher for {total} processes",
                    "launcher.kind: none",
                    "launcher: {kind: srun}, mpiexec or jsrun, in the site file",
                )
            words = []
    return [*words, *(word for argument in site.launcher.arguments for word in argument.split(" "))]
