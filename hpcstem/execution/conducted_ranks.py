"""MPI ranks of which one conducts: it alone decides what is run, the others wait to be told and take their share.

A program of which every rank calls `MPIExecutor.run` has to take the same way on every rank. One that reads and writes
a run directory cannot: what is done is found by one process, under its lock.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import ClassVar

from hpcstem.analysis import Analysis
from hpcstem.errors import HpcstemError
from hpcstem.execution.executor import Batch, Executor, OnBatch, Partial, Result, require_batches
from hpcstem.execution.mpi_executor import MPIExecutor
from hpcstem.execution.ranks import launched_tasks
from hpcstem.execution.site import Site


class ConductedRanks(Executor):
    """Executor of the conducting rank, and what the others do meanwhile.

    Parameters
    ----------
    ranks
        All ranks.
    """

    name: ClassVar[str] = "mpi"

    def __init__(self, ranks: MPIExecutor) -> None:
        self._ranks = ranks

    @property
    def workers(self) -> int:
        """Number of ranks."""
        return self._ranks.workers

    @property
    def is_root(self) -> bool:
        """Whether this rank conducts."""
        return self._ranks.is_root

    def run(
        self, analysis: Analysis[Batch, Partial, Result], batches: Sequence[Batch], on_batch: OnBatch | None = None
    ) -> Result:
        """See `Executor.run`; the conducting rank alone calls it."""
        require_batches(batches)
        analysis, batches = self._ranks.shared((analysis, batches))
        return self._ranks.run(analysis, batches, on_batch)

    def serve(self) -> None:
        """Take part in every run until the conducting rank lets go; the other ranks call it."""
        while (told := self._ranks.shared(None)) is not None:
            # An error of any rank is raised on all; what to do about it is for the conducting one.
            with suppress(HpcstemError):
                self._ranks.run(*told)

    def release(self) -> None:
        """Let the other ranks go; the conducting rank calls it."""
        self._ranks.shared(None)

    def close(self) -> None:
        """Keep the ranks: more runs may follow until `release`."""


@contextmanager
def conducted_ranks(site: Site) -> Iterator[ConductedRanks | None]:
    """Ranks that a launcher started for a site whose executor they are; None for a process that is alone.

    On leaving, the conducting rank lets the others go.

    Raises
    ------
    ExecutionError
        mpi4py is missing, or the ranks do not see each other.
    """
    # A batch job sets SLURM_NTASKS for the one process of its script too.
    own = {name: value for name, value in os.environ.items() if name != "SLURM_NTASKS"}
    if site.executor != "mpi" or launched_tasks(own) == 1:
        yield None
        return
    with MPIExecutor() as ranks:
        conducted = ConductedRanks(ranks)
        try:
            yield conducted
        finally:
            if conducted.is_root:
                conducted.release()
