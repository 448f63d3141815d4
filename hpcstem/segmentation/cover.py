"""What covers the field of a frame: sheet that can be read, contamination that hides it, or nothing.

Atoms are taken out of the frame by a fit; what is left is a smooth background. Where the networks find the lattice,
that background is the detector's offset; contamination adds to it. Where they find no lattice, there is vacuum if the
background is not above that of the lattice, and something that hides the lattice if it is.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from hpcstem.imaging.acquisition import SHEET_DENSITY_PER_A2
from hpcstem.imaging.training import OBSCURING
from hpcstem.segmentation.discs import squared_distance
from hpcstem.segmentation.spot_fit import SpotFit

_CELL_A = 0.64
_RING_A = 1.6  # nothing in a ring of six is farther from an atom
_LARGE_RING_A = 2.2  # nor in the rings of a defect than this
_HALO_A = 4.0  # around a heavier atom the tails of the probe brighten the background
_LEAST_AREA_A2 = 10.0  # two rings of the lattice: what is smaller is a defect, not a hole or an island
# Part of an atom's signal, its tails, is smooth and goes to the background: with usual probes about three tenths, so
# that vacuum is darker than the background of the lattice, and the sheet brighter than its fitted atoms.
_TAILS = 0.3
_FEWEST_ATOMS = 8
_SPARSEST = 0.65  # of the density of the sheet: what is sparser are bright spots of noise
_LEAST_VOLUME_A2 = 0.6  # of an atom of height 1: no probe is narrower than 0.3 Å


class Cover(enum.IntEnum):
    """What a place in a frame shows."""

    MATERIAL = 0
    """The sheet, with its atoms to be seen."""
    CONTAMINATION = 1
    """Something more than the sheet, which hides the atoms."""
    VACUUM = 2
    """Nothing."""


@dataclass(frozen=True)
class FrameCover:
    """Cover of one frame.

    Parameters
    ----------
    classes
        Values of `Cover` in square cells, the first in the frame's corner, with shape (rows, columns), uint8.
    cell_A
        Side of a cell [Å].
    """

    classes: np.ndarray
    cell_A: float

    def area_A2(self, cover: Cover) -> float:
        """Area under one kind of cover [Å²]."""
        return float((self.classes == cover).sum() * self.cell_A**2)

    def at(self, positions_A: np.ndarray) -> np.ndarray:
        """Cover at positions (x, y) in the frame [Å], with shape (n, 2); shape (n,), uint8."""
        cells = np.floor(np.asarray(positions_A)[:, ::-1] / self.cell_A).astype(int)
        row, column = np.clip(cells, 0, np.array(self.classes.shape) - 1).T
        return self.classes[row, column]


def frame_cover(fit: SpotFit, carbon: np.ndarray) -> FrameCover | None:
    """Cover of a frame whose atoms have been fitted; None where there is too little lattice to compare with.

    Parameters
    ----------
    fit
        The fit of the frame.
    carbon
        Which of its atoms are those that the sheet is made of, with shape (n,), bool.
    """
    profile, pixel_A = fit.profile, fit.pixel_size_A
    if carbon.sum() < _FEWEST_ATOMS or not profile.is_a_peak:
        return None
    step = max(round(_CELL_A / pixel_A), 1)
    level = fit.background(step)
    cell_A = step * pixel_A
    lattice = _lattice(fit, level.shape, cell_A)
    if len(fit.x) <= _SPARSEST * SHEET_DENSITY_PER_A2 * lattice.sum() * cell_A**2:
        return None
    volume_A2 = profile.volume * pixel_A**2
    if volume_A2 < _LEAST_VOLUME_A2 * float(profile.shares.sum()):
        return None
    sheet = SHEET_DENSITY_PER_A2 * volume_A2 * float(np.median(fit.height[carbon])) / (1 - _TAILS)
    # Much of the lattice may lie under thin contamination; the clean part is the darkest.
    excess = (level - np.percentile(level[lattice], 25)) / sheet
    classes = np.full(level.shape, Cover.MATERIAL, np.uint8)
    half_a_sheet = 0.5 - _TAILS  # above vacuum, counted from the background of the lattice
    classes[~lattice & (excess < half_a_sheet)] = Cover.VACUUM
    classes[~lattice & (classes != Cover.VACUUM)] = Cover.CONTAMINATION
    hidden = excess > OBSCURING
    seeds = hidden & lattice & ~_near(fit, ~carbon, level.shape, cell_A)
    classes[_connected(seeds, hidden & lattice)] = Cover.CONTAMINATION
    for cover in (Cover.CONTAMINATION, Cover.VACUUM):
        region, n_regions = ndimage.label(classes == cover)
        small = np.bincount(region.ravel(), minlength=n_regions + 1) * cell_A**2 < _LEAST_AREA_A2
        small[0] = False
        classes[small[region]] = Cover.MATERIAL
    return FrameCover(classes, cell_A)


def _lattice(fit: SpotFit, shape: tuple[int, int], cell_A: float) -> np.ndarray:
    """Whether a cell lies among atoms, with shape `shape`, bool."""
    distance_A = _distance_A(fit, np.ones(len(fit.x), bool), shape, cell_A, _LARGE_RING_A)
    return ~_connected(distance_A > _LARGE_RING_A, distance_A > _RING_A)


def _near(fit: SpotFit, atoms: np.ndarray, shape: tuple[int, int], cell_A: float) -> np.ndarray:
    """Whether a cell is within the halo of some atoms, with shape `shape`, bool."""
    return _distance_A(fit, atoms, shape, cell_A, _HALO_A) < _HALO_A


def _connected(seeds: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Regions of a mask that hold a seed, which all lie in it; bool."""
    if not seeds.any():
        return seeds
    region, n_regions = ndimage.label(mask)
    seeded = np.zeros(n_regions + 1, bool)
    seeded[region[seeds]] = True
    return np.asarray(seeded[region])


def _distance_A(fit: SpotFit, atoms: np.ndarray, shape: tuple[int, int], cell_A: float, reach_A: float) -> np.ndarray:
    """Distance of each cell's centre to the nearest of some atoms [Å], or more than `reach_A`; with shape `shape`."""
    in_cells = (np.column_stack([fit.y, fit.x])[atoms] + 0.5) * (fit.pixel_size_A / cell_A) - 0.5
    return np.asarray(np.sqrt(squared_distance(shape, in_cells, reach_A / cell_A)) * cell_A)
