"""Extended XYZ files of the simulation: the last structure, and what each step's header says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hpcstem.errors import SimulationError

if TYPE_CHECKING:
    from ase import Atoms


@dataclass(frozen=True)
class TemperatureTrace:
    """Temperature over one molecular-dynamics run.

    Parameters
    ----------
    label
        Name of the run.
    time_fs
        Time [fs], with shape (n_steps,), float64.
    temperature_K
        Instantaneous temperature [K], with shape (n_steps,), float64.
    target_K
        Temperature of the thermostat [K], where known.
    """

    label: str
    time_fs: np.ndarray
    temperature_K: np.ndarray
    target_K: float | None = None


@dataclass(frozen=True)
class EnergyTrace:
    """Energies over one molecular-dynamics run.

    Parameters
    ----------
    time_fs
        Time [fs], with shape (n_steps,), float64.
    potential_eV
        Potential energy [eV], with shape (n_steps,), float64.
    conserved_eV
        What the thermostat conserves [eV], with shape (n_steps,), float64; NaN where the program does not tell it.
    temperature_K
        Instantaneous temperature [K], with shape (n_steps,), float64.
    """

    time_fs: np.ndarray
    potential_eV: np.ndarray
    conserved_eV: np.ndarray
    temperature_K: np.ndarray


def read_last_structure(path: Path) -> Atoms:
    """Read the last structure of an extended XYZ file.

    Raises
    ------
    SimulationError
        The file is damaged or holds no structure.
    """
    from ase.io import read

    try:
        structure: Atoms = read(path, index=-1, format="extxyz")  # type: ignore[assignment]
    except Exception as error:  # the parser raises whatever the damaged line happens to break
        raise SimulationError(f"cannot read {path}", error, "an extended XYZ file") from error
    if len(structure) == 0:
        raise SimulationError(f"{path}", "no atoms", "at least one atom")
    return structure


def read_headers(path: Path) -> list[dict[str, Any]]:
    """Key-value pairs of every step's comment line, without reading the atoms.

    Raises
    ------
    SimulationError
        The file is not made of whole extended XYZ steps.
    """
    from ase.io.extxyz import key_val_str_to_dict

    headers = []
    try:
        with path.open(encoding="utf-8") as lines:
            for first in lines:
                if not first.strip():
                    continue
                n_atoms = int(first)
                headers.append(dict(key_val_str_to_dict(next(lines))))
                for _ in range(n_atoms):
                    next(lines)
    except (OSError, ValueError, StopIteration) as error:
        thing = f"cannot read step {len(headers)} of {path}"
        raise SimulationError(thing, error or "the end of the file", "whole extended XYZ steps") from error
    return headers


def read_temperature_trace(path: Path, label: str, target_K: float | None) -> TemperatureTrace | None:
    """Temperature over one run; None where its headers lack time or temperature."""
    steps = [
        (float(header["time_fs"]), float(header["temperature_K"]))
        for header in read_headers(path)
        if header.get("time_fs") is not None and header.get("temperature_K") is not None
    ]
    if not steps:
        return None
    time_fs, temperature_K = np.array(steps, dtype=float).T
    return TemperatureTrace(label, time_fs, temperature_K, target_K)


def read_energy_trace(path: Path, most: int = 500) -> EnergyTrace | None:
    """Energies over one run from its `energies.csv`; None where there is no such file.

    Parameters
    ----------
    path
        The file.
    most
        Of more steps than this some are left out, evenly.

    Raises
    ------
    SimulationError
        The file is damaged.
    """
    if not path.exists():
        return None
    try:
        _, time_fs, potential_eV, _, temperature_K, conserved_eV = np.loadtxt(
            path, delimiter=",", skiprows=1, ndmin=2
        ).T
    except ValueError as error:
        raise SimulationError(f"cannot read {path}", error, "six numbers per line") from error
    shown = np.unique(np.linspace(0, len(time_fs) - 1, most).round().astype(int))
    return EnergyTrace(time_fs[shown], potential_eV[shown], conserved_eV[shown], temperature_K[shown])
