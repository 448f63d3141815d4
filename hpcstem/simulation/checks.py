"""What `hpcstem doctor` asks of this package: database, queue and engines."""

from __future__ import annotations

import shutil
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from hpcstem.checks import Check, Status
from hpcstem.errors import HpcstemError

MONTY_PIN = "2025.3.3"
_WATER_GFN1_EV = -156.96750590276173
"""GFN1-xTB energy of ASE's water molecule as tblite's own documentation states it [eV]."""


def checks() -> list[Check]:
    """Return one check each of the embedded database, FireWorks, GFN1-xTB, VASP and DFTB+."""
    return [_database(), _fireworks(), _xtb(), *_programs()]


def _database() -> Check:
    from hpcstem.simulation.database import database_status, start_database, stop_database

    name = "embedded database"
    with tempfile.TemporaryDirectory(prefix="hpcstem-") as parent:
        folder = Path(parent) / "db"
        try:
            start_database(folder)
            detail = database_status(folder).detail
            stop_database(folder)
        except HpcstemError as error:
            fix = "a temporary folder (TMPDIR) on a local disk that allows Unix sockets and file locks"
            return Check(name, Status.BROKEN, str(error), fix)
    return Check(name, Status.OK, f"starts, answers and stops ({detail})")


def _fireworks() -> Check:
    fix = f"pip install 'fireworks>=2.1.3' 'monty=={MONTY_PIN}'"
    try:
        found, monty = version("fireworks"), version("monty")
    except PackageNotFoundError as error:
        return Check("FireWorks", Status.BROKEN, f"{error.name} is not installed", fix)
    if monty != MONTY_PIN:
        return Check("FireWorks", Status.BROKEN, f"{found} with monty {monty}: offline mode fails", fix)
    return Check("FireWorks", Status.OK, f"{found} with monty {monty}")


def _xtb() -> Check:
    fix = "pip install 'tblite>=0.4'"
    try:
        from ase.build import molecule

        from hpcstem.simulation.engine_settings import XtbSettings
        from hpcstem.simulation.engines.xtb import xtb_engine

        water, engine = molecule("H2O"), xtb_engine(XtbSettings())
        energy, _ = engine.source(water)(np.array(water.positions))
    except (ImportError, PackageNotFoundError, HpcstemError) as error:
        return Check("GFN1-xTB", Status.BROKEN, str(error), fix)
    if abs(energy - _WATER_GFN1_EV) > 1e-4:
        return Check("GFN1-xTB", Status.BROKEN, f"water has {energy:.5f} eV, not {_WATER_GFN1_EV:.5f}", fix)
    return Check("GFN1-xTB", Status.OK, f"{engine.method}: water {energy:.5f} eV")


def _programs() -> list[Check]:
    from hpcstem.simulation.programs import DFTB_COMMAND, VASP_COMMAND, Programs

    try:
        programs = Programs.from_environment()
    except HpcstemError as error:
        return [Check("VASP and DFTB+", Status.BROKEN, str(error), f"a command in {VASP_COMMAND} or {DFTB_COMMAND}")]
    found = (("VASP", programs.vasp_command[0], VASP_COMMAND), ("DFTB+", programs.dftb_command[0], DFTB_COMMAND))
    return [_program(*one) for one in found]


def _program(name: str, program: str, variable: str) -> Check:
    path = shutil.which(program)
    if path is None:
        fix = f"load the module that provides {program}, or put the command into {variable}"
        return Check(name, Status.ABSENT, f"no {program} on PATH", fix)
    return Check(name, Status.OK, path)
