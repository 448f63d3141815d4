"""The reference: one batch after another in this process."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from typing import Any, ClassVar, TypeVar

from hpcstem.analysis import Analysis
from hpcstem.errors import HpcstemError
from hpcstem.execution.executor import (
    Batch,
    Executor,
    OnBatch,
    Partial,
    Result,
    batch_failure,
    require_batches,
)
from hpcstem.execution.memory import keep_memory

Value = TypeVar("Value")


class SerialExecutor(Executor):
    """Process batches one after another.

    Parameters
    ----------
    check_pickling
        Send the analysis, each batch and each partial result through pickle, as the other executors do, so that
        what cannot travel fails here, with a plain traceback.
    """

    name: ClassVar[str] = "serial"

    def __init__(self, check_pickling: bool = False) -> None:
        self._check_pickling = check_pickling

    @property
    def workers(self) -> int:
        """Always one."""
        return 1

    def run(
        self,
        analysis: Analysis[Batch, Partial, Result],
        batches: Sequence[Batch],
        on_batch: OnBatch | None = None,
    ) -> Result:
        """See `Executor.run`."""
        require_batches(batches)
        keep_memory()
        analysis = self._travelled(analysis)
        merged: Any = None
        for index, batch in enumerate(batches):
            try:
                partial = self._travelled(analysis.process(self._travelled(batch)))
                merged = partial if index == 0 else analysis.merge(merged, partial)
            except HpcstemError:
                raise
            except Exception as error:
                raise batch_failure(index, len(batches), error) from error
            if on_batch is not None:
                on_batch(index + 1)
        return analysis.finish(merged)

    def close(self) -> None:
        """Do nothing: no process was started."""

    def _travelled(self, value: Value) -> Value:
        # Our own bytes of a moment ago, not a file.
        return pickle.loads(pickle.dumps(value)) if self._check_pickling else value  # noqa: S301
