"""The simulation cell of a region: its atoms in a cell, written with what they come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hpcstem.atoms import AtomTable
from hpcstem.structure.cells import make_cell
from hpcstem.structure.exchange import write_poscar, write_xyz
from hpcstem.structure.regions import Region


def write_region_cell(
    stem: Path,
    atoms: AtomTable,
    region: Region,
    vacuum_A: float,
    provenance: Mapping[str, Any],
    cell: Sequence[float] | None = None,
) -> dict[str, Any]:
    """Write the cell of a region as `stem`.xyz (extended XYZ) and `stem`.vasp (POSCAR).

    Parameters
    ----------
    stem
        Path of both files without their suffix.
    atoms
        Atoms of the frame that the region was chosen from.
    region
        Which of them.
    vacuum_A
        Empty space on each side in the plane where no cell is given [Å].
    provenance
        JSON values for the header, beside what the region says of itself.
    cell
        Three lengths [Å], or three lengths and three angles [Å, °], of a cell that repeats in all directions. If
        absent, a box that does not repeat.

    Returns
    -------
    dict
        What the region is: JSON values, as in the header.

    Raises
    ------
    StructureError
        The cell does not fit; see `make_cell`.
    """
    patch = atoms[region.atoms]
    periodic = (cell is not None,) * 3
    box = make_cell(patch.positions_A, patch.species, cell, periodic, vacuum_in_plane_A=vacuum_A)
    described = {
        "movie": str(patch.movie[0]),
        "frame": region.frame,
        "centre_A": [float(x) for x in region.centre_A],
        "size_A": region.size_A,
        "n_atoms": len(patch),
        "n_H": int((box.numbers == 1).sum()),
        "formula": box.get_chemical_formula(),
        "reason": region.reason,
        "mean_detection": float(patch.detection.mean()),
        "mean_sigma_A": float(patch.sigma_A.mean()),
    }
    write_xyz(stem.with_name(stem.name + ".xyz"), box, {**described, **provenance, "from": dict(patch.metadata)})
    write_poscar(stem.with_name(stem.name + ".vasp"), box)
    return described
