"""Made images of an alloy: the metal atoms of a sheet, with known interactions and known distortions.

A configuration is drawn from a lattice model. Atoms of species B pair with their rows as in the distorted 1T'
structure of ReS₂ [1]_: every second row moves to one side and the rows between move to the other, along their bonds'
normal. The amplitude at a site follows the number of B atoms among it and its first neighbours. The rows run along
one of the three directions of the lattice, the same in the whole image or another in each of its domains.

References
----------
.. [1] S. Tongay et al., "Monolayer behaviour in bulk ReS₂ due to electronic and vibrational decoupling", Nat. Commun.
   5 (2014) 3252. https://doi.org/10.1038/ncomms4252
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hpcstem.errors import StructureError
from hpcstem.lattice.kawasaki import Exchanges
from hpcstem.lattice.model import LatticeModel
from hpcstem.lattice.triangular import SiteGrid, bits_of, lattice_vectors, surroundings

EQUILIBRIUM_SWEEPS = 400
"""Attempts per site before a configuration counts as drawn from the model."""
ROWS = np.array([(0, 1), (1, 0), (1, 1)])
"""Parity of a site by its indices, (i, j) · ROWS[k] mod 2, for rows along a₁, a₂ and a₂ - a₁, with shape (3, 2)."""


@dataclass(frozen=True)
class Pairing:
    """How rows of atoms pair.

    Parameters
    ----------
    amplitude_A
        Displacement at a site that with its first neighbours is all B [Å].
    n_domains
        Regions whose rows run along a direction of their own, by turns; 1 for one direction everywhere.
    """

    amplitude_A: float
    n_domains: int = 1


def draw_alloy(
    model: LatticeModel, weights: np.ndarray, n_side: int, fraction_B: float, seed: np.random.SeedSequence
) -> SiteGrid:
    """Draw one configuration of a model at equilibrium on a periodic lattice.

    Raises
    ------
    StructureError
        Fewer than 5 sites per side, or no atom of one species.
    """
    chain = Exchanges(model, weights, n_side, round(fraction_B * n_side**2), seed)
    chain.attempt(EQUILIBRIUM_SWEEPS * n_side**2)
    return chain.grid


def row_directions(angle_rad: float) -> np.ndarray:
    """Normals of the rows, unit vectors (x, y), with shape (3, 2), float64."""
    angles = angle_rad + np.deg2rad([90.0, 150.0, 210.0])
    return np.column_stack([np.cos(angles), np.sin(angles)])


def distortions(
    grid: SiteGrid, pairing: Pairing, angle_rad: float, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Displacements of the paired rows.

    Returns
    -------
    displacement_A : numpy.ndarray
        (x, y) at each site [Å], with shape (n_i, n_j, 2), float64.
    direction : numpy.ndarray
        Which direction the rows run along, 0 to 2, with shape (n_i, n_j), int64.
    """
    n_i, n_j = grid.species.shape
    i, j = np.indices((n_i, n_j))
    centres = generator.uniform(0, 1, (pairing.n_domains, 2)) * (n_i, n_j)
    domain = np.argmin([(i - c[0]) ** 2 + (j - c[1]) ** 2 + (i - c[0]) * (j - c[1]) for c in centres], axis=0)
    direction = (domain + generator.integers(3)) % 3
    bits, _ = surroundings(grid)
    share_B = ((grid.species == 1) + bits_of(bits)[..., :6].sum(axis=-1)) / 7
    sign = 1 - 2 * ((i * ROWS[direction, 0] + j * ROWS[direction, 1]) % 2)
    return pairing.amplitude_A * (share_B * sign)[..., None] * row_directions(angle_rad)[direction], direction


def seen_atoms(
    grid: SiteGrid,
    spacing_A: float,
    angle_rad: float,
    displacement_A: np.ndarray,
    sigma_A: float,
    missed: float,
    generator: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Positions and species of the atoms of a sheet as a microscope would give them, in no order.

    Parameters
    ----------
    grid
        The sheet; its sides are cut straight along the lattice.
    spacing_A
        Lattice spacing [Å].
    angle_rad
        Direction of a₁ from x towards y [rad].
    displacement_A
        (x, y) of each atom from its site [Å], with shape (n_i, n_j, 2), float.
    sigma_A
        Standard uncertainty of each coordinate [Å].
    missed
        Fraction of the atoms that were not found.
    generator
        Source of random numbers.

    Returns
    -------
    positions_A : numpy.ndarray
        (x, y) [Å], with shape (n_atoms, 2), float64.
    species : numpy.ndarray
        0 or 1, with shape (n_atoms,), int8.

    Raises
    ------
    StructureError
        A fraction missed that is not within 0 and 1.
    """
    if not 0 <= missed < 1:
        raise StructureError("fraction of atoms missed", missed, "0 or more and below 1")
    sites = np.argwhere(grid.species >= 0)
    positions_A = sites @ lattice_vectors(spacing_A, angle_rad) + displacement_A[tuple(sites.T)]
    positions_A = positions_A + generator.normal(0, sigma_A, positions_A.shape)
    found = np.flatnonzero(generator.uniform(size=len(sites)) >= missed)
    found = generator.permutation(found)
    return positions_A[found], grid.species[tuple(sites.T)][found]
