"""Tables of what relaxations have changed: rings and bonds of a sheet as it was given and as it was relaxed."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ase import Atoms

from hpcstem.files import inside
from hpcstem.simulation.jobs import RELAX, read_structure
from hpcstem.simulation.records import JobRecord
from hpcstem.structure.exchange import read_xyz
from hpcstem.structure.geometry import ring_geometry
from hpcstem.structure.sheet import SHEET_SPECIES, sheet_of


def relaxed_sheets(
    records: Sequence[JobRecord], run_directory: Path, wanted: Container[str]
) -> Iterator[tuple[dict[str, Any], Atoms]]:
    """Yield plain JSON of each relaxation of a given sheet that has ended, and the relaxed structure.

    Parameters
    ----------
    records
        Jobs.
    run_directory
        Folder of the queue's files.
    wanted
        Keys of the jobs to look at.

    Raises
    ------
    HpcstemError
        A structure cannot be read.
    """
    for one in records:
        result = one.result
        if one.key not in wanted or result is None or result.kind != RELAX or not one.structure:
            continue
        relaxed = read_xyz(inside(run_directory, result.structure))[0][-1]
        if not set(SHEET_SPECIES) & set(relaxed.get_chemical_symbols()):
            continue
        table = {
            "key": one.key,
            "name": one.name,
            "method": result.method,
            "converged": result.converged,
            "energy_eV": result.energy_eV,
            "given": _rings(read_structure(run_directory, one.structure)),
            "relaxed": _rings(relaxed),
        }
        yield table, relaxed


def _rings(atoms: Atoms) -> list[dict[str, Any]]:
    sheet = sheet_of(atoms)
    return [asdict(row) for row in ring_geometry(sheet.graph, sheet.rings)]
