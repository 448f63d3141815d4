"""Outputs of VASP, whole or broken off: vasprun.xml, OUTCAR and CONTCAR."""

from __future__ import annotations

import enum
import gzip
import io
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from xml.etree import ElementTree

import numpy as np

from hpcstem.errors import SimulationError


@dataclass(frozen=True)
class VaspStep:
    """One ionic step.

    Parameters
    ----------
    cell_A
        Rows are the cell's vectors [Å], with shape (3, 3), float64.
    fractional
        Positions in units of the vectors, with shape (n_atoms, 3), float64.
    forces_eV_A
        Forces [eV/Å], with shape (n_atoms, 3), float64.
    energy_eV
        Energy extrapolated to zero smearing [eV].
    converged
        Whether the electronic steps met EDIFF.
    kinetic_eV, conserved_eV
        Kinetic energy of the ions and the thermostat's conserved quantity [eV]; None in a relaxation.
    """

    cell_A: np.ndarray
    fractional: np.ndarray
    forces_eV_A: np.ndarray
    energy_eV: float
    converged: bool
    kinetic_eV: float | None
    conserved_eV: float | None


@dataclass(frozen=True)
class VaspRun:
    """What a vasprun.xml holds.

    Parameters
    ----------
    version
        Version of VASP, `unknown` where it is not stated.
    symbols
        Chemical symbols of the atoms.
    steps
        Whole ionic steps.
    whole
        Whether the file is complete; it is not where VASP was killed.
    """

    version: str
    symbols: tuple[str, ...]
    steps: tuple[VaspStep, ...]
    whole: bool

    @property
    def n_unconverged(self) -> int:
        """Steps whose electronic steps did not converge."""
        return sum(not step.converged for step in self.steps)


class OutcarEnd(enum.StrEnum):
    """How an OUTCAR ends."""

    CONVERGED = "converged"
    """The relaxation reached its accuracy."""
    FINISHED = "finished"
    """VASP made all steps that it was asked for."""
    STOPPED = "stopped"
    """VASP stopped because a STOPCAR asked it to."""
    BROKEN = "broken"
    """VASP was killed, or failed."""


def read_vasprun(path: Path) -> VaspRun:
    """Read a vasprun.xml as far as it goes; `.gz` is unpacked.

    Raises
    ------
    SimulationError
        The file is absent, or breaks off before the atoms.
    """
    path = Path(path)
    version, whole, symbols = "unknown", False, tuple[str, ...]()
    steps: list[VaspStep] = []
    electronic: list[tuple[float, float]] = []
    limits = {"NELM": 60.0, "EDIFF": 1e-4}
    try:
        with _opened(path) as handle:
            for _, element in ElementTree.iterparse(handle, ("end",)):  # noqa: S314
                if element.tag == "i" and element.get("name") == "version":
                    version = (element.text or "").strip()
                elif element.tag in ("incar", "electronic"):
                    limits = {name: _named(element, name, limits[name]) for name in limits}
                elif element.tag == "atominfo":
                    symbols = tuple(
                        (cell.text or "").strip() for cell in element.iterfind("array[@name='atoms']/set/rc/c[1]")
                    )
                elif element.tag == "scstep":
                    electronic.append((_named(element, "e_fr_energy", np.nan), _named(element, "e_0_energy", np.nan)))
                    element.clear()
                elif element.tag == "calculation":
                    step = _step(element, electronic, limits)
                    steps += [step] if step is not None else []
                    electronic = []
                    element.clear()
            whole = True
    except FileNotFoundError as error:
        raise SimulationError(f"output {path}", "no such file", "a run of VASP") from error
    except (ElementTree.ParseError, EOFError):
        whole = False
    if not symbols:
        raise SimulationError(f"output {path}", "no atoms in it", "a run of VASP that got as far as its first step")
    return VaspRun(version, symbols, tuple(steps), whole)


