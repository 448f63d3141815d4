r"""Radial distribution functions of sheets that do not fill the window: with holes, edges, or shrinking.

The expected number of pairs of independent atoms at a distance r is taken from the material's own set covariance
:math:`γ(r)`, the area of the overlap of the material with itself shifted by r, averaged over directions [1]_,
frame by frame. The material of a frame is the window's part within reach of an atom.

References
----------
.. [1] Stoyan, Kendall and Mecke, Stochastic Geometry and its Applications, 2nd ed. (1995), chapter 6.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.fft import irfft2, next_fast_len, rfft2
from scipy.ndimage import distance_transform_edt

from hpcstem.atoms import AtomTable
from hpcstem.errors import StructureError
from hpcstem.potentials.grouping import rows_by_frame
from hpcstem.potentials.pairs import species_pairs
from hpcstem.potentials.rdf import RDF, RadialDistribution

_PIXEL_A = 0.25


@dataclass(frozen=True)
class MaterialCounts:
    """Partial result.

    Parameters
    ----------
    histogram
        Pairs by species pair and distance, with shape (n_species_pairs, n_bins), int64.
    expected
        The same for independent atoms in the material of each frame, float64.
    area_A2
        Area of the material, summed over frames [Å²].
    n_frames
        Frames with at least one atom in the window.
    """

    histogram: np.ndarray
    expected: np.ndarray
    area_A2: float
    n_frames: int

    def __sub__(self, other: MaterialCounts) -> MaterialCounts:
        return MaterialCounts(
            self.histogram - other.histogram,
            self.expected - other.expected,
            self.area_A2 - other.area_A2,
            self.n_frames - other.n_frames,
        )


@dataclass(frozen=True)
class MaterialDistribution:
    """Analysis: batches of decoded atoms to radial distribution functions of the material that they make up.

    Parameters
    ----------
    window
        Window, species, cut-off, bins and kernel.
    reach_A
        Distance from an atom that still is material [Å]: above half the largest distance between neighbours, so
        that rings are filled, and below half the diameter of the holes that count. The material's edge lies half
        a bond beyond its outermost atoms: `reach_A` is eroded to that.
    rim_A
        How far the material reaches beyond its outermost atoms [Å].

    Raises
    ------
    StructureError
        Lengths that are not positive, or a rim beyond the reach.
    """

    window: RadialDistribution
    reach_A: float = 1.8
    rim_A: float = 0.6

    def __post_init__(self) -> None:
        if not 0 <= self.rim_A <= self.reach_A < np.inf or self.reach_A == 0:
            raise StructureError(
                "reach and rim of the material", f"{self.reach_A}, {self.rim_A} Å", "0 <= rim <= reach"
            )

    def process(self, batch: AtomTable | Path) -> MaterialCounts:
        """Count pairs, and pairs expected, in every frame of one batch."""
        table = batch if isinstance(batch, AtomTable) else AtomTable.read(batch)
        total: MaterialCounts | None = None
        for rows in rows_by_frame(table):
            counts = self._frame(table[rows])
            total = counts if total is None else self.merge(total, counts)
        return self._frame(table) if total is None else total

    def merge(self, left: MaterialCounts, right: MaterialCounts) -> MaterialCounts:
        """Add."""
        return MaterialCounts(
            left.histogram + right.histogram,
            left.expected + right.expected,
            left.area_A2 + right.area_A2,
            left.n_frames + right.n_frames,
        )

    def finish(self, partial: MaterialCounts) -> RDF:
        """Divide."""
        n_bins = partial.histogram.shape[1]
        edges_A = np.linspace(0, self.window.cutoff_A, n_bins + 1)
        r_A = (edges_A[1:] + edges_A[:-1]) / 2
        kernel = np.exp(-0.5 * ((r_A[:, None] - r_A) / self.window.bandwidth_A) ** 2)
        with np.errstate(invalid="ignore", divide="ignore"):
            g = partial.histogram / partial.expected
            g_kde = (partial.histogram @ kernel) / (partial.expected @ kernel)
        symbols = tuple(
            (self.window.species[a], self.window.species[b]) for a, b in species_pairs(len(self.window.species))
        )
        return RDF(symbols, r_A, g, g_kde, partial.histogram, partial.n_frames, self.window.bandwidth_A)

    def _frame(self, frame: AtomTable) -> MaterialCounts:
        counts = self.window.process(frame)
        expected = np.zeros_like(counts.histogram, dtype=np.float64)
        if counts.n_frames == 0:
            return MaterialCounts(counts.histogram, expected, 0.0, 0)
        mask = material_mask(frame.positions_A, self.window.window_A, self.reach_A, self.rim_A)
        covariance_A2 = set_covariance(mask, self.window.cutoff_A, expected.shape[1])
        edges_A = np.linspace(0, self.window.cutoff_A, expected.shape[1] + 1)
        area_A2 = float(mask.sum()) * _PIXEL_A**2
        share = np.pi * np.diff(edges_A**2) * covariance_A2 / area_A2**2
        return MaterialCounts(counts.histogram, counts.possible_pairs[:, None] * share, area_A2, counts.n_frames)


def material_mask(
    positions_A: np.ndarray, window_A: tuple[float, float, float, float], reach_A: float, rim_A: float
) -> np.ndarray:
    """Pixels of a quarter of an ångström that are material, with shape (rows, columns), bool.

    Everything within `reach_A` of an atom, less what is nearer than `reach_A` - `rim_A` to its complement: holes
    narrower than the reach are closed, and wider ones end `rim_A` beyond their atoms.
    """
    x0, y0, x1, y1 = window_A
    # Atoms beyond the window by less than the reach count too.
    margin = int(np.ceil(reach_A / _PIXEL_A)) + 1
    shape = np.ceil(np.array([y1 - y0, x1 - x0]) / _PIXEL_A).astype(int) + 2 * margin
    empty = np.ones(shape, bool)
    index = ((positions_A[:, ::-1] - [y0, x0]) / _PIXEL_A).astype(int) + margin
    index = index[((index >= 0) & (index < shape)).all(axis=1)]
    empty[index[:, 0], index[:, 1]] = False
    near = distance_transform_edt(empty) * _PIXEL_A <= reach_A
    inner = slice(margin, -margin)
    # Outside the window nothing is known: it does not erode.
    padded = np.pad(near[inner, inner], margin, mode="edge")
    kept = distance_transform_edt(padded) * _PIXEL_A > reach_A - rim_A
    return np.asarray(kept[inner, inner])


def set_covariance(mask: np.ndarray, cutoff_A: float, n_bins: int) -> np.ndarray:
    """Area of the overlap of a mask with itself shifted by the distances of each bin [Å²], shape (n_bins,)."""
    reach = int(np.ceil(cutoff_A / _PIXEL_A)) + 1
    shape = [next_fast_len(length + reach, real=True) for length in mask.shape]
    transformed = rfft2(mask.astype(np.float64), shape)
    overlap = irfft2(np.abs(transformed) ** 2, shape) * _PIXEL_A**2
    steps = np.arange(-reach, reach + 1)
    near = overlap[np.ix_(steps % shape[0], steps % shape[1])]
    distance_A = np.hypot(*np.meshgrid(steps, steps, indexing="ij")) * _PIXEL_A
    order = np.argsort(distance_A, axis=None)
    # The mean over directions is smooth in r: rings of one pixel, read off at the centres of the bins.
    rings = (distance_A.ravel()[order] / _PIXEL_A).round().astype(int)
    n_pixels = np.bincount(rings)
    mean_r_A = np.bincount(rings, distance_A.ravel()[order]) / n_pixels
    mean_A2 = np.bincount(rings, near.ravel()[order]) / n_pixels
    centres_A = (np.arange(n_bins) + 0.5) * cutoff_A / n_bins
    return np.interp(centres_A, mean_r_A, mean_A2)
