r"""Radial distribution functions of atoms in a plane, seen through a rectangular window.

In a window W of width L and height H, two independent uniform points lie at a distance r with the density
2πr γ(r) / (L H)², where γ is the set covariance of the window averaged over directions [1]_,

.. math:: γ(r) = L H - 2 r (L + H) / π + r^2 / π, \qquad r < \min(L, H),

exact in that range. g(r) is the number of pairs over the number so expected, so it is one for
independent atoms at every r, without discarding atoms near the edges.

References
----------
.. [1] Stoyan, Kendall and Mecke, Stochastic Geometry and its Applications, 2nd ed. (1995), chapter 6.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hpcstem.atoms import AtomTable
from hpcstem.errors import StructureError
from hpcstem.potentials.grouping import rows_by_frame
from hpcstem.potentials.pairs import pair_histogram, species_pairs


@dataclass(frozen=True)
class RDFCounts:
    """Partial result: integers only, so that any order of merging gives the same bits.

    Parameters
    ----------
    histogram
        Pairs by species pair and distance, with shape (n_species_pairs, n_bins), int64.
    possible_pairs
        Pairs of atoms in the same frame at any distance, summed over frames, with shape
        (n_species_pairs,), int64.
    n_frames
        Frames with at least one atom in the window.
    """

    histogram: np.ndarray
    possible_pairs: np.ndarray
    n_frames: int

    def __sub__(self, other: RDFCounts) -> RDFCounts:
        return RDFCounts(
            self.histogram - other.histogram,
            self.possible_pairs - other.possible_pairs,
            self.n_frames - other.n_frames,
        )


@dataclass(frozen=True)
class RDF:
    """Radial distribution functions.

    Parameters
    ----------
    species_pairs
        Chemical symbols of each row below.
    r_A
        Centres of the bins [Å], with shape (n_bins,), float64.
    g
        Pairs found over pairs expected of independent atoms, with shape (n_species_pairs, n_bins), float64;
        NaN for a species pair that no frame holds.
    g_kde
        The same after a Gaussian kernel over both numbers of pairs, with the same shape: smoother, and lower in
        sharp peaks.
    counts
        Pairs found, with shape (n_species_pairs, n_bins), int64.
    n_frames
        Frames with at least one atom in the window.
    bandwidth_A
        Standard deviation of the kernel [Å].
    """

    species_pairs: tuple[tuple[str, str], ...]
    r_A: np.ndarray
    g: np.ndarray
    g_kde: np.ndarray
    counts: np.ndarray
    n_frames: int
    bandwidth_A: float


@dataclass(frozen=True)
class RadialDistribution:
    """Analysis: batches of decoded atoms to radial distribution functions.

    A batch is an `AtomTable`, or the path of one in a Parquet file, and holds whole frames. Atoms outside the
    window and of other species are left out.

    Parameters
    ----------
    window_A
        (x0, y0, x1, y1) of the rectangle that the material fills in every frame [Å].
    species
        Chemical symbols.
    cutoff_A
        Upper end of the distances [Å], below the shorter side of the window.
    bin_width_A
        Width of a bin [Å], rounded so that a whole number of bins reaches the cut-off.
    bandwidth_A
        Standard deviation of the Gaussian kernel of `RDF.g_kde` [Å].

    Raises
    ------
    StructureError
        A window without area, a cut-off not below its shorter side, a width that is not positive, no species,
        or the same species twice.
    """

    window_A: tuple[float, float, float, float]
    species: tuple[str, ...] = ("C", "Si")
    cutoff_A: float = 8.0
    bin_width_A: float = 0.02
    bandwidth_A: float = 0.2

    def __post_init__(self) -> None:
        width, height = self._sides_A
        if not min(width, height) > 0:
            raise StructureError("window of the RDF", self.window_A, "(x0, y0, x1, y1) with x1 > x0 and y1 > y0, in Å")
        if not 0 < self.cutoff_A < min(width, height):
            raise StructureError(
                "cut-off of the RDF",
                f"{self.cutoff_A} Å",
                f"above 0 Å and below the window's side, {min(width, height)} Å",
            )
        if not 0 < self.bin_width_A <= self.cutoff_A:
            raise StructureError("bin width of the RDF", f"{self.bin_width_A} Å", "above 0 Å and up to the cut-off")
        if not self.bandwidth_A > 0:
            raise StructureError("bandwidth of the RDF", f"{self.bandwidth_A} Å", "above 0 Å")
        if not self.species or len(set(self.species)) < len(self.species):
            raise StructureError("species of the RDF", self.species, "one or more chemical symbols, each once")

    def process(self, batch: AtomTable | Path) -> RDFCounts:
        """Count pairs in every frame of one batch."""
        table = batch if isinstance(batch, AtomTable) else AtomTable.read(batch)
        x0, y0, x1, y1 = self.window_A
        species = np.full(len(table), -1)
        for index, symbol in enumerate(self.species):
            species[table.species == symbol] = index
        inside = (table.x_A >= x0) & (table.x_A < x1) & (table.y_A >= y0) & (table.y_A < y1) & (species >= 0)
        pairs = species_pairs(len(self.species))
        histogram = np.zeros((len(pairs), self._n_bins), np.int64)
        possible = np.zeros(len(pairs), np.int64)
        positions_A = table.positions_A
        n_frames = 0
        for rows in rows_by_frame(table):
            rows = rows[inside[rows]]
            n_frames += len(rows) > 0
            histogram += pair_histogram(
                positions_A[rows], species[rows], len(self.species), self.cutoff_A, self._n_bins
            )
            n_atoms = np.bincount(species[rows], minlength=len(self.species))
            possible += [n_atoms[a] * (n_atoms[a] - 1) // 2 if a == b else n_atoms[a] * n_atoms[b] for a, b in pairs]
        return RDFCounts(histogram, possible, n_frames)

    def merge(self, left: RDFCounts, right: RDFCounts) -> RDFCounts:
        """Add the counts."""
        return RDFCounts(
            left.histogram + right.histogram,
            left.possible_pairs + right.possible_pairs,
            left.n_frames + right.n_frames,
        )

    def finish(self, partial: RDFCounts) -> RDF:
        """Divide by the counts expected of independent atoms in the window."""
        edges_A = np.linspace(0, self.cutoff_A, self._n_bins + 1)
        r_A = (edges_A[1:] + edges_A[:-1]) / 2
        expected = partial.possible_pairs[:, None] * self._fraction_of_pairs(edges_A)
        kernel = np.exp(-0.5 * ((r_A[:, None] - r_A) / self.bandwidth_A) ** 2)
        with np.errstate(invalid="ignore"):
            g = partial.histogram / expected
            # Both numbers get the kernel, so that the ends of the range keep g = 1 for independent atoms.
            g_kde = (partial.histogram @ kernel) / (expected @ kernel)
        symbols = tuple((self.species[a], self.species[b]) for a, b in species_pairs(len(self.species)))
        return RDF(symbols, r_A, g, g_kde, partial.histogram, partial.n_frames, self.bandwidth_A)

    @property
    def _sides_A(self) -> tuple[float, float]:
        x0, y0, x1, y1 = self.window_A
        return x1 - x0, y1 - y0

    @property
    def _n_bins(self) -> int:
        return max(1, round(self.cutoff_A / self.bin_width_A))

    def _fraction_of_pairs(self, edges_A: np.ndarray) -> np.ndarray:
        """Return the integral of 2πr γ(r) / area² over each bin, with shape (n_bins,)."""
        width, height = self._sides_A
        area, half_perimeter = width * height, width + height
        below = np.pi * area * edges_A**2 - 4 / 3 * half_perimeter * edges_A**3 + edges_A**4 / 2
        return np.diff(below) / area**2
