"""Drift of the sheet from frame to frame, from the tracks of its own atoms."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from hpcstem.atoms import AtomTable
from hpcstem.errors import HpcstemError
from hpcstem.structure.linking import link

_FEWEST_ATOMS = 3
_LONGEST_GAP = 5
"""Most frames in a row without atoms that the drift is followed over."""


def sheet_drift_A(movie: AtomTable, species: str, gate_A: float) -> np.ndarray:
    """Displacement of the sheet since the first frame, the sum of the mean steps of its linked atoms.

    Atoms of the other species are left out: where two of them hop alike, that looks like a shift by a lattice vector.

    Parameters
    ----------
    movie
        Atoms of one movie.
    species
        Chemical symbol of the atoms that make up the sheet, such as C.
    gate_A
        Longest displacement of an atom of the sheet between frames that is still a link [Å].

    Returns
    -------
    numpy.ndarray
        Drift in x and y of every frame up to the last that has atoms [Å], with shape (n_frames, 2), float64; the
        frames without atoms have that of the frame before.

    Raises
    ------
    HpcstemError
        Fewer than three atoms of the sheet are linked from one frame to the next.
    StructureError
        The gate is more than half the distance of neighbours.
    """
    sheet = link(movie[movie.species == species], gate_A, _LONGEST_GAP)
    drift_A = np.zeros((int(movie.frame.max(initial=-1)) + 1, 2))
    order = np.lexsort((sheet.track, sheet.frame))
    parts = np.split(order, np.flatnonzero(np.diff(sheet.frame[order])) + 1) if len(order) else []
    positions_A = sheet.positions_A
    for before, after in pairwise(parts):
        _, old, new = np.intersect1d(sheet.track[before], sheet.track[after], True, True)
        frame, last = int(sheet.frame[after[0]]), int(sheet.frame[before[0]])
        if len(old) < _FEWEST_ATOMS:
            raise HpcstemError(
                f"drift of {movie.movie[0]} from frame {last} to {frame}",
                f"{len(old)} linked atoms of {species}",
                f"{_FEWEST_ATOMS} or more; drop frames without a sheet, or raise the gate of the sheet's atoms",
            )
        # Means add up to the shift of the atoms seen throughout; the errors of medians would wander.
        drift_A[frame:] += (positions_A[after[new]] - positions_A[before[old]]).mean(axis=0)
    return drift_A
