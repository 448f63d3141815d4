"""What relaxations and molecular dynamics share: which atoms move, and whose checkpoint a file is."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from ase import Atoms

from hpcstem.errors import SimulationError
from hpcstem.simulation.settings import EngineSettings
from hpcstem.simulation.structures import to_xyz


def free_atoms(atoms: Atoms, settings: EngineSettings) -> np.ndarray:
    """Return True for each atom that moves, with shape (n_atoms, 1), bool.

    Raises
    ------
    SimulationError
        A fixed atom is not there, or all atoms are fixed.
    """
    absent = [index for index in settings.fixed if index >= len(atoms)]
    if absent:
        raise SimulationError("index of a fixed atom", absent[0], f"0 to {len(atoms) - 1}")
    free = np.ones((len(atoms), 1), bool)
    free[list(settings.fixed)] = False
    if not free.any():
        raise SimulationError("fixed atoms", "all of them", "at least one that moves")
    return free


def identity(atoms: Atoms, settings: EngineSettings, seed: np.random.SeedSequence) -> str:
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
