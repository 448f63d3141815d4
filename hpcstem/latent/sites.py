"""What the bonds of atoms say of their sites, to hold latents against: the angle of the bonds, and the order there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hpcstem.atoms import AtomTable
from hpcstem.structure.bonds import bond_graph
from hpcstem.structure.rings import find_rings

SYMMETRY = 3
"""Order of the rotations that leave a site of graphene as it is."""


@dataclass(frozen=True, eq=False)
class Sites:
    """Sites of the atoms of one frame.

    Parameters
    ----------
    angle_rad
        Counter-clockwise angle, as shown, of the bonds of an atom with three, modulo 2π / 3 [rad]; NaN for others; with
        shape (n_atoms,), float64. It differs by π / 3 between the two sublattices of a grain.
    crystalline
        Carbon in three rings of six, with shape (n_atoms,), bool.
    """

    angle_rad: np.ndarray
    crystalline: np.ndarray


def sites_of_frame(atoms: AtomTable) -> Sites:
    """Sites of the atoms of one frame, from their positions."""
    graph = bond_graph(atoms.positions_A, atoms.species)
    first, second = graph.edges.T
    x_A, y_A = (graph.positions_A[second] - graph.positions_A[first]).T
    # Rows go down. The way back along a bond is turned by π, which changes the sign of exp(3 i φ).
    turned = np.exp(1j * SYMMETRY * np.arctan2(-y_A, x_A))
    total = np.zeros(len(graph), complex)
    np.add.at(total, first, turned)
    np.add.at(total, second, -turned)
    angle_rad = np.where(graph.coordination == SYMMETRY, np.angle(total) / SYMMETRY, np.nan)
    rings = find_rings(graph)
    hexagons = np.zeros(len(graph), np.int64)
    for ring in range(len(rings)):
        hexagons[rings[ring]] += rings.sizes[ring] == 6
    return Sites(angle_rad, (hexagons == SYMMETRY) & (graph.species == "C"))
