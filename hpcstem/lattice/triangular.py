"""The triangular lattice: its vectors, its two shells of neighbours, and the surroundings of each site as one number.

Site (i, j) lies at i a₁ + j a₂, where a₂ is a₁ turned by 60°. Neighbour k of the first shell lies at 60° k from a₁,
neighbour k of the second shell at 60° k + 30°, between the first-shell neighbours k and k + 1.

The surroundings of a site are a number of 12 bits: bit k tells whether first-shell neighbour k is of species B,
bit 6 + k the same of second-shell neighbour k.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hpcstem.errors import StructureError

FIRST_SHELL = np.array([(1, 0), (0, 1), (-1, 1), (-1, 0), (0, -1), (1, -1)])
"""Offsets (i, j) of the first shell, with shape (6, 2), int64."""
SECOND_SHELL = np.array([(1, 1), (-1, 2), (-2, 1), (-1, -1), (1, -2), (2, -1)])
"""Offsets (i, j) of the second shell, with shape (6, 2), int64."""
OFFSETS = np.concatenate([FIRST_SHELL, SECOND_SHELL])
"""Offsets of both shells in the order of the bits, with shape (12, 2), int64."""
N_SURROUNDINGS = 1 << len(OFFSETS)
"""Number of different surroundings."""
EMPTY = -1
"""What a grid holds where no atom was found."""
SMALLEST_SIDE = 5
"""Sites per side of the smallest periodic lattice on which the 12 neighbours of a site are 12 sites."""


@dataclass(frozen=True)
class SiteGrid:
    """Species on the sites of a triangular lattice.

    Parameters
    ----------
    species
        0 for species A, 1 for species B, -1 where there is no atom, with shape (n_i, n_j), int8.
    periodic
        Whether opposite sides are neighbours.

    Raises
    ------
    StructureError
        Another shape, another value, or a periodic lattice with fewer than 5 sites per side.
    """

    species: np.ndarray
    periodic: bool

    def __post_init__(self) -> None:
        species = np.asarray(self.species)
        if species.ndim != 2:
            raise StructureError("sites of a lattice", f"shape {species.shape}", "two axes, (n_i, n_j)")
        if not np.isin(species, (EMPTY, 0, 1)).all():
            raise StructureError("species on a lattice", np.unique(species)[:5].tolist(), "0, 1, or -1 for no atom")
        if self.periodic and min(species.shape) < SMALLEST_SIDE:
            raise StructureError("periodic lattice", f"{species.shape} sites", f"at least {SMALLEST_SIDE} per side")
        object.__setattr__(self, "species", species.astype(np.int8))

    @property
    def fraction_B(self) -> float:
        """Fraction of the atoms that are of species B."""
        return float((self.species == 1).sum() / max((self.species != EMPTY).sum(), 1))


def surroundings(grid: SiteGrid) -> tuple[np.ndarray, np.ndarray]:
    """Surroundings of every site, and whether they are known.

    Returns
    -------
    bits : numpy.ndarray
        The 12 bits, with shape (n_i, n_j), uint16; the bit of an absent neighbour is 0.
    complete : numpy.ndarray
        Whether the site and its 12 neighbours all hold atoms, with shape (n_i, n_j), bool.
    """
    margin = int(np.abs(OFFSETS).max())
    if grid.periodic:
        padded = np.pad(grid.species, margin, mode="wrap")
    else:
        padded = np.pad(grid.species, margin, constant_values=EMPTY)
    n_i, n_j = grid.species.shape
    bits = np.zeros((n_i, n_j), np.uint16)
    complete = grid.species != EMPTY
    for bit, (i, j) in enumerate(OFFSETS):
        neighbour = padded[margin + i : margin + i + n_i, margin + j : margin + j + n_j]
        bits |= (neighbour == 1).astype(np.uint16) << np.uint16(bit)
        complete &= neighbour != EMPTY
    return bits, complete


def neighbour_table(n_side: int) -> np.ndarray:
    """Flat indices of the 12 neighbours on a periodic lattice of n_side² sites, with shape (n_side², 12), int32."""
    i, j = np.divmod(np.arange(n_side**2), n_side)
    columns = [((i + di) % n_side) * n_side + (j + dj) % n_side for di, dj in OFFSETS]
    return np.column_stack(columns).astype(np.int32)


def lattice_vectors(spacing_A: float, angle_rad: float) -> np.ndarray:
    """Rows a₁ and a₂ as (x, y) [Å], with shape (2, 2), float64; a₁ lies at `angle_rad` from the x axis, towards y."""
    angles = angle_rad + np.array([0.0, np.pi / 3])
    return spacing_A * np.column_stack([np.cos(angles), np.sin(angles)])


def bits_of(numbers: np.ndarray) -> np.ndarray:
    """Bits of surroundings, with the shape of `numbers` and an axis of 12 more, int64."""
    return (np.asarray(numbers, np.int64)[..., None] >> np.arange(len(OFFSETS))) & 1
