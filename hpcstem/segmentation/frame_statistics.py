"""A few numbers that tell one kind of frame from another, whatever its gain, its size and its dose.

Of the frame itself: the shape of its power spectrum and of its histogram. Of what the networks make of it: how sure
they are, how much they differ, and how far apart the atoms are that they find [1]_. Numbers are those of patches as
large as a training image.

References
----------
.. [1] K. Lee et al., NeurIPS (2018), arXiv:1807.03888: the distance to the training set in statistics of a network.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from hpcstem.segmentation.inference import ProbabilityMaps
from hpcstem.segmentation.locate import locate

_BANDS_PER_A = (0.2, 0.44, 0.5, 0.74, 0.86)
"""Edges of the bands of spatial frequency; lattices with spacings of 1.2 to 5 Å differ in what is in them [1/Å]."""
_NOISE_BAND_PER_A = (1.6, 2.6)
_BACKGROUND_A, _SMOOTHING_A = 1.2, 0.4
_EDGE_A = 2.0
_FEWEST_ATOMS = 6
_LEAST_SHARE = 0.01  # below it, a share is noise, and its logarithm too

NAMES = (
    *(f"power at {low}-{high} 1/Å" for low, high in pairwise(_BANDS_PER_A)),
    "95th percentile of intensity",
    "doubt about the atoms",
    "share of doubtful pixels",
    "spread of the networks",
    "spread of the positions",
    "distance to the nearest atom",
    "distance to the third atom",
)
"""What the statistics are, in their order."""


def frame_statistics(image: np.ndarray, maps: ProbabilityMaps, atom_radius_A: float) -> np.ndarray:
    """Statistics of one patch.

    Parameters
    ----------
    image
        At the pixel size of the maps, with shape (rows, columns), float32.
    maps
        What the ensemble sees in it.
    atom_radius_A
        Radius of the discs that the networks were trained on [Å].

    Returns
    -------
    numpy.ndarray
        One number per name of `NAMES`, float64. Distances are 0 Å where there are fewer than six atoms.
    """
    contrast = np.clip(image, *np.percentile(image, [0.5, 99.5], method="nearest"))
    contrast = contrast - ndimage.gaussian_filter(contrast, _BACKGROUND_A / maps.pixel_size_A)
    return np.concatenate([
        _spectrum(contrast, maps.pixel_size_A),
        _histogram(contrast, maps.pixel_size_A),
        _opinion(maps, atom_radius_A),
    ])  # fmt: skip


def patches(shape: tuple[int, int], n_pixels: int, at_most: int) -> list[tuple[slice, slice]]:
    """Parts of a frame, each about `n_pixels` long and wide; evenly spaced ones where there are too many.

    Parameters
    ----------
    shape
        Rows and columns of the frame.
    n_pixels
        Rows and columns wanted of a patch.
    at_most
        Largest number of patches.
    """
    edges = [np.linspace(0, n, max(round(n / n_pixels), 1) + 1).astype(int) for n in shape]
    every = [(slice(*r), slice(*c)) for r in pairwise(edges[0].tolist()) for c in pairwise(edges[1].tolist())]
    chosen = np.unique(np.linspace(0, len(every) - 1, min(at_most, len(every))).round().astype(int))
    return [every[i] for i in chosen]


def _spectrum(contrast: np.ndarray, pixel_size_A: float) -> np.ndarray:
    """Logarithms of the shares of the power in each band, without what white noise adds."""
    rows, columns = contrast.shape
    power = np.abs(np.fft.rfft2(contrast * np.hanning(rows)[:, None] * np.hanning(columns))) ** 2
    frequency = np.hypot(np.fft.fftfreq(rows, pixel_size_A)[:, None], np.fft.rfftfreq(columns, pixel_size_A))
    low, high = _NOISE_BAND_PER_A
    noise = np.median(power[(frequency >= low) & (frequency < high)]) / np.log(2)
    band = np.digitize(frequency, _BANDS_PER_A)
    signal = np.maximum(power - noise, 0)
    sums = np.bincount(band.ravel(), signal.ravel(), len(_BANDS_PER_A) + 1)[1:]
    return np.log(sums[:-1] / max(sums.sum(), np.finfo(float).tiny) + _LEAST_SHARE)


def _histogram(contrast: np.ndarray, pixel_size_A: float) -> np.ndarray:
    """Distance from the median to the 95th percentile, as a share of that from the 5th."""
    smooth = ndimage.gaussian_filter(contrast, _SMOOTHING_A / pixel_size_A)
    # No further out: a few bright atoms in a small field are nothing out of the way.
    low, middle, high = np.percentile(smooth, [5, 50, 95])
    return np.array([(high - middle) / max(high - low, np.finfo(np.float32).tiny)])


def _opinion(maps: ProbabilityMaps, atom_radius_A: float) -> np.ndarray:
    """What the networks make of it."""
    blobs = locate(maps, atom_radius_A)
    atom = 1 - maps.mean[0]
    cover = max(float((atom > 0.5).mean()), _LEAST_SHARE)
    doubtful = float(((atom > 0.2) & (atom < 0.8)).mean())
    few = len(blobs.probability) < _FEWEST_ATOMS
    doubt = 1.0 if few else 1 - float(blobs.probability.mean())
    apart_A = 1.0 if few else float(blobs.spread_px.mean()) * maps.pixel_size_A
    nearest_A, third_A = (0.0, 0.0) if few else _distances(blobs.positions_px * maps.pixel_size_A, atom.shape, maps)
    shares = np.array([doubt, doubtful / cover, float(maps.spread.mean()) / cover, apart_A])
    return np.append(np.log(np.maximum(shares, _LEAST_SHARE / 10)), [nearest_A, third_A])


def _distances(positions_A: np.ndarray, shape: tuple[int, ...], maps: ProbabilityMaps) -> tuple[float, float]:
    """Medians of the distances to the first and the third neighbour, away from the edge where there are atoms."""
    neighbours = cKDTree(positions_A).query(positions_A, k=4)[0]
    field_A = np.array(shape[::-1]) * maps.pixel_size_A
    inside = ((positions_A > _EDGE_A) & (positions_A < field_A - _EDGE_A)).all(axis=1)
    chosen = neighbours[inside] if inside.sum() >= _FEWEST_ATOMS else neighbours
    return float(np.median(chosen[:, 1])), float(np.median(chosen[:, 3]))