def _step(
    calculation: ElementTree.Element, electronic: list[tuple[float, float]], limits: dict[str, float]
) -> VaspStep | None:
    """Return a whole step; None for one that VASP was broken off in."""
    cell, positions = (
        _rows(calculation.find(f"structure/{place}"))
        for place in ("crystal/varray[@name='basis']", "varray[@name='positions']")
    )
    forces, energy = _rows(calculation.find("varray[@name='forces']")), calculation.find("energy")
    if cell is None or positions is None or forces is None or energy is None or not electronic:
        return None
    free, zero = electronic[-1]
    # VASP writes a wrong e_0_energy here, so the difference is that of the last electronic step.
    energy_eV = _named(energy, "e_fr_energy", np.nan) + zero - free
    change = abs(free - electronic[-2][0]) if len(electronic) > 1 else np.inf
    converged = len(electronic) < limits["NELM"] or change < limits["EDIFF"]
    kinetic, total = _named(energy, "kinetic", np.nan), _named(energy, "total", np.nan)
    return VaspStep(
        cell_A=cell,
        fractional=positions,
        forces_eV_A=forces,
        energy_eV=energy_eV,
        converged=converged,
        kinetic_eV=None if np.isnan(kinetic) else kinetic,
        conserved_eV=None if np.isnan(total) else total,
    )


def _rows(array: ElementTree.Element | None) -> np.ndarray | None:
    return None if array is None else np.array([_numbers(row.text) for row in array.iterfind("v")])


def _numbers(text: str | None) -> list[float]:
    # Fortran writes stars where a number does not fit.
    return [np.nan if "*" in word else float(word) for word in (text or "").split()]


def _named(element: ElementTree.Element, name: str, default: float) -> float:
    found = next((item for item in element.iterfind("i") if item.get("name") == name), None)
    if found is None:
        found = next((item for item in element.iter("i") if item.get("name") == name), None)
    numbers = _numbers(found.text) if found is not None else []
    return numbers[0] if numbers else default


def outcar_end(path: Path) -> OutcarEnd:
    """Return how an OUTCAR ends; an absent one is broken. `.gz` is unpacked."""
    end = OutcarEnd.BROKEN
    stopped = converged = False
    try:
        with _opened(Path(path)) as handle:
            for line in handle:
                stopped |= b"stop encountered" in line
                converged |= b"reached required accuracy" in line
                if b"General timing and accounting" in line:
                    end = OutcarEnd.FINISHED
    except (FileNotFoundError, EOFError):
        return OutcarEnd.BROKEN
    if end == OutcarEnd.FINISHED and (stopped or converged):
        return OutcarEnd.CONVERGED if converged else OutcarEnd.STOPPED
    return end


def read_xdatcar(path: Path) -> tuple[tuple[str, ...], np.ndarray]:
    """Return the symbols and the fractional positions of whole frames of an XDATCAR with one cell.

    Returns
    -------
    symbols
        Chemical symbols, length n_atoms.
    fractional
        Positions, with shape (n_frames, n_atoms, 3), float64.

    Raises
    ------
    SimulationError
        The file is not an XDATCAR.
    """
    lines = Path(path).read_text().splitlines()
    try:
        counts = [int(word) for word in lines[6].split()]
        symbols = tuple(s for s, count in zip(lines[5].split(), counts, strict=True) for _ in range(count))
        starts = [number + 1 for number, line in enumerate(lines) if line.startswith("Direct")]
        blocks = [lines[start : start + len(symbols)] for start in starts]
        rows = [[line.split()[:3] for line in block] for block in blocks if len(block) == len(symbols)]
        return symbols, np.array(rows, float).reshape(-1, len(symbols), 3)
    except (IndexError, ValueError) as error:
        raise SimulationError(f"cannot read {path}", error, "an XDATCAR") from error


def contcar_positions(path: Path) -> np.ndarray | None:
    """Return the fractional positions of a whole CONTCAR, with shape (n_atoms, 3), float64; None for any other file.

    A CONTCAR that VASP was killed in the writing of is not whole: velocities and the state of the thermostat follow the
    positions, so the number of lines must be that of whole blocks.
    """
    if not path.is_file():
        return None
    text = path.read_text(errors="replace")
    lines = text.splitlines()
    try:
        n_atoms = sum(int(word) for word in lines[6].split())
        start = 8 if lines[7].strip()[:1] in "sS" else 7
        positions = np.array([line.split()[:3] for line in lines[start + 1 : start + 1 + n_atoms]], float)
    except (IndexError, ValueError):
        return None
    n_after = sum(bool(line.strip()) for line in lines[start + 1 + n_atoms :])
    n_state = n_after - n_atoms - 3
    complete = n_after in (0, n_atoms) or (n_state > 0 and n_state % n_atoms == 0)
    return positions if complete and text.endswith("\n") and positions.shape == (n_atoms, 3) else None


def _opened(path: Path) -> IO[bytes]:
    return io.BufferedReader(gzip.open(path)) if path.suffix == ".gz" else open(path, "rb")
