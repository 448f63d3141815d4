"""A quick fit of a frame, for what its atoms do not say: its cover, and what stands out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase.data import atomic_numbers
from scipy import ndimage

from hpcstem.imaging.probe import relative_contrast
from hpcstem.segmentation.background import smooth_part
from hpcstem.segmentation.candidates import Candidate, find_candidates
from hpcstem.segmentation.cover import Cover, FrameCover, frame_cover
from hpcstem.segmentation.spot_fit import KNOTS_A, SpotFit

_SWEEPS = 3
_TOO_BRIGHT, _NOISE = 3.0, 6.0
_BRIGHTEST = 12.0  # times carbon; three times what silicon is


@dataclass(frozen=True)
class Survey:
    """What a frame shows besides its atoms.

    Parameters
    ----------
    cover
        What covers the field; None where there is too little lattice to tell.
    candidates
        Places for unknown species and defects.
    """

    cover: FrameCover | None
    candidates: tuple[Candidate, ...]

    def obscured(self, positions_A: np.ndarray) -> np.ndarray:
        """Whether positions (x, y) in the frame [Å], with shape (n, 2), lie under contamination; shape (n,), bool."""
        if self.cover is None or len(positions_A) == 0:
            return np.zeros(len(positions_A), bool)
        return np.asarray(self.cover.at(positions_A) == Cover.CONTAMINATION)


def survey_frame(
    image: np.ndarray,
    pixel_size_A: float,
    positions_px: np.ndarray,
    species: np.ndarray,
    spread: np.ndarray,
    atom_radius_A: float,
) -> Survey:
    """Fit the atoms of a frame, and look at what they leave over.

    Parameters
    ----------
    image
        With shape (rows, columns), float32, its contrast about 1.
    pixel_size_A
        Pixel size [Å].
    positions_px
        Atoms (x, y) [px], with shape (n, 2).
    species
        Their symbols, with shape (n,).
    spread
        Standard deviation over members of the probability of an atom, with shape (rows, columns).
    atom_radius_A
        Radius of the discs that the networks were trained on [Å].
    """
    if len(positions_px) == 0:
        return Survey(None, ())
    height, brightest = _heights(image, pixel_size_A, positions_px, species)
    # However bright an atom is, it must not decide alone what an atom looks like.
    fit = SpotFit(np.minimum(image, brightest), pixel_size_A, positions_px, height)
    fit.sweep(_SWEEPS)
    fit.weigh_pixels()
    cover = frame_cover(fit, species == "C")
    return Survey(cover, find_candidates(fit, species, spread, cover, atom_radius_A))


def _heights(
    image: np.ndarray, pixel_size_A: float, positions_px: np.ndarray, species: np.ndarray
) -> tuple[np.ndarray, float]:
    """Heights to start from, and the brightest intensity that any species explains.

    Heights are those of the species, except where the frame shows quite another one.
    """
    expected = relative_contrast(np.array([atomic_numbers[symbol] for symbol in species]))
    smooth = smooth_part(image, pixel_size_A, KNOTS_A)
    contrast = ndimage.gaussian_filter(image - smooth, 1.0)
    rows, columns = np.clip(np.rint(positions_px[:, ::-1]).astype(int), 0, np.array(image.shape) - 1).T
    seen = contrast[rows, columns]
    usual = max(float(np.median(seen / expected)), float(np.finfo(np.float32).tiny))
    noise = 1.4826 * float(np.median(np.abs(seen / expected - usual)))
    odd = seen > _TOO_BRIGHT * usual * expected + _NOISE * noise
    brightest = float(np.percentile(image, 99)) + _BRIGHTEST * (usual + noise)
    return np.where(odd, np.minimum(seen / usual, _BRIGHTEST), expected), brightest
