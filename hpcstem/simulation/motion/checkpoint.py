"""The state of a run as one file of arrays, replaced whole, never unpickled."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hpcstem.errors import SimulationError
from hpcstem.files import whole_file


def write_checkpoint(path: Path, arrays: Mapping[str, Any]) -> None:
    """Write named arrays, whole or not at all."""
    with whole_file(path) as temporary, open(temporary, "wb") as handle:
        np.savez(handle, **arrays)


def read_checkpoint(path: Path) -> dict[str, np.ndarray] | None:
    """Return the arrays of a checkpoint; None where there is none.

    Raises
    ------
    SimulationError
        The file is damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise SimulationError(f"cannot read checkpoint {path}", error, "a whole file, or none") from error
