"""Structures on disk: extended XYZ with provenance in its header, and POSCAR."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ase
import ase.io
import numpy as np
from ase.io.vasp import read_vasp, write_vasp

from hpcstem.errors import StructureError
from hpcstem.files import whole_file

_PROVENANCE_KEY = "hpcstem_provenance"


def write_xyz(path: Path, structures: ase.Atoms | Sequence[ase.Atoms], provenance: Mapping[str, Any]) -> None:
    """Write one structure or a trajectory as extended XYZ, whole or not at all.

    Parameters
    ----------
    path
        File to write.
    structures
        One or more structures, in order of time.
    provenance
        What they come from: JSON values, written as JSON into the header of each structure.
    """
    frames = [structures] if isinstance(structures, ase.Atoms) else list(structures)
    # ASE writes backslashes as they are and reads them as escapes: doubled, they come back whole.
    text = json.dumps(dict(provenance), sort_keys=True, allow_nan=False).replace("\\", "\\\\")
    written = []
    for frame in frames:
        copy = frame.copy()
        copy.calc = frame.calc
        copy.info[_PROVENANCE_KEY] = text
        written.append(copy)
    with whole_file(path) as temporary:
        ase.io.write(temporary, written, format="extxyz")


def read_xyz(path: Path) -> tuple[list[ase.Atoms], dict[str, Any]]:
    """Read all structures of an extended XYZ file, and the provenance of the first; empty if it has none.

    Raises
    ------
    StructureError
        The file is absent, empty or damaged.
    """
    try:
        frames = list(ase.io.iread(path, index=":", format="extxyz"))
        provenance = json.loads(frames[0].info.get(_PROVENANCE_KEY, "{}"))
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise StructureError(f"cannot read {path}", error, "an extended XYZ file") from error
    for frame in frames:
        frame.info.pop(_PROVENANCE_KEY, None)
    return frames, provenance


def write_poscar(path: Path, atoms: ase.Atoms) -> np.ndarray:
    """Write one structure as POSCAR, atoms grouped by species; constraints become selective dynamics.

    Returns
    -------
    numpy.ndarray
        With shape (n_atoms,), int64: index in `atoms` of each atom of the file, to bring results back in
        order.
    """
    symbols = atoms.get_chemical_symbols()
    first_seen = {symbol: k for k, symbol in reversed(list(enumerate(symbols)))}
    order = np.array(sorted(range(len(atoms)), key=lambda k: (first_seen[symbols[k]], k)), np.int64)
    with whole_file(path) as temporary:
        write_vasp(temporary, atoms[order], direct=False)
    return order


def read_poscar(path: Path) -> ase.Atoms:
    """Read a POSCAR or CONTCAR.

    Raises
    ------
    StructureError
        The file is absent or damaged.
    """
    try:
        return read_vasp(path)
    except (OSError, ValueError, KeyError, IndexError, RuntimeError, ase.io.ParseError) as error:
        raise StructureError(f"cannot read {path}", error, "a POSCAR file") from error
