"""The machine: executors, sites, and checks of what works here."""

from hpcstem.execution.checks import checks
from hpcstem.execution.dask_executor import DaskExecutor
from hpcstem.execution.executor import Executor
from hpcstem.execution.mpi_executor import MPIExecutor
from hpcstem.execution.ranks import mpiexec_command
from hpcstem.execution.selection import make_executor
from hpcstem.execution.serial import SerialExecutor
from hpcstem.execution.site import Site, load_site

__all__ = [
    "DaskExecutor",
    "Executor",
    "MPIExecutor",
    "SerialExecutor",
    "Site",
    "checks",
    "load_site",
    "make_executor",
    "mpiexec_command",
]
