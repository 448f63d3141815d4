"""How strongly the dominant normal modes are excited: by local and global composition, and with what symmetry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hpcstem.errors import StructureError
from hpcstem.lattice.distortions import CLUSTER, LocalDistortions
from hpcstem.lattice.modes import NormalModes

FEWEST_BLOCKS = 4


@dataclass(frozen=True)
class ModeStatistics:
    """The modes of one image.

    Parameters
    ----------
    fraction_B
        Fraction of the atoms of the image that are of species B: the global composition.
    edges_A
        Edges of the bins of amplitude [Å], with shape (n_bins + 1,), float64.
    histogram
        Sites by mode, by the number of B atoms among the seven, and by amplitude, with shape (n_modes, 8, n_bins),
        int64; amplitudes beyond the edges are in the outermost bins.
    mean_square_A2
        Mean square amplitude by mode and by the number of B atoms [Å²], NaN where there is no site, with shape
        (n_modes, 8), float64.
    local_breaking
        0 where the modes of a site are distributed as in a symmetric well, by a Gaussian, and 1 where they always
        have the same strength in some direction; below 0 where strong and quiet sites mix.
    global_breaking
        0 where no direction is preferred in the whole image, 1 where all sites are excited along one.
    local_error, global_error
        Their standard errors, from leaving out one block of the image after the other.
    """

    fraction_B: float
    edges_A: np.ndarray
    histogram: np.ndarray
    mean_square_A2: np.ndarray
    local_breaking: float
    local_error: float
    global_breaking: float
    global_error: float


@dataclass(frozen=True)
class ModeStatisticsAnalysis:
    """Analysis: local distortions of images to the statistics of their dominant modes; a batch is one image.

    Parameters
    ----------
    modes
        The modes, of all images together.
    n_dominant
        How many of them, the strongest first.
    n_bins
        Bins of amplitude.

    Raises
    ------
    StructureError
        A number of modes that splits a multiplet, for its modes are only defined together.
    """

    modes: NormalModes
    n_dominant: int = 3
    n_bins: int = 61

    def __post_init__(self) -> None:
        multiplet = self.modes.multiplet
        if not 0 < self.n_dominant < len(multiplet) or multiplet[self.n_dominant - 1] == multiplet[self.n_dominant]:
            whole = [int(n) for n in np.flatnonzero(np.diff(multiplet)) + 1]
            raise StructureError("number of dominant modes", self.n_dominant, f"whole multiplets: one of {whole}")

    def process(self, batch: LocalDistortions) -> tuple[ModeStatistics, ...]:
        """Statistics of one image."""
        amplitudes_A = self.modes.amplitudes_A(batch)[:, : self.n_dominant]
        reach_A = 4 * float(np.sqrt(self.modes.variance_A2[0]))
        edges_A = np.linspace(-reach_A, reach_A, self.n_bins + 1)
        bins = np.clip(np.digitize(amplitudes_A, edges_A) - 1, 0, self.n_bins - 1)
        n_kinds = len(CLUSTER) + 1
        histogram = np.zeros((self.n_dominant, n_kinds, self.n_bins), np.int64)
        np.add.at(histogram, (np.arange(self.n_dominant), batch.n_B[:, None], bins), 1)
        n_sites = np.bincount(batch.n_B, minlength=n_kinds)
        squares = np.stack([np.bincount(batch.n_B, a**2, minlength=n_kinds) for a in amplitudes_A.T])
        mean_square_A2 = np.where(n_sites > 0, squares / np.maximum(n_sites, 1), np.nan)
        # In units of their spread the modes of a symmetric well have one Gaussian, whatever their multiplets.
        scaled = amplitudes_A / np.sqrt(self.modes.variance_A2[: self.n_dominant])
        site_wise = _with_error(local_breaking, scaled, batch.block)
        image_wide = _with_error(global_breaking, scaled, batch.block)
        return (ModeStatistics(batch.fraction_B, edges_A, histogram, mean_square_A2, *site_wise, *image_wide),)

    def merge(self, left: tuple[ModeStatistics, ...], right: tuple[ModeStatistics, ...]) -> tuple[ModeStatistics, ...]:
        """Put images one after another."""
        return left + right

    def finish(self, partial: tuple[ModeStatistics, ...]) -> tuple[ModeStatistics, ...]:
        """Return the images in their order."""
        return partial


def local_breaking(amplitudes: np.ndarray) -> float:
    """How far single sites are from a symmetric well: (d + 2)/2 - d/2 ⟨r⁴⟩/⟨r²⟩², of d modes with r² = Σ a².

    Parameters
    ----------
    amplitudes
        Amplitudes in units of their spread, with shape (n_sites, d), float.
    """
    squares = (amplitudes**2).sum(axis=1)
    d = amplitudes.shape[1]
    return float((d + 2) / 2 - d / 2 * (squares**2).mean() / squares.mean() ** 2)


def global_breaking(amplitudes: np.ndarray) -> float:
    """How far an image prefers a direction: √(d/(d - 1)) |M - 1/d| of the normalised second moments M of d modes.

    Modes that alternate from row to row have no mean; their second moments have.

    Parameters
    ----------
    amplitudes
        Amplitudes in units of their spread, with shape (n_sites, d), float.
    """
    d = amplitudes.shape[1]
    if d == 1:
        return float(amplitudes.mean() / np.sqrt((amplitudes**2).mean()))
    moments = amplitudes.T @ amplitudes
    moments /= np.trace(moments)
    return float(np.sqrt(d / (d - 1)) * np.linalg.norm(moments - np.eye(d) / d))


def _with_error(
    measure: Callable[[np.ndarray], float], amplitudes: np.ndarray, block: np.ndarray
) -> tuple[float, float]:
    """Value of a measure, and its jackknife error over the blocks of an image."""
    blocks = np.unique(block)
    if len(blocks) < FEWEST_BLOCKS:
        raise StructureError("sites of an image", f"in {len(blocks)} of its blocks", f"in at least {FEWEST_BLOCKS}")
    without = np.array([measure(amplitudes[block != left_out]) for left_out in blocks])
    error = np.sqrt((len(blocks) - 1) / len(blocks) * ((without - without.mean()) ** 2).sum())
    return measure(amplitudes), float(error)
