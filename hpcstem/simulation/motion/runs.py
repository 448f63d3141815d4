"""What relaxations and molecular dynamics share: whose checkpoint a file is, and when they stop."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from ase import Atoms

from hpcstem.errors import SimulationError
from hpcstem.simulation.deadline import Deadline, SegmentEnded
from hpcstem.simulation.settings import JobSettings
from hpcstem.simulation.structures import to_xyz


def identity(atoms: Atoms, settings: JobSettings, seed: np.random.SeedSequence) -> str:
    """Return a digest of everything that decides how a run goes."""
    entropy = [seed.entropy, list(seed.spawn_key)]
    text = json.dumps([type(settings).__name__, settings.to_document(), to_xyz(atoms), entropy], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def same_run(path: Path, saved: Mapping[str, np.ndarray], run: str) -> None:
    """Check that a checkpoint belongs to the run with this digest.

    Raises
    ------
    SimulationError
        It belongs to another structure, seed or settings.
    """
    if str(saved["run"]) != run:
        raise SimulationError(f"checkpoint {path}", "another structure, seed or settings", "a folder of its own")


class StepClock:
    """Decides after each step whether the next still fits into the time that is left.

    A run stops where it has a checkpoint, so that whoever goes on computes what this run would have: it stops early
    where the steps up to the next checkpoint do not fit. Where it must stop between two, the steps since the last
    are made again.

    Parameters
    ----------
    deadline
        The time to stop at.
    checkpoint_steps
        Steps between two checkpoints.
    n_steps
        Steps done at the beginning, all of them safe on disk.
    """

    def __init__(self, deadline: Deadline, checkpoint_steps: int, n_steps: int) -> None:
        self._deadline, self._checkpoint_steps = deadline, checkpoint_steps
        self._n_safe, self._longest_s, self._last = n_steps, 0.0, time.monotonic()

    def go_on(self, n_steps: int, safe: bool) -> None:
        """Note that a step has ended.

        Parameters
        ----------
        n_steps
            Steps done.
        safe
            Whether all of them are in a checkpoint.

        Raises
        ------
        SegmentEnded
            The next steps do not fit.
        """
        now = time.monotonic()
        self._longest_s, self._last = max(self._longest_s, now - self._last), now
        if safe:
            self._n_safe = n_steps
        ahead = self._checkpoint_steps if safe else 1
        if not self._deadline.allows(ahead * self._longest_s):
            raise SegmentEnded(self._n_safe, self._deadline)
