"""Energies of two species on a triangular lattice, in units of kT.

The energy is Σ w_t E_t, where each term E_t counts motifs, and w_t is the energy of one motif over kT [1]_:

* pair-additive: E₁ and E₂ count the bonds between unlike atoms in the first and in the second shell;
* many-body: E₁ and E₂ count the triangles of mutual first neighbours with one and with two atoms of species B.

Each bond and each triangle of the lattice counts once. Only differences at fixed composition have a meaning.

References
----------
.. [1] S. V. Kalinin, "AI and ML in microscopy: a material opportunity", Oak Ridge National Laboratory (2019), on
   solid solutions of ReS₂ in MoS₂.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from hpcstem.errors import StructureError
from hpcstem.lattice.triangular import N_SURROUNDINGS, SiteGrid, bits_of, surroundings

LARGEST_WEIGHT = 20.0
"""Largest energy of a motif over kT; a lattice is frozen long before."""


@dataclass(frozen=True)
class LatticeModel:
    """Motifs whose energies are sought, as seen from one site.

    Parameters
    ----------
    name
        What the terms are.
    terms
        Name of each term.
    motifs
        Motifs of each term that a site is in, by its species and surroundings, with shape (n_terms, 2, 4096), int8.
    sharing
        Number of sites that share a motif: 2 for bonds, 3 for triangles.
    """

    name: str
    terms: tuple[str, ...]
    motifs: np.ndarray
    sharing: int

    def energy_terms(self, grid: SiteGrid) -> np.ndarray:
        """E_t of a lattice, with shape (n_terms,), float64; motifs around sites without all neighbours are left out."""
        bits, complete = surroundings(grid)
        return self.motifs[:, grid.species[complete], bits[complete]].sum(axis=1, dtype=np.int64) / self.sharing

    def flip_energies(self, weights: np.ndarray) -> np.ndarray:
        """Energy of turning a site from A to B, over kT, by its surroundings, with shape (4096,), float64.

        Raises
        ------
        StructureError
            Not one weight per term within -20 and 20.
        """
        weights = np.asarray(weights, np.float64)
        if weights.shape != (len(self.terms),) or not (np.abs(weights) <= LARGEST_WEIGHT).all():
            raise StructureError(
                f"weights of the {self.name} model",
                weights.tolist(),
                f"for each of {', '.join(self.terms)} a number within -{LARGEST_WEIGHT:g} and {LARGEST_WEIGHT:g}",
            )
        gains = self.motifs[:, 1].astype(np.float64) - self.motifs[:, 0]
        return weights @ gains


def pair_additive() -> LatticeModel:
    """Energies of unlike bonds in the first and in the second shell."""
    bits = bits_of(np.arange(N_SURROUNDINGS))
    counts = np.stack([bits[:, :6].sum(axis=1), bits[:, 6:].sum(axis=1)])
    motifs = np.stack([counts, 6 - counts], axis=1)
    return LatticeModel("pair-additive", ("unlike first neighbours", "unlike second neighbours"), _small(motifs), 2)


def many_body() -> LatticeModel:
    """Energies of triangles AAB and ABB of mutual first neighbours."""
    ring = bits_of(np.arange(N_SURROUNDINGS))[:, :6]
    pairs = ring + np.roll(ring, -1, axis=1)
    motifs = [[(pairs + centre == n_B).sum(axis=1) for centre in (0, 1)] for n_B in (1, 2)]
    return LatticeModel("many-body", ("triangles AAB", "triangles ABB"), _small(np.array(motifs)), 3)


def _small(motifs: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(motifs.astype(np.int8))


MODELS: Mapping[str, Callable[[], LatticeModel]] = MappingProxyType(
    {"pair-additive": pair_additive, "many-body": many_body}
)
"""The models, by name."""
