"""Progress on a terminal; silent where there is none."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self


@contextmanager
def progress_bar(task: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
    """Show a bar on standard error while work goes on, when that is a terminal.

    Parameters
    ----------
    task
        What is being done.
    total
        How many there are to do.
    unit
        What is counted.

    Yields
    ------
    callable
        Takes how many are done so far.
    """
    from tqdm import tqdm

    with tqdm(total=total, desc=task, unit=unit, disable=not sys.stderr.isatty(), leave=False) as bar:

        def update(done: int) -> None:
            bar.update(done - bar.n)

        yield update


class TaskBars:
    """One bar after another, for work that names its tasks as it goes."""

    def __init__(self) -> None:
        self._bar: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def follow(self, task: str, done: int, total: int, loss: float) -> None:
        """Show how far a task is; a new name starts a new bar."""
        from tqdm import tqdm

        if self._bar is None or self._bar.desc != f"{task}: ":
            self.__exit__()
            self._bar = tqdm(total=total, desc=task, disable=not sys.stderr.isatty())
            self._bar.desc = f"{task}: "
        if loss == loss:
            self._bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
        self._bar.update(done - self._bar.n)
