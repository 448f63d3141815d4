"""Independent Markov chains of a lattice model, as an analysis: one batch is the seed of one chain."""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np

from hpcstem.errors import StructureError
from hpcstem.lattice.classes import LocalClasses
from hpcstem.lattice.kawasaki import Exchanges
from hpcstem.lattice.model import LatticeModel

BURN_IN_SWEEPS = 200
"""Attempts per site before the first snapshot."""


@dataclass(frozen=True)
class Snapshots:
    """What was seen of configurations, chain after chain.

    Parameters
    ----------
    histograms
        Sites of each class, with shape (n_snapshots, n_classes), int64.
    energies
        Energy terms E_t of the whole lattice, with shape (n_snapshots, n_terms), float64.
    chains
        Number of the snapshot's chain, with shape (n_snapshots,), int64.
    n_attempts, n_made
        Exchanges attempted and made by all chains.
    """

    histograms: np.ndarray
    energies: np.ndarray
    chains: np.ndarray
    n_attempts: int
    n_made: int


@dataclass(frozen=True)
class LatticeSampling:
    """Analysis: seeds of chains to snapshots of the model at given weights.

    Parameters
    ----------
    model
        What has an energy.
    weights
        Energy of each motif over kT.
    classes
        What the histograms count.
    n_side
        Sites per side of the periodic lattice.
    n_B
        Atoms of species B.
    n_snapshots
        Snapshots per chain.
    sweeps_between
        Attempts per site between snapshots.

    Raises
    ------
    StructureError
        No snapshots, or no sweeps between them.
    """

    model: LatticeModel
    weights: tuple[float, ...]
    classes: LocalClasses
    n_side: int
    n_B: int
    n_snapshots: int
    sweeps_between: int = 1

    def __post_init__(self) -> None:
        if min(self.n_snapshots, self.sweeps_between) < 1:
            raise StructureError(
                "snapshots of a chain", f"{self.n_snapshots}, {self.sweeps_between} sweeps apart", "1 or more of each"
            )

    def process(self, batch: np.random.SeedSequence) -> Snapshots:
        """Run one chain."""
        chain = Exchanges(self.model, np.array(self.weights), self.n_side, self.n_B, batch)
        n_sites = self.n_side**2
        n_made = chain.attempt(BURN_IN_SWEEPS * n_sites)
        histograms = np.zeros((self.n_snapshots, self.classes.n_classes), np.int64)
        motifs = np.zeros((self.n_snapshots, len(self.weights)), np.int64)
        for snapshot in range(self.n_snapshots):
            n_made += chain.attempt(self.sweeps_between * n_sites)
            _count(
                chain.species,
                chain.bits,
                self.classes.table,
                self.model.motifs,
                histograms[snapshot],
                motifs[snapshot],
            )
        n_attempts = (BURN_IN_SWEEPS + self.n_snapshots * self.sweeps_between) * n_sites
        chains = np.zeros(self.n_snapshots, np.int64)
        return Snapshots(histograms, motifs / self.model.sharing, chains, n_attempts, n_made)

    def merge(self, left: Snapshots, right: Snapshots) -> Snapshots:
        """Put the chains of `right` after those of `left`."""
        return Snapshots(
            np.concatenate([left.histograms, right.histograms]),
            np.concatenate([left.energies, right.energies]),
            np.concatenate([left.chains, right.chains + left.chains[-1] + 1]),
            left.n_attempts + right.n_attempts,
            left.n_made + right.n_made,
        )

    def finish(self, partial: Snapshots) -> Snapshots:
        """Return all chains."""
        return partial


@numba.njit(cache=True)
def _count(
    species: np.ndarray,
    bits: np.ndarray,
    table: np.ndarray,
    site_motifs: np.ndarray,
    histogram: np.ndarray,
    motifs: np.ndarray,
) -> None:
    for site in range(len(species)):
        histogram[table[species[site], bits[site]]] += 1
        for term in range(len(motifs)):
            motifs[term] += site_motifs[term, species[site], bits[site]]


def correlated_snapshots(snapshots: Snapshots) -> float:
    """How many successive snapshots hold as much as one independent one: 1 where all are independent.

    1 + 2 Σ of the autocorrelation of the energy terms up to its first value below 0.05, averaged over chains; the
    largest of the terms.
    """
    longest = 1.0
    for term in range(snapshots.energies.shape[1]):
        correlation: np.ndarray | float = 0.0
        for chain in np.unique(snapshots.chains):
            series = snapshots.energies[snapshots.chains == chain, term]
            padded = np.fft.rfft(series - series.mean(), 2 * len(series))
            correlation = correlation + np.fft.irfft(np.abs(padded) ** 2)[: len(series)]
        curve = np.asarray(correlation)
        if curve[0] > 0:
            curve = curve / curve[0]
            small = curve < 0.05
            end = int(np.argmax(small)) if small.any() else len(curve)
            longest = max(longest, 1.0 + 2.0 * float(curve[1:end].sum()))
    return longest
