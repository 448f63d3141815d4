"""What a frame shows besides its atoms: its cover, and what stands out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hpcstem.segmentation.candidates import Candidate, find_candidates
from hpcstem.segmentation.cover import Cover, FrameCover, frame_cover
from hpcstem.segmentation.spot_fit import SpotFit


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
    fit: SpotFit | None, species: np.ndarray, spread: np.ndarray, spread_pixel_size_A: float, atom_radius_A: float
) -> Survey:
    """Look at what the atoms of a frame leave over.

    Parameters
    ----------
    fit
        What `hpcstem.segmentation.frame_fit.begin_fit` returns.
    species
        Symbols of its atoms, with shape (n,).
    spread
        Standard deviation over members of the probability of an atom, with shape (rows, columns), float32.
    spread_pixel_size_A
        Its pixel size [Å].
    atom_radius_A
        Radius of the discs that the networks were trained on [Å].
    """
    if fit is None:
        return Survey(None, ())
    cover = frame_cover(fit, species == "C")
    return Survey(cover, find_candidates(fit, species, spread, spread_pixel_size_A, cover, atom_radius_A))
