"""Monte Carlo at fixed composition: exchanges of unlike atoms, anywhere on a periodic lattice.

Every attempt picks one atom A and one atom B and exchanges them with the probability min(1, exp(-ΔE/kT)), where ΔE
counts exactly, also for neighbours. Random numbers are those of xoshiro256++ [1]_, started from a
`numpy.random.SeedSequence`.

References
----------
.. [1] D. Blackman and S. Vigna, "Scrambled linear pseudorandom number generators", ACM Trans. Math. Softw. 47 (2021)
   36. https://doi.org/10.1145/3460772
"""

from __future__ import annotations

import numba
import numpy as np

from hpcstem.errors import StructureError
from hpcstem.lattice.model import LatticeModel
from hpcstem.lattice.triangular import SMALLEST_SIDE, SiteGrid, neighbour_table, surroundings


class Exchanges:
    """One Markov chain of configurations on a periodic lattice.

    Parameters
    ----------
    model
        What has an energy.
    weights
        Energy of each motif over kT, with shape (n_terms,), float.
    n_side
        Sites per side.
    n_B
        Atoms of species B; the others are A.
    seed
        Source of the random numbers.

    Raises
    ------
    StructureError
        Fewer than 5 sites per side, no atom of one species, or weights that the model refuses.
    """

    def __init__(
        self, model: LatticeModel, weights: np.ndarray, n_side: int, n_B: int, seed: np.random.SeedSequence
    ) -> None:
        if n_side < SMALLEST_SIDE:
            raise StructureError("sites per side of a lattice", n_side, f"at least {SMALLEST_SIDE}")
        if not 0 < n_B < n_side**2:
            raise StructureError("atoms of species B", n_B, f"1 to {n_side**2 - 1} on {n_side**2} sites")
        energies = model.flip_energies(weights)
        # exp(-ΔE/kT) of an exchange is a product of two entries: no exponential per attempt.
        self._to_B, self._to_A = np.exp(-energies), np.exp(energies)
        self._n_side = n_side
        shuffle, start = seed.spawn(2)
        species = np.zeros(n_side**2, np.int8)
        species[np.random.default_rng(shuffle).permutation(n_side**2)[:n_B]] = 1
        self._species = species
        self._bits = surroundings(self.grid)[0].ravel()
        self._sites_A = np.flatnonzero(species == 0).astype(np.int32)
        self._sites_B = np.flatnonzero(species == 1).astype(np.int32)
        self._neighbours = neighbour_table(n_side)
        self._random = start.generate_state(4, np.uint64)

    @property
    def grid(self) -> SiteGrid:
        """A copy of the configuration."""
        return SiteGrid(self._species.reshape(self._n_side, self._n_side).copy(), periodic=True)

    @property
    def bits(self) -> np.ndarray:
        """Surroundings of each site, with shape (n_sites,), uint16: the chain's own, not to be changed."""
        return self._bits

    @property
    def species(self) -> np.ndarray:
        """Species of each site, with shape (n_sites,), int8: the chain's own, not to be changed."""
        return self._species

    def attempt(self, n_attempts: int) -> int:
        """Attempt that many exchanges; returns how many were made."""
        return int(
            _exchange(
                n_attempts,
                self._species,
                self._bits,
                self._sites_A,
                self._sites_B,
                self._neighbours,
                self._to_B,
                self._to_A,
                self._random,
            )
        )


@numba.njit(cache=True, inline="always")
def _next(s: np.ndarray) -> np.uint64:
    """Next number of xoshiro256++."""
    total = s[0] + s[3]
    result = ((total << np.uint64(23)) | (total >> np.uint64(41))) + s[0]
    shifted = s[1] << np.uint64(17)
    s[2] ^= s[0]
    s[3] ^= s[1]
    s[1] ^= s[2]
    s[0] ^= s[3]
    s[2] ^= shifted
    s[3] = (s[3] << np.uint64(45)) | (s[3] >> np.uint64(19))
    return result


@numba.njit(cache=True)
def _exchange(
    n_attempts: int,
    species: np.ndarray,
    bits: np.ndarray,
    sites_A: np.ndarray,
    sites_B: np.ndarray,
    neighbours: np.ndarray,
    to_B: np.ndarray,
    to_A: np.ndarray,
    random: np.ndarray,
) -> int:
    low = np.uint64(0xFFFFFFFF)
    half = np.uint64(32)
    n_A, n_B = np.uint64(len(sites_A)), np.uint64(len(sites_B))
    made = 0
    for _ in range(n_attempts):
        pick = _next(random)
        # Slots, not sites, are picked, and an exchange keeps its slots: a small bias of the pick is the same both ways.
        slot_A = np.int64(((pick >> half) * n_A) >> half)
        slot_B = np.int64(((pick & low) * n_B) >> half)
        a, b = sites_A[slot_A], sites_B[slot_B]
        around_b = bits[b]
        for k in range(12):
            if neighbours[b, k] == a:
                around_b |= np.uint16(1 << k)
        chance = to_B[bits[a]] * to_A[around_b]
        if chance < 1.0 and np.float64(_next(random) >> np.uint64(11)) * 2.0**-53 >= chance:
            continue
        for k in range(6):
            first, second = np.uint16(1 << (k + 3) % 6), np.uint16(1 << ((k + 3) % 6 + 6))
            bits[neighbours[a, k]] ^= first
            bits[neighbours[a, k + 6]] ^= second
            bits[neighbours[b, k]] ^= first
            bits[neighbours[b, k + 6]] ^= second
        species[a], species[b] = 1, 0
        sites_A[slot_A], sites_B[slot_B] = b, a
        made += 1
    return made
