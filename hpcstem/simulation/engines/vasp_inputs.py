"""Input files of VASP: INCAR, KPOINTS, POSCAR and POTCAR.

References
----------
.. [1] VASP wiki, pages INCAR, MDALGO, SMASS, ISIF, IVDW, KPOINTS, POSCAR, https://www.vasp.at/wiki
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
from ase import Atoms

from hpcstem.errors import AbsentError, SimulationError
from hpcstem.simulation.constraints import Constraint
from hpcstem.simulation.engine_settings import VaspSettings
from hpcstem.simulation.programs import POTCAR_LIBRARY
from hpcstem.simulation.settings import JobSettings, NVTSettings, RelaxSettings

_DISPERSION = {"none": 0, "D3": 11, "D3-BJ": 12}


@dataclass(frozen=True)
class Potcar:
    """One POTCAR of the library, without its content.

    Parameters
    ----------
    symbol
        Chemical symbol.
    name
        Folder in the library.
    title
        First line, such as `PAW_PBE C 08Apr2002`.
    sha256
        SHA-256 of its text.
    """

    symbol: str
    name: str
    title: str
    sha256: str


def species_order(atoms: Atoms) -> np.ndarray:
    """Return the order in which VASP takes the atoms, species by species, with shape (n_atoms,), int64."""
    symbols = atoms.get_chemical_symbols()
    first = {symbol: place for place, symbol in reversed(list(enumerate(symbols)))}
    return np.argsort([first[symbol] for symbol in symbols], kind="stable")


def incar(atoms: Atoms, settings: JobSettings, engine: VaspSettings, keep_wave_functions: bool) -> dict[str, str]:
    """Return the tags of the INCAR.

    Parameters
    ----------
    atoms
        The atoms in VASP's order.
    settings
        The relaxation or molecular dynamics.
    engine
        What decides the forces.
    keep_wave_functions
        Whether a later segment may go on from WAVECAR.
    """
    tags: dict[str, object] = {
        "ENCUT": engine.cutoff_eV,
        "EDIFF": engine.electronic_tolerance_eV,
        "NELM": engine.max_electronic_steps,
        "ISMEAR": 0,
        "SIGMA": engine.smearing_eV,
    }
    if isinstance(settings, NVTSettings):
        tags |= {"IBRION": 0, "MDALGO": 2, "ISIF": 2, "SMASS": 0, "NSW": settings.n_steps}
        tags |= {"POTIM": settings.timestep_fs, "TEBEG": settings.temperature_K, "TEEND": settings.temperature_K}
        # VASP takes three numbers; the first must be below 9e8.
        tags |= {"ISYM": 0, "RANDOM_SEED": f"{settings.seed % 900_000_000} 0 0"}
    elif isinstance(settings, RelaxSettings):
        isif = 3 if settings.constraint == Constraint.FREE_CELL else 2
        tags |= {"IBRION": 2, "ISIF": isif, "NSW": settings.max_steps, "EDIFFG": -settings.fmax_eV_A}
    if engine.dispersion != "none":
        tags["IVDW"] = _DISPERSION[engine.dispersion]
    if engine.spin_polarised:
        moments = [engine.magnetic_moments_muB.get(symbol, 0.0) for symbol in atoms.get_chemical_symbols()]
        tags |= {"ISPIN": 2, "MAGMOM": " ".join(f"{len(list(run))}*{moment:g}" for moment, run in groupby(moments))}
    tags |= {"LCHARG": False, "LWAVE": keep_wave_functions}
    return {tag: _value(value) for tag, value in {**tags, **engine.incar}.items()}


def incar_text(tags: Mapping[str, str]) -> str:
    """Return the INCAR of these tags, a line each."""
    return "".join(f"{tag} = {value}\n" for tag, value in tags.items())


def read_incar(text: str) -> dict[str, str]:
    """Return the tags of an INCAR with one tag a line, as this module and Custodian write it."""
    lines = [line.partition("=") for line in text.splitlines() if "=" in line]
    return {tag.strip(): value.strip() for tag, _, value in lines}


def kpoints_text(engine: VaspSettings) -> str:
    """Return the KPOINTS of a Monkhorst-Pack grid."""
    return "Monkhorst-Pack\n0\nMonkhorst-Pack\n{} {} {}\n0 0 0\n".format(*engine.k_points)


def poscar_text(atoms: Atoms, free: np.ndarray, comment: str) -> str:
    """Return the POSCAR of atoms in VASP's order, with selective dynamics where a coordinate is not free.

    Parameters
    ----------
    atoms
        The atoms, species by species, in a cell of full rank.
    free
        True for each Cartesian coordinate that may change, with shape (n_atoms, 3), bool.
    comment
        First line.

    Raises
    ------
    SimulationError
        There is no cell, or selective dynamics cannot express what is free.
    """
    if atoms.cell.rank < 3:
        raise SimulationError("cell for VASP", f"rank {atoms.cell.rank}", "three vectors, with vacuum around a patch")
    runs = [(symbol, len(list(run))) for symbol, run in groupby(atoms.get_chemical_symbols())]
    lines = [comment.replace("\n", " ")[:40], "1.0"]
    lines += [" ".join(f"{value:.16f}" for value in vector) for vector in atoms.cell.array]
    lines += [" ".join(symbol for symbol, _ in runs), " ".join(str(count) for _, count in runs)]
    selective = not free.all()
    if selective:
        _check_flags(atoms, free)
        lines.append("Selective dynamics")
    lines.append("Direct")
    for position, flags in zip(atoms.get_scaled_positions(wrap=False), free, strict=True):
        words = [f"{value:.16f}" for value in position]
        words += ["T" if flag else "F" for flag in flags] if selective else []
        lines.append(" ".join(words))
    return "\n".join(lines) + "\n"


def _check_flags(atoms: Atoms, free: np.ndarray) -> None:
    """VASP's flags are for the directions of the cell vectors, ours for x, y and z."""
    partly = (free.any(axis=1) & ~free.all(axis=1)).any()
    cell = atoms.cell.array
    if partly and (np.abs(cell[:2, 2]).max() > 1e-8 or np.abs(cell[2, :2]).max() > 1e-8):
        raise SimulationError("cell for motion along z alone", "a tilted third vector", "the third vector along z")


