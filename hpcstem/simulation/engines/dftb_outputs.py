"""Outputs of DFTB+, whole or broken off: md.out, geo_end.xyz, results.tag and what it prints."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import units

from hpcstem.files import sha256

OUTPUT = "dftb.out"
_NUMBER = re.compile(r"[-+]?\d*\.\d+(?:[Ee][-+]?\d+)?")


@dataclass(frozen=True)
class MdStep:
    """One whole step of md.out.

    Parameters
    ----------
    chain
        Positions, velocities and forces of the thermostat before the step, with shape (3, 3), float64.
    forces_eV_A
        Forces [eV/Å], with shape (n_atoms, 3), float64.
    energy_eV
        Mermin free energy [eV].
    kinetic_eV
        Kinetic energy [eV].
    """

    chain: np.ndarray
    forces_eV_A: np.ndarray
    energy_eV: float
    kinetic_eV: float


def read_md(path: Path) -> list[MdStep]:
    """Return the whole steps of an md.out; none where there is no file."""
    if not path.is_file():
        return []
    blocks = re.split(r"^MD step: +\d+\n", path.read_text(errors="replace"), flags=re.MULTILINE)[1:]
    # The line after the last value shows that the value is whole.
    return [_md_step(block) for block in blocks if re.search(r"^MD Temperature:.*K\s*\n", block, re.MULTILINE)]


def _md_step(block: str) -> MdStep:
    chain = [_numbers(block.partition(f"\n{name}:\n")[2], 1)[0] for name in "xvg"]
    after = block.partition("Forces (au)\n")[2].splitlines()
    n_atoms = next(k for k, line in enumerate(after) if not re.fullmatch(r"[-+.\dEe\s]+", line))
    forces = _numbers("\n".join(after), n_atoms) * units.Hartree / units.Bohr
    return MdStep(
        chain=np.array(chain),
        forces_eV_A=forces,
        energy_eV=_hartree(block, "Potential Energy") * units.Hartree,
        kinetic_eV=_hartree(block, "MD Kinetic Energy") * units.Hartree,
    )


def _numbers(text: str, n_rows: int) -> np.ndarray:
    return np.array([[float(word) for word in _NUMBER.findall(line)] for line in text.splitlines()[:n_rows]])


def _hartree(block: str, name: str) -> float:
    found = re.search(rf"^{name}: +(\S+) +H", block, re.MULTILINE)
    return float(found[1]) if found else np.nan


def read_geometries(path: Path) -> list[np.ndarray]:
    """Return the columns of each whole frame of geo_end.xyz, with shape (n_atoms, n_columns), float64.

    The first three are positions [Å]; in molecular dynamics the last three are velocities [Å/ps].
    """
    if not path.is_file():
        return []
    text = path.read_text(errors="replace")
    lines, frames = text.splitlines(), []
    n_whole = len(lines) if text.endswith("\n") else len(lines) - 1
    at = 0
    while at < n_whole and at + 2 + int(lines[at]) <= n_whole:
        rows = lines[at + 2 : at + 2 + int(lines[at])]
        frames.append(np.array([row.split()[1:] for row in rows], float))
        at += 2 + len(rows)
    return frames


def read_results_tag(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a results.tag, each in the shape that Python reads; empty where there is no file."""
    if not path.is_file():
        return {}
    found = {}
    pattern = re.compile(r"^(\w+) *:real:\d+:([\d,]*)\n((?:(?! *\w+ *:).*\n?)*)", re.MULTILINE)
    for name, shape, values in pattern.findall(path.read_text(errors="replace")):
        sizes = [int(size) for size in shape.split(",") if size][::-1]
        numbers = np.array(values.split(), float)
        if numbers.size == int(np.prod(sizes)):
            found[name] = numbers.reshape(sizes)
    return found


def printed_energies(folder: Path) -> list[float]:
    """Return the Mermin free energy of each geometry that DFTB+ has printed [eV]."""
    path = folder / OUTPUT
    text = path.read_text(errors="replace") if path.is_file() else ""
    return [float(value) * units.Hartree for value in re.findall(r"^Total Mermin free energy: +(\S+) +H", text, re.M)]


def has_converged(folder: Path) -> bool:
    """Whether DFTB+ says that a relaxation has reached its accuracy."""
    path = folder / OUTPUT
    return path.is_file() and "\nGeometry converged" in path.read_text(errors="replace")


def inputs(folder: Path, slater_koster_files: Sequence[Path]) -> dict[str, Any]:
    """Return the release of DFTB+ that ran in `folder`, and hashes of its parameter files, for a result."""
    hashes = {path.name: sha256(path) for path in slater_koster_files}
    return {"program": f"DFTB+ {version(folder)}", "slater_koster": hashes}


def version(folder: Path) -> str:
    """Return the release that DFTB+ prints; `unknown` where it does not."""
    path = folder / OUTPUT
    found = re.search(r"^\| +DFTB\+ +(.+?)\s*$", path.read_text(errors="replace"), re.M) if path.is_file() else None
    return found[1] if found else "unknown"
