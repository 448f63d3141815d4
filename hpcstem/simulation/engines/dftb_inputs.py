"""Input of DFTB+, written directly: its parser is strict about what it does not know, and moves only what is named.

References
----------
.. [1] DFTB+ manual, sections Driver, Hamiltonian, Options, Analysis, ParserOptions, and the appendix on the gen format
   and md.out, https://dftbplus.org/documentation
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from ase import Atoms

from hpcstem.errors import AbsentError, SimulationError
from hpcstem.simulation.engine_settings import DftbSettings
from hpcstem.simulation.programs import SLATER_KOSTER_LIBRARY
from hpcstem.simulation.settings import NVTSettings, RelaxSettings

PARSER_VERSION = 14
"""That of DFTB+ 24.1 and 25.1; later ones translate it."""

_ANGULAR_MOMENTA = {"H": "s", "C": "p", "N": "p", "O": "p"}


@dataclass(frozen=True)
class DftbState:
    """What molecular dynamics goes on from, all of one frame.

    Parameters
    ----------
    velocities_A_ps
        Velocities [Å/ps], with shape (n_atoms, 3), float64.
    chain
        Positions, velocities and forces of the Nosé-Hoover chain as DFTB+ prints them, with shape (3, 3), float64; None
        at the start.
    """

    velocities_A_ps: np.ndarray
    chain: np.ndarray | None = None


def hsd(
    atoms: Atoms,
    free: np.ndarray,
    settings: RelaxSettings | NVTSettings,
    engine: DftbSettings,
    library: Path | None,
    n_left: int,
    state: DftbState | None = None,
    has_charges: bool = False,
) -> str:
    """Return `dftb_in.hsd`; the geometry is in `geometry.gen`.

    Parameters
    ----------
    atoms
        The atoms.
    free
        True for each coordinate that may change, with shape (n_atoms, 3), bool.
    settings, engine
        What to do, and how.
    library
        Folder of Slater-Koster sets.
    n_left
        Steps to make.
    state
        Velocities and thermostat; molecular dynamics alone.
    has_charges
        Whether the charges of an earlier segment are there to start from.

    Raises
    ------
    SimulationError
        Something that DFTB+ cannot express, or a file that is not there.
    """
    driver = _relaxation(free, settings, n_left) if isinstance(settings, RelaxSettings) else None
    if isinstance(settings, NVTSettings) and state is not None:
        driver = _dynamics(free, settings, engine, n_left, state)
    if driver is None:
        raise SimulationError("input of DFTB+", "molecular dynamics without velocities", "velocities")
    # Charges and geometry of a relaxation are written every 20 steps otherwise.
    every_step = "  RestartFrequency = 1\n" if isinstance(settings, RelaxSettings) else ""
    return _input(driver, _hamiltonian(atoms, engine, library, has_charges), every_step)


def hsd_forces(atoms: Atoms, engine: DftbSettings, library: Path | None, has_charges: bool) -> str:
    """Return `dftb_in.hsd` for the energy, forces and stress of the geometry in `geometry.gen`.

    Parameters
    ----------
    atoms, engine, library, has_charges
        As of `hsd`.

    Raises
    ------
    SimulationError
        A file is not there.
    """
    return _input("", _hamiltonian(atoms, engine, library, has_charges), "")


def _input(driver: str, hamiltonian: str, options: str) -> str:
    return (
        'Geometry = GenFormat {\n  <<< "geometry.gen"\n}\n'
        f"{driver}{hamiltonian}"
        f"Options {{\n  WriteResultsTag = Yes\n{options}}}\nAnalysis {{\n  PrintForces = Yes\n}}\n"
        f"ParserOptions {{\n  ParserVersion = {PARSER_VERSION}\n  IgnoreUnprocessedNodes = No\n}}\n"
    )


def gen_text(atoms: Atoms) -> str:
    """Return the structure in DFTB+'s own format.

    Raises
    ------
    SimulationError
        The structure repeats in one or two directions.
    """
    if atoms.pbc.any() and (not atoms.pbc.all() or atoms.cell.rank < 3):
        raise SimulationError("cell for DFTB+", f"periodic {atoms.pbc.tolist()}", "all directions or none")
    species = list(dict.fromkeys(atoms.get_chemical_symbols()))
    lines = [f"{len(atoms)} {'S' if atoms.pbc.all() else 'C'}", " ".join(species)]
    for number, (symbol, position) in enumerate(zip(atoms.get_chemical_symbols(), atoms.positions, strict=True), 1):
        lines.append(f"{number} {species.index(symbol) + 1} {_row(position)}")
    if atoms.pbc.all():
        lines += ["0.0 0.0 0.0", *map(_row, atoms.cell.array)]
    return "\n".join(lines) + "\n"


def slater_koster_files(atoms: Atoms, engine: DftbSettings, library: Path | None) -> list[Path]:
    """Return the files of all pairs of elements; none for xTB.

    Raises
    ------
    SimulationError
        There is no library, the set lacks a pair, or an element's highest angular momentum is not known.
    """
    if engine.slater_koster_set is None:
        return []
    species = sorted(set(atoms.get_chemical_symbols()))
    unknown = [symbol for symbol in species if symbol not in _ANGULAR_MOMENTA | engine.max_angular_momenta]
    if unknown:
        wanted = f"`max_angular_momenta: {{{unknown[0]}: p}}` as its set says"
        raise SimulationError("highest angular momentum", f"none for {unknown[0]}", wanted)
    if library is None:
        raise AbsentError("library of Slater-Koster sets", "none", f"`export {SLATER_KOSTER_LIBRARY}=FOLDER`")
    folder = (library / engine.slater_koster_set).resolve()
    files = [folder / f"{first}-{second}.skf" for first, second in product(species, species)]
    absent = [path for path in files if not path.is_file()]
    if absent:
        raise AbsentError("Slater-Koster file", f"no {absent[0]}", "a set with all pairs of the elements")
    return files


def _relaxation(free: np.ndarray, settings: RelaxSettings, n_left: int) -> str:
    # DFTB+ looks at single components, we at the length of an atom's force.
    largest = settings.fmax_eV_A / np.sqrt(3)
    return (
        "Driver = GeometryOptimisation {\n  Optimiser = Rational {}\n"
        f"  MovedAtoms = {_moved(free)}\n  MaxSteps = {n_left}\n  AppendGeometries = Yes\n"
        f"  Convergence {{\n    GradElem [eV/AA] = {largest:.10g}\n  }}\n}}\n"
    )


def _dynamics(free: np.ndarray, settings: NVTSettings, engine: DftbSettings, n_left: int, state: DftbState) -> str:
    restart = ""
    if state.chain is not None:
        values = [" ".join(f"{value:.10E}" for value in row) for row in state.chain]
        restart = "    Restart {\n" + "".join(f"      {n} = {{ {v} }}\n" for n, v in zip("xvg", values, strict=True))
        restart += "    }\n"
    velocities = "".join(f"    {_row(row)}\n" for row in state.velocities_A_ps)
    stationary = "Yes" if free.all() else "No"
    return (
        f"Driver = VelocityVerlet {{\n  Steps = {n_left}\n  TimeStep [fs] = {settings.timestep_fs:g}\n"
        f"  MovedAtoms = {_moved(free)}\n  KeepStationary = {stationary}\n  MDRestartFrequency = 1\n"
        f"  Thermostat = NoseHoover {{\n    Temperature [Kelvin] = {settings.temperature_K:g}\n"
        f"    CouplingStrength [cm^-1] = {engine.thermostat_coupling_cm1:g}\n{restart}  }}\n"
        f"  Velocities [AA/ps] = {{\n{velocities}  }}\n}}\n"
    )


def _hamiltonian(atoms: Atoms, engine: DftbSettings, library: Path | None, has_charges: bool) -> str:
    if engine.slater_koster_set is None:
        head = f'Hamiltonian = xTB {{\n  Method = "{engine.hamiltonian}"\n'
    else:
        files = slater_koster_files(atoms, engine, library)
        known = _ANGULAR_MOMENTA | engine.max_angular_momenta
        momenta = "".join(f'    {s} = "{known[s]}"\n' for s in sorted(set(atoms.get_chemical_symbols())))
        charges = "  ReadInitialCharges = Yes\n" if has_charges else ""
        head = (
            f"Hamiltonian = DFTB {{\n  SCC = Yes\n{charges}  MaxAngularMomentum {{\n{momenta}  }}\n"
            f'  SlaterKosterFiles = Type2FileNames {{\n    Prefix = "{_quotable(files[0].parent)}/"\n'
            '    Separator = "-"\n    Suffix = ".skf"\n  }\n'
        )
    grid = ""
    if atoms.pbc.all():
        rows = [[n if row == column else 0 for column in range(3)] for row, n in enumerate(engine.k_points)]
        shifts = " ".join("0.0" if n % 2 else "0.5" for n in engine.k_points)
        lines = "".join(f"    {' '.join(map(str, row))}\n" for row in rows)
        grid = f"  KPointsAndWeights = SupercellFolding {{\n{lines}    {shifts}\n  }}\n"
    return (
        f"{head}  SCCTolerance = {engine.charge_tolerance_e:g}\n  Charge = {engine.charge}\n"
        f"  Filling = Fermi {{\n    Temperature [Kelvin] = {engine.electronic_temperature_K:g}\n  }}\n{grid}}}\n"
    )


def _moved(free: np.ndarray) -> str:
    """Return the numbers of atoms that move, from 1, in runs."""
    if free.all():
        return "1:-1"
    numbers = np.flatnonzero(free.all(axis=1)) + 1
    runs = np.split(numbers, np.flatnonzero(np.diff(numbers) > 1) + 1)
    return " ".join(f"{run[0]}:{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def _quotable(path: Path) -> str:
    text = str(path)
    if any(character in text for character in '"\n{}#'):
        raise SimulationError("path of a Slater-Koster set", repr(text), "a path without quotes, braces and #")
    return text


def _row(values: Sequence[float] | np.ndarray) -> str:
    return " ".join(f"{value:.12f}" for value in values)
