r"""Length calibration of a movie: the first C–C peak is set to 1.42 Å.

**Definition of the first peak.** A neighbour at the distance d whose position relative to its partner
scatters with the standard deviation s per axis, by heat or by localisation, is found at the distance r with
the Rice density

.. math:: p(r) = (r / s^2) \exp(-(r^2 + d^2) / 2 s^2) I_0(r d / s^2)
               ≈ \sqrt{r / d} \exp(-(r - d)^2 / 2 s^2) / \sqrt{2 π s^2}.

The mean of r lies above d, at d + s²/2d, and the maximum of g(r) ∝ p(r)/r below it, at d - s²/2d: at
s = 0.2 Å either errs by 1 %. The peak is therefore taken as d in :math:`\sqrt{r}` times a Gaussian, fitted by
Poisson maximum likelihood to the histogram of all C–C distances within the first shell, over a flat floor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares
from scipy.spatial import cKDTree
from scipy.special import xlogy

from hpcstem.atoms import AtomTable
from hpcstem.errors import ConfigError, StructureError
from hpcstem.potentials.grouping import rows_by_frame
from hpcstem.potentials.pairs import half_pairs

CC_BOND_A = 1.42
"""C–C distance in graphene [Å]."""

LARGEST_GUESS_ERROR = 0.15
"""A guess that is wrong by more than this fraction is refused."""

_FEWEST_DISTANCES = 50
# In units of the first peak: the part of the first shell that is fitted, and where the shell ends. The second
# shell of the honeycomb is at 1.73.
_FITTED = (0.75, 1.22)
_SHELL_END = 1.37
_LARGEST_SPREAD = 0.2
_VALLEY = (1.3, 1.42)
_DEEPEST_VALLEY = 0.5
_N_BINS = 60
_BLOCKS_PER_SIDE = 4


@dataclass(frozen=True)
class LengthCalibration:
    """Pixel size that puts the first C–C peak at 1.42 Å.

    Parameters
    ----------
    pixel_size_A
        Calibrated pixel size [Å].
    standard_error_A
        Its standard error [Å], by a jackknife over 16 parts of the field.
    first_peak_A
        The peak at the guessed pixel size [Å].
    spread_A
        Standard deviation of the distances about the peak, at the calibrated pixel size [Å].
    n_distances
        C–C distances in the fit.
    """

    pixel_size_A: float
    standard_error_A: float
    first_peak_A: float
    spread_A: float
    n_distances: int


def calibrate_length(atoms: AtomTable | Sequence[np.ndarray], pixel_size_guess_A: float) -> LengthCalibration:
    """Find the pixel size of a movie of graphene from its C–C distances.

    Parameters
    ----------
    atoms
        Atoms of one movie, of which the carbon is used; or the carbon positions of each frame [px], each with
        shape (n_atoms, 2), float64.
    pixel_size_guess_A
        Pixel size in the metadata, or the one that the atoms were decoded with [Å].

    Raises
    ------
    StructureError
        The distances show no clear first shell with three neighbours per atom, or there are too few.
    ConfigError
        The guess is wrong by more than 15 %; the error says which pixel size to give.
    """
    if not (np.isfinite(pixel_size_guess_A) and pixel_size_guess_A > 0):
        raise ConfigError("pixel_size_A", pixel_size_guess_A, "the size of a pixel in Å, above 0")
    frames_A = [frame * pixel_size_guess_A for frame in _carbon_px(atoms)]
    near_A = _typical_neighbour_A(frames_A)
    # Far enough for the valley of a peak at the upper bound of both fits.
    distance_A, block = _distances_by_block(frames_A, _VALLEY[1] * _FITTED[1] ** 2 * near_A)
    peak_A = near_A
    # The second fit has its window about the first fit's peak.
    for _ in range(2):
        counts = _histogram(distance_A, peak_A)
        if (n_distances := int(counts.sum())) < _FEWEST_DISTANCES:
            raise _no_peak(f"{n_distances} C–C distances in the first shell, fewer than {_FEWEST_DISTANCES}")
        peak_A, spread_A = _fit_peak(counts, peak_A)
    _check_shell(frames_A, distance_A, peak_A, spread_A)
    pixel_size_A = pixel_size_guess_A * CC_BOND_A / peak_A
    relative_error = _jackknife(distance_A, block, peak_A) / peak_A
    if abs(pixel_size_guess_A / pixel_size_A - 1) > LARGEST_GUESS_ERROR:
        raise ConfigError(
            f"pixel_size_A puts the first C–C peak at {peak_A:.3f} Å instead of {CC_BOND_A} Å",
            f"{pixel_size_guess_A:.6g}",
            f"pixel_size_A: {pixel_size_A:.5g}",
        )
    return LengthCalibration(
        pixel_size_A=float(pixel_size_A),
        standard_error_A=float(relative_error * pixel_size_A),
        first_peak_A=float(peak_A),
        spread_A=float(spread_A * CC_BOND_A / peak_A),
        n_distances=n_distances,
    )


def _carbon_px(atoms: AtomTable | Sequence[np.ndarray]) -> list[np.ndarray]:
    if not isinstance(atoms, AtomTable):
        return [np.asarray(frame, dtype=np.float64).reshape(-1, 2) for frame in atoms]
    movies = np.unique(atoms.movie)
    if len(movies) > 1:
        raise StructureError("atoms to calibrate", f"{len(movies)} movies", "the atoms of one movie")
    carbon = atoms[atoms.species == "C"]
    positions_px = np.column_stack([carbon.x_px, carbon.y_px])
    return [positions_px[rows] for rows in rows_by_frame(carbon)]


def _typical_neighbour_A(frames_A: list[np.ndarray]) -> float:
    """Median over atoms of the mean distance of the three nearest: robust against edges and missed atoms."""
    means_A = [cKDTree(frame).query(frame, k=4)[0][:, 1:].mean(axis=1) for frame in frames_A if len(frame) >= 4]
    if not means_A or not (near_A := float(np.median(np.concatenate(means_A)))) > 0:
        raise _no_peak("no frame with four carbon atoms apart from each other")
    return near_A


def _distances_by_block(frames_A: list[np.ndarray], cutoff_A: float) -> tuple[np.ndarray, np.ndarray]:
    """Distances [Å] and the part of the field, the same in all frames, that each lies in, with shape (n,)."""
    everything = np.concatenate(frames_A)
    origin_A = everything.min(axis=0)
    block_size_A = (everything.max(axis=0) - origin_A) / _BLOCKS_PER_SIDE + np.finfo(float).tiny
    distances_A, blocks = [], []
    for frame in frames_A:
        pairs = half_pairs(frame, cutoff_A)
        cell = ((frame[pairs.first] - origin_A) / block_size_A).astype(int).clip(0, _BLOCKS_PER_SIDE - 1)
        distances_A.append(pairs.distance_A)
        blocks.append(cell[:, 0] * _BLOCKS_PER_SIDE + cell[:, 1])
    return np.concatenate(distances_A), np.concatenate(blocks)


def _histogram(distance_A: np.ndarray, peak_A: float) -> np.ndarray:
    low, high = np.array(_FITTED) * peak_A
    return np.histogram(distance_A, _N_BINS, (low, high))[0]


def _fit_peak(counts: np.ndarray, centre_A: float) -> tuple[float, float]:
    """Peak and spread [Å] of a histogram over the fitted part of a shell about `centre_A`."""
    edges = np.linspace(*_FITTED, _N_BINS + 1)
    r = (edges[1:] + edges[:-1]) / 2

    def deviance_residuals(parameters: np.ndarray) -> np.ndarray:
        # Their sum of squares is the Poisson deviance, whose minimum is the maximum of the likelihood.
        peak, spread, height, floor = parameters
        model = np.sqrt(r) * (height * np.exp(-0.5 * ((r - peak) / spread) ** 2) + floor)
        deviance = 2 * (model - counts + xlogy(counts, counts / model))
        return np.sign(counts - model) * np.sqrt(np.maximum(deviance, 0))

    tallest = float(counts.max())
    fit = least_squares(
        deviance_residuals,
        x0=[1.0, 0.08, tallest, 0.02 * tallest],
        bounds=([_FITTED[0], 0.002, 1e-3, 1e-6 * tallest], [_FITTED[1], 1.0, 10 * tallest, 2 * tallest]),
        x_scale=[0.01, 0.01, tallest, 0.1 * tallest],
    )
    return float(fit.x[0] * centre_A), float(fit.x[1] * centre_A)


def _check_shell(frames_A: list[np.ndarray], distance_A: np.ndarray, peak_A: float, spread_A: float) -> None:
    if spread_A > _LARGEST_SPREAD * peak_A:
        raise _no_peak(f"distances that scatter by {spread_A / peak_A:.0%} about {peak_A:.3g} Å")
    valley_A, shell_A = np.array(_VALLEY) * peak_A, peak_A + np.array([-0.06, 0.06]) * peak_A

    def density(low_A: float, high_A: float) -> float:
        """Pairs per area of the ring."""
        return ((distance_A >= low_A) & (distance_A < high_A)).sum() / (high_A**2 - low_A**2)

    if density(*valley_A) > _DEEPEST_VALLEY * density(*shell_A):
        raise _no_peak(f"no gap between the first and the second shell beyond {peak_A:.3g} Å")
    neighbours = []
    for frame in frames_A:
        pairs = half_pairs(frame, _SHELL_END * peak_A)
        neighbours.append(np.bincount(np.concatenate([pairs.first, pairs.second]), minlength=len(frame)))
    typical = np.median(np.concatenate(neighbours))
    if typical != 3:
        raise _no_peak(f"{typical:g} neighbours of a typical atom within {_SHELL_END * peak_A:.3g} Å")


def _jackknife(distance_A: np.ndarray, block: np.ndarray, peak_A: float) -> float:
    """Return the standard error of the peak [Å] from fits that leave out one part of the field each."""
    counts = [_histogram(distance_A[block == b], peak_A) for b in np.unique(block)]
    total = np.sum(counts, axis=0)
    peaks = np.array([_fit_peak(total - part, peak_A)[0] for part in counts if part.sum()])
    return float(np.sqrt((len(peaks) - 1) / len(peaks) * ((peaks - peaks.mean()) ** 2).sum()))


def _no_peak(found: str) -> StructureError:
    return StructureError(
        "length calibration on the first C–C peak",
        found,
        "frames of graphene whose atoms have three neighbours at one distance; "
        "or give the pixel size yourself: pixel_size_A",
    )
