"""Local distortions: how a site and its six neighbours are displaced against each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hpcstem.lattice.assignment import AssignedSites
from hpcstem.lattice.triangular import FIRST_SHELL

CLUSTER = np.concatenate([[(0, 0)], FIRST_SHELL])
"""Offsets (i, j) of a site and its first shell, with shape (7, 2), int64."""
N_COORDINATES = 2 * len(CLUSTER)
"""Coordinates of a local distortion: (x, y) of the centre, then of each neighbour."""
BLOCKS_PER_SIDE = 6
"""Blocks along each side of an image; averages over blocks tell how sure an average over the image is."""


@dataclass(frozen=True)
class LocalDistortions:
    """Distortions of all sites of one image that with their first shell hold atoms.

    Parameters
    ----------
    values_A
        Displacements of the seven atoms less their mean, (x, y) of the centre and of each neighbour in turn, in axes
        with x along a₁ [Å], with shape (n_sites, 14), float64.
    n_B
        Atoms of species B among the seven, with shape (n_sites,), int64.
    block
        Number of the part of the image that the site is in, with shape (n_sites,), int64.
    fraction_B
        Fraction of the atoms of the image that are of species B.
    """

    values_A: np.ndarray
    n_B: np.ndarray
    block: np.ndarray
    fraction_B: float


def local_distortions(sites: AssignedSites) -> LocalDistortions:
    """Cut the displacements of an image into those of each site and its first shell."""
    turn = sites.vectors_A[0] / np.linalg.norm(sites.vectors_A[0])
    axes = np.array([turn, (-turn[1], turn[0])])
    margin = ((1, 1), (1, 1))
    displacement_A = np.pad(sites.displacement_A @ axes.T, (*margin, (0, 0)), constant_values=np.nan)
    species = np.pad(sites.grid.species, margin, constant_values=-1)
    n_i, n_j = sites.grid.species.shape
    windows = [(slice(1 + i, 1 + i + n_i), slice(1 + j, 1 + j + n_j)) for i, j in CLUSTER]
    clusters_A = np.stack([displacement_A[window] for window in windows], axis=2)
    held = np.stack([species[window] for window in windows], axis=2)
    complete = (held >= 0).all(axis=2)
    values_A = clusters_A[complete]
    values_A = values_A - values_A.mean(axis=1, keepdims=True)
    i, j = np.nonzero(complete)
    block = (i * BLOCKS_PER_SIDE // n_i) * BLOCKS_PER_SIDE + j * BLOCKS_PER_SIDE // n_j
    n_B = held[complete].sum(axis=1, dtype=np.int64)
    return LocalDistortions(values_A.reshape(-1, N_COORDINATES), n_B, block, sites.grid.fraction_B)
