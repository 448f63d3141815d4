r"""Potential of mean force w(r) = -kT ln g(r) with block errors, and when it must not be believed.

It is a potential only in equilibrium [1]_. Atoms on sites that hold them have sharp peaks in g, and so a well in w,
without any force between them.

References
----------
.. [1] J. G. Kirkwood, J. Chem. Phys. 3, 300 (1935), https://doi.org/10.1063/1.1749657
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self, TypeVar

import numpy as np

from hpcstem.atoms import NO_TRACK, AtomTable
from hpcstem.errors import StructureError
from hpcstem.potentials.parquet_trajectory import without_drift
from hpcstem.potentials.rdf import RDF, RadialDistribution, RDFCounts

_FEWEST_PAIRS = 20
_CHANGED = 3.0
_FROZEN = 0.9
_BINS_JOINED = 4
_NO_EDGES_A = 1e9


class AnyCounts(Protocol):
    """Counts of the pairs of some frames, from which those of other frames can be taken off."""

    @property
    def histogram(self) -> np.ndarray:
        """Pairs by species pair and distance, int64."""
        ...

    def __sub__(self, other: Self) -> Self: ...


Counts = TypeVar("Counts", bound=AnyCounts)


class Distribution(Protocol[Counts]):
    """Analysis whose answer is a radial distribution."""

    def process(self, batch: AtomTable) -> Counts:
        """Count one batch."""
        ...

    def merge(self, left: Counts, right: Counts) -> Counts:
        """Add."""
        ...

    def finish(self, partial: Counts) -> RDF:
        """Divide."""
        ...


@dataclass(frozen=True)
class MeanForcePotential:
    """Potential of mean force in units of kT.

    Parameters
    ----------
    species_pairs
        Chemical symbols of each row.
    r_A
        Centres of the bins [Å], with shape (n_bins,), float64.
    w_kT
        -ln g less its mean over the last tenth of the range, with shape (n_pairs, n_bins), float64; NaN where
        fewer than 20 pairs were found.
    error_kT
        Standard error over blocks, with the same shape.
    w_kde_kT
        The same of the smoothed g, which flattens sharp wells.
    """

    species_pairs: tuple[tuple[str, str], ...]
    r_A: np.ndarray
    w_kT: np.ndarray
    error_kT: np.ndarray
    w_kde_kT: np.ndarray


def mean_force_potential(analysis: Distribution[Counts], blocks: Sequence[Counts]) -> tuple[RDF, MeanForcePotential]:
    """Radial distribution and potential of mean force from the counts of two or more blocks of frames.

    Parameters
    ----------
    analysis
        `RadialDistribution` or `MaterialDistribution`.
    blocks
        Its counts of each block.

    Raises
    ------
    StructureError
        Fewer than two blocks.
    """
    if len(blocks) < 2:
        raise StructureError("blocks of the potential of mean force", len(blocks), "at least 2")
    total = blocks[0]
    for block in blocks[1:]:
        total = analysis.merge(total, block)
    rdf = analysis.finish(total)
    without = []
    for block in blocks:
        without.append(_minus_log(analysis.finish(total - block).g))
    enough = rdf.counts >= _FEWEST_PAIRS
    n = len(blocks)
    with np.errstate(invalid="ignore"):
        error = np.sqrt((n - 1) / n * ((np.stack(without) - np.mean(without, axis=0)) ** 2).sum(axis=0))
    w = np.where(enough, _minus_log(rdf.g), np.nan)
    return rdf, MeanForcePotential(
        rdf.species_pairs, rdf.r_A, w, np.where(enough, error, np.nan), np.where(enough, _minus_log(rdf.g_kde), np.nan)
    )


def mean_force_of_distances(
    symbols: tuple[str, ...], cutoff_A: float, blocks: Sequence[np.ndarray], sides_A: tuple[float, float] | None
) -> MeanForcePotential | None:
    """Potential of mean force from the distances that a force fit has seen.

    Parameters
    ----------
    symbols
        Names of the species.
    cutoff_A
        Upper end of the distances [Å].
    blocks
        Pairs by species pair and distance of each of two or more blocks of frames, with shape (n_pairs, n_bins), int64.
    sides_A
        Sides of the window that the atoms fill [Å]; None for a periodic box, which has no edges.

    Returns
    -------
    MeanForcePotential or None
        None for a window that is not wider than the cut-off.
    """
    if sides_A is not None and min(sides_A) <= cutoff_A:
        return None
    width_A, height_A = sides_A or (_NO_EDGES_A, _NO_EDGES_A)
    n_pairs, n_bins = blocks[0].shape
    n_joined = n_bins // _BINS_JOINED
    analysis = RadialDistribution((0.0, 0.0, width_A, height_A), symbols, cutoff_A, cutoff_A / n_joined)
    # The number of pairs at any distance only scales g, and w is free up to a constant.
    counts = [
        RDFCounts(block.reshape(n_pairs, n_joined, -1).sum(axis=2), np.ones(n_pairs, np.int64), 1) for block in blocks
    ]
    return mean_force_potential(analysis, counts)[1]


def equilibrium_warnings(blocks: Sequence[AnyCounts], past_correlation: float) -> list[str]:
    """Reasons not to read the potential of mean force as a potential.

    Parameters
    ----------
    blocks
        Counts of blocks of frames in the order of time.
    past_correlation
        -2 ⟨Δx_n Δx_{n+1}⟩ / ⟨Δx²⟩: one if each snapshot scatters anew about fixed sites.
    """
    reasons = []
    half = len(blocks) // 2
    early = np.sum([block.histogram for block in blocks[:half]], axis=0)
    late = np.sum([block.histogram for block in blocks[half:]], axis=0)
    share_early, share_late = early / max(early.sum(), 1), late / max(late.sum(), 1)
    seen = (early + late) >= _FEWEST_PAIRS
    variance = share_early / max(early.sum(), 1) + share_late / max(late.sum(), 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        chi2 = float(np.nansum(((share_early - share_late) ** 2 / variance)[seen]) / max(seen.sum(), 1))
    if chi2 > _CHANGED:
        reasons.append(
            f"the pair distances of the first and the second half differ (χ² per bin {chi2:.1f}): not stationary"
        )
    if past_correlation > _FROZEN:
        reasons.append(
            f"{past_correlation:.0%} of each step is undone in the next: atoms scatter about fixed sites, whose peaks "
            "in g are wells without a pair force"
        )
    return reasons


def past_correlation(table: AtomTable) -> float:
    """-2 ⟨Δx_n Δx_{n+1}⟩ / ⟨Δx²⟩ of the linked atoms of one movie; 0 where none is linked over three frames."""
    linked = table[table.track != NO_TRACK]
    if len(linked) == 0:
        return 0.0
    linked = linked[np.lexsort((linked.track, linked.frame))]
    start = np.append(np.unique(linked.frame, return_index=True)[1], len(linked))
    still_A = without_drift(linked.positions_A, linked.track, start)
    order = np.lexsort((linked.frame, linked.track))
    track, frame = linked.track[order], linked.frame[order]
    follows = (np.diff(track) == 0) & (np.diff(frame) == 1)
    step_A = np.where(follows[:, None], np.diff(still_A[order], axis=0), np.nan)
    products_A2 = step_A[1:] * step_A[:-1]
    if not np.nansum(np.abs(products_A2)) > 0:
        return 0.0
    return float(-2 * np.nanmean(products_A2) / np.nanmean(step_A**2))


def _minus_log(g: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        w = -np.log(g)
        far = w[:, -max(1, w.shape[1] // 10) :]
        finite = np.isfinite(far)
        mean = np.where(finite, far, 0.0).sum(axis=1, keepdims=True) / finite.sum(axis=1, keepdims=True)
        return np.asarray(w - mean)