def find_potcars(atoms: Atoms, engine: VaspSettings, library: Path | None) -> list[Potcar]:
    """Return the POTCARs of the species, in their order.

    Raises
    ------
    AbsentError
        There is no library, or it lacks one.
    """
    symbols = [symbol for symbol, _ in groupby(atoms.get_chemical_symbols())]
    found = []
    for symbol in symbols:
        name = engine.potcars.get(symbol, symbol)
        text = _potcar(library, name)
        title = text.split(b"\n", 1)[0].decode(errors="replace").strip()
        found.append(Potcar(symbol, name, title, hashlib.sha256(text).hexdigest()))
    return found


def write_potcar(path: Path, potcars: list[Potcar], library: Path | None) -> None:
    """Join the POTCARs into the file that VASP reads; the caller removes it when VASP has ended.

    Raises
    ------
    AbsentError
        There is no library, or it lacks one.
    """
    path.touch(mode=0o600)
    path.write_bytes(b"".join(_potcar(library, potcar.name) for potcar in potcars))


def _potcar(library: Path | None, name: str) -> bytes:
    if library is None:
        raise AbsentError("library of POTCARs", "none", f"`export {POTCAR_LIBRARY}=FOLDER`")
    for path in (library / name / "POTCAR", library / f"POTCAR.{name}", library / name / "POTCAR.gz"):
        if path.is_file():
            return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    raise AbsentError("POTCAR", f"no {name}/POTCAR in {library}", "a name in its library: `potcars: {Cr: Cr_pv}`")


def _value(value: object) -> str:
    if isinstance(value, bool):
        return ".TRUE." if value else ".FALSE."
    return f"{value:g}" if isinstance(value, float) else str(value)
