"""From probability maps to atoms: one atom per blob, at its centre of mass."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from hpcstem.segmentation.inference import ProbabilityMaps

THRESHOLD = 0.5
"""Probability of an atom above which a peak counts as one."""
SAME_ATOM_A = 0.6
"""Peaks nearer to each other than this after centring are one atom: no bond is so short [Å]."""

_CENTRING_STEPS = 3
# Two equal discs overlap in a lens half-way between them, so that twice the displacement would centre one on the other
# at once; the discs of a network are softer.
_STEP = 1.5
_LEAST_SHARE = 0.35


@dataclass(frozen=True)
class Blobs:
    """Atoms found in one set of maps, positions in pixels of the maps.

    Parameters
    ----------
    positions_px
        (x, y) by centre of mass of the mean map, with shape (n, 2), float64.
    classes
        Most probable class, with shape (n,), int.
    probability
        Mean probability of that class over the atom's disc, with shape (n,), float64.
    detection
        Fraction of members with a peak above threshold at the atom, with shape (n,), float64.
    spread_px
        Standard deviation per axis of the members' own centres of mass, with shape (n,), float64.
    """

    positions_px: np.ndarray
    classes: np.ndarray
    probability: np.ndarray
    detection: np.ndarray
    spread_px: np.ndarray


def locate(maps: ProbabilityMaps, atom_radius_A: float) -> Blobs:
    """Find the atoms of one frame.

    Peaks of the mean atom probability, smoothed over a pixel, are taken no nearer to each other than 1.4 radii; each
    is then moved to the centre of mass of the probability within one radius. Where the frame's edge cuts an atom's
    disc, its centre is the point from which the visible part of a disc has the centre of mass found; atoms with
    less than half of their disc inside the frame are left out. A member that missed an atom lowers its detection;
    it is never a reason to drop the atom by itself.

    Parameters
    ----------
    maps
        Class probabilities, class 0 the background.
    atom_radius_A
        Radius of the discs that the networks were trained on [Å].
    """
    radius_px = atom_radius_A / maps.pixel_size_A
    mean = maps.mean
    atom = 1 - mean[0]
    peaks = _peaks(atom, radius_px)
    window = _Window(radius_px)
    centre = peaks
    for _ in range(_CENTRING_STEPS):
        centre = centre + _STEP * window.displacement(atom, centre)
    mass, area = window.mass_and_area(atom, centre)
    centre, mass, area = (x[area >= 0.5 * window.area] for x in (centre, mass, area))
    centre, mass = (x[mass >= _LEAST_SHARE * area] for x in (centre, mass))
    centre = centre[without_doubles(centre, mass, SAME_ATOM_A / maps.pixel_size_A)]
    per_class = np.stack([window.mean(channel, centre) for channel in mean[1:]], axis=1)
    classes = per_class.argmax(axis=1) + 1 if len(centre) else np.zeros(0, int)
    probability = per_class.max(axis=1, initial=0)
    member_atoms = 1 - maps.members[:, 0]
    detection = np.mean([window.maximum(m, centre) >= THRESHOLD for m in member_atoms], axis=0)
    own = np.stack([window.displacement(m, centre) for m in member_atoms])
    spread = np.sqrt(own.var(axis=0, ddof=1 if len(own) > 1 else 0).mean(axis=-1))
    return Blobs(centre[:, ::-1], classes, probability, detection, spread)


def _peaks(atom: np.ndarray, radius_px: float) -> np.ndarray:
    """Rows and columns of local maxima above threshold, with shape (n, 2), float64."""
    smooth = ndimage.gaussian_filter(atom, 1.0)
    reach = int(np.ceil(1.4 * radius_px))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    footprint = y**2 + x**2 <= (1.4 * radius_px) ** 2
    highest = ndimage.maximum_filter(smooth, footprint=footprint, mode="nearest")
    is_peak = (smooth == highest) & (ndimage.maximum_filter(atom, 3) >= THRESHOLD) & (smooth > 0.3)
    # A plateau of equal maxima is one peak.
    labels, n = ndimage.label(is_peak, np.ones((3, 3)))
    return np.array(ndimage.center_of_mass(is_peak, labels, np.arange(1, n + 1)), float).reshape(-1, 2)


def without_doubles(centre: np.ndarray, mass: np.ndarray, distance_px: float) -> np.ndarray:
    """Indices of the points without a heavier one within a distance; of two equal ones the first stays."""
    pairs = cKDTree(centre).query_pairs(distance_px, output_type="ndarray") if len(centre) else np.empty((0, 2), int)
    lighter = np.where(mass[pairs[:, 0]] < mass[pairs[:, 1]], pairs[:, 0], pairs[:, 1])
    return np.delete(np.arange(len(centre)), lighter)


class _Window:
    """Disc-shaped window around many points at once, its rim weighted by how much of each pixel it covers."""

    def __init__(self, radius_px: float) -> None:
        self.radius = radius_px
        reach = int(np.ceil(radius_px)) + 1
        self.offsets = np.moveaxis(np.mgrid[-reach : reach + 1, -reach : reach + 1], 0, -1).reshape(-1, 2)
        self.area = np.pi * radius_px**2

    def _gather(self, image: np.ndarray, centre: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        pixels = np.rint(centre).astype(int)[:, None] + self.offsets
        inside = ((pixels >= 0) & (pixels < image.shape)).all(axis=2)
        clipped = np.clip(pixels, 0, np.array(image.shape) - 1)
        distance = np.sqrt(((pixels - centre[:, None]) ** 2).sum(axis=2))
        weight = np.clip(self.radius + 0.5 - distance, 0, 1) * inside
        return image[clipped[..., 0], clipped[..., 1]], weight, pixels

    def displacement(self, image: np.ndarray, centre: np.ndarray) -> np.ndarray:
        """Centre of mass of the image within the window, less that of the part of the window in the image."""
        values, weight, pixels = self._gather(image, centre)
        mass = (values * weight).sum(axis=1)
        seen = ((values * weight)[..., None] * pixels).sum(axis=1) / np.maximum(mass, 1e-6)[:, None]
        window = (weight[..., None] * pixels).sum(axis=1) / np.maximum(weight.sum(axis=1), 1e-6)[:, None]
        return np.where(mass[:, None] > 1e-6, seen - window, 0.0)

    def mass_and_area(self, image: np.ndarray, centre: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Sum of the image within the window, and pixels of the window that lie in the image."""
        values, weight, _ = self._gather(image, centre)
        return (values * weight).sum(axis=1), weight.sum(axis=1)

    def mean(self, image: np.ndarray, centre: np.ndarray) -> np.ndarray:
        values, weight, _ = self._gather(image, centre)
        return np.clip((values * weight).sum(axis=1) / np.maximum(weight.sum(axis=1), 1e-9), 0, 1)

    def maximum(self, image: np.ndarray, centre: np.ndarray) -> np.ndarray:
        values, weight, _ = self._gather(image, centre)
        return np.where(weight > 0, values, 0).max(axis=1, initial=0)
