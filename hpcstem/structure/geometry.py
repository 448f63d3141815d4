"""Bond lengths and angles by the size of the ring they are in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hpcstem.structure.bonds import BondGraph
from hpcstem.structure.rings import Rings


@dataclass(frozen=True)
class RingGeometry:
    """Bonds and angles of all rings of one size; a bond between two rings counts for each.

    Parameters
    ----------
    size
        Atoms of a ring.
    n_rings
        Number of rings.
    length_A, length_spread_A
        Mean and standard deviation of the bond lengths [Å].
    angle_deg, angle_spread_deg
        Mean and standard deviation of the inner angles [°].
    """

    size: int
    n_rings: int
    length_A: float
    length_spread_A: float
    angle_deg: float
    angle_spread_deg: float


def ring_geometry(graph: BondGraph, rings: Rings) -> list[RingGeometry]:
    """Mean and spread of bond lengths and angles for each size of ring, smallest first.

    In a periodic cell bonds go to the nearest image.
    """
    rows = []
    for size in np.unique(rings.sizes).tolist():
        chosen = np.flatnonzero(rings.sizes == size)
        members = rings.atoms[rings.starts[chosen][:, None] + np.arange(size)]
        positions_A = graph.positions_A[members]
        forward_A = _nearest_image(graph, np.roll(positions_A, -1, axis=1) - positions_A)
        lengths_A = np.linalg.norm(forward_A, axis=2)
        backward_A = -np.roll(forward_A, 1, axis=1)
        cosines = (forward_A * backward_A).sum(axis=2) / (lengths_A * np.roll(lengths_A, 1, axis=1))
        angles_deg = np.degrees(np.arccos(np.clip(cosines, -1.0, 1.0)))
        rows.append(
            RingGeometry(
                size,
                len(chosen),
                float(lengths_A.mean()),
                float(lengths_A.std()),
                float(angles_deg.mean()),
                float(angles_deg.std()),
            )
        )
    return rows


def _nearest_image(graph: BondGraph, vectors_A: np.ndarray) -> np.ndarray:
    if graph.cell_A is None:
        return vectors_A
    cell_A = np.asarray(graph.cell_A)
    fractional = vectors_A @ np.linalg.inv(cell_A)
    return (fractional - np.round(fractional)) @ cell_A
