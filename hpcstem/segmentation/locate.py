"""From probability maps to atoms: one atom per blob, at its centre of mass."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from hpcstem.segmentation.discs import moments, peaks
from hpcstem.segmentation.inference import ProbabilityMaps
from hpcstem.segmentation.smoothing import smoothed

THRESHOLD = 0.5
"""Probability of an atom above which a peak counts as one."""
SAME_ATOM_A = 0.6
"""Peaks nearer to each other than this after centring are one atom: no bond is so short [Å]."""

_CENTRING_STEPS = 3
# Two equal discs overlap in a lens half-way between them, so that twice the displacement would centre one on the other
# at once; the discs of a network are softer.
_STEP = 1.5
_LEAST_SHARE = 0.35
_LEAST_PEAK = 0.3


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
    atom = 1 - maps.mean[0]
    centre = peaks(smoothed(atom, 1.0), atom, 1.4 * radius_px, _LEAST_PEAK, THRESHOLD)
    for _ in range(_CENTRING_STEPS):
        centre = centre + _STEP * moments(atom[None], centre, radius_px)[2][0]
    area, (mass,), _, _ = moments(atom[None], centre, radius_px)
    kept = (area >= 0.5 * np.pi * radius_px**2) & (mass >= _LEAST_SHARE * area)
    centre, mass, area = centre[kept], mass[kept], area[kept]
    heaviest = without_doubles(centre, mass, SAME_ATOM_A / maps.pixel_size_A)
    centre, area = centre[heaviest], np.maximum(area[heaviest], 1e-9)
    per_class = moments(maps.mean[1:], centre, radius_px)[1] / area
    _, _, own, highest = moments(maps.atom, centre, radius_px)
    spread = np.sqrt(own.var(axis=0, ddof=1 if len(own) > 1 else 0).mean(axis=-1))
    return Blobs(
        centre[:, ::-1],
        per_class.argmax(axis=0) + 1,
        np.clip(per_class.max(axis=0), 0, 1),
        (highest >= THRESHOLD).mean(axis=0),
        spread,
    )


def without_doubles(centre: np.ndarray, mass: np.ndarray, distance_px: float) -> np.ndarray:
    """Indices of the points without a heavier one within a distance; of two equal ones the first stays."""
    pairs = cKDTree(centre).query_pairs(distance_px, output_type="ndarray") if len(centre) else np.empty((0, 2), int)
    lighter = np.where(mass[pairs[:, 0]] < mass[pairs[:, 1]], pairs[:, 0], pairs[:, 1])
    return np.delete(np.arange(len(centre)), lighter)
