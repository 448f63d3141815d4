"""Errors of VASP, seen and corrected by Custodian's handlers.

Custodian's own loop would start a segment again from its beginning after each correction. Here the handlers correct the
input, and the next segment goes on from the last whole step.
"""

from __future__ import annotations

import json
import warnings
from functools import cached_property
from pathlib import Path
from typing import Any

from hpcstem.errors import SimulationError


class VaspErrors:
    """Handlers for one job; they count what they have tried.

    Parameters
    ----------
    is_dynamics
        Whether the job is molecular dynamics, for which fewer handlers make sense.
    """

    def __init__(self, is_dynamics: bool) -> None:
        self._is_dynamics = is_dynamics

    @cached_property
    def _handlers(self) -> list[Any]:
        # Takes seconds, so only where it is needed.
        from custodian.vasp import handlers

        names = ["VaspErrorHandler", "MeshSymmetryErrorHandler", "PositiveEnergyErrorHandler", "FrozenJobErrorHandler"]
        names += ["StdErrHandler", "LargeSigmaHandler", "IncorrectSmearingHandler"]
        if not self._is_dynamics:
            names += [
                "UnconvergedErrorHandler",
                "NonConvergingErrorHandler",
                "PotimErrorHandler",
                "KspacingMetalHandler",
            ]
        return [getattr(handlers, name)() for name in names]

    def seen_running(self, folder: Path) -> bool:
        """Whether a handler that watches running jobs sees an error."""
        return any(handler.is_monitor and _sees(handler, folder) for handler in self._handlers)

    def correct(self, folder: Path) -> tuple[str, ...]:
        """Correct the input in `folder`; return a line per handler that saw an error.

        Raises
        ------
        SimulationError
            A handler sees an error that it cannot correct.
        """
        lines = []
        for handler in self._handlers:
            if not _sees(handler, folder):
                continue
            try:
                found = handler.correct(str(folder))
            except Exception as error:  # of pymatgen, for files that it cannot read
                raise SimulationError(f"correction by {type(handler).__name__}", error, "readable input") from error
            errors = ", ".join(sorted(map(str, found["errors"])))
            if not found["actions"]:
                raise SimulationError("VASP", errors, "an input without this error; Custodian knows no correction")
            lines.append(f"{errors}: {json.dumps(found['actions'], sort_keys=True, default=str)}")
            if handler.is_terminating:
                break
        return tuple(lines)


def _sees(handler: Any, folder: Path) -> bool:
    try:
        with warnings.catch_warnings():
            # They average over the parts of an output that is broken off.
            warnings.simplefilter("ignore")
            return bool(handler.check(str(folder)))
    except Exception:
        # Handlers raise many kinds where an output is absent or broken off, which says nothing about their error.
        return False
