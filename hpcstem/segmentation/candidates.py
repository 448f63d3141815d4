"""Places in a frame that an ensemble has no name for: atoms of an unknown species, and defects it has not seen."""

from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy as np
from ase.data import atomic_numbers
from scipy import ndimage

from hpcstem.imaging.probe import relative_contrast
from hpcstem.segmentation.cover import Cover, FrameCover
from hpcstem.segmentation.normalise import quantiles
from hpcstem.segmentation.smoothing import smoothed
from hpcstem.segmentation.spot_fit import SpotFit

_EDGE_A = 1.5
_TALLER, _SHORTER = 1.6, 0.5
_FEWEST_ATOMS = 8
_NOISE = 6.0
_SMOOTHING_A = 0.3
_LEAST_SIGNAL = 0.7
_LEAST_SPREAD = 0.3
_LEAST_AREA_A2 = 0.3


class Reason(enum.StrEnum):
    """Why a place is a candidate."""

    INTENSITY = "an atom brighter or darker than its species"
    """The fitted height is not that of any species that the ensemble knows."""
    UNEXPLAINED = "signal that no atom explains"
    """What the fit leaves over is as much as an atom."""
    SPREAD = "the networks disagree on an atom"
    """Some members see an atom where others see none."""


@dataclass(frozen=True)
class Candidate:
    """One place for an unknown species or defect.

    Parameters
    ----------
    x_A, y_A
        Its centre [Å].
    extent_A
        Diameter of a disc of its area [Å].
    reason
        What stands out.
    """

    x_A: float
    y_A: float
    extent_A: float
    reason: Reason


def find_candidates(
    fit: SpotFit,
    species: np.ndarray,
    spread: np.ndarray,
    spread_pixel_size_A: float,
    cover: FrameCover | None,
    atom_radius_A: float,
) -> tuple[Candidate, ...]:
    """Places of a frame that stand out, away from its edge and from contamination.

    Parameters
    ----------
    fit
        The frame's atoms, fitted, after `weigh_pixels`.
    species
        Their symbols, with shape (n,).
    spread
        Standard deviation over members of the probability of an atom, with shape (rows, columns), float32.
    spread_pixel_size_A
        Its pixel size [Å].
    cover
        Cover of the frame; None where it is not known.
    atom_radius_A
        Radius of the discs that the networks were trained on [Å].
    """
    carbon = species == "C"
    if carbon.sum() < _FEWEST_ATOMS or not fit.profile.is_a_peak:
        return ()
    one_carbon = float(np.median(fit.height[carbon]))
    found = _odd_heights(fit, species, one_carbon, atom_radius_A)
    sigma_px = _SMOOTHING_A / fit.pixel_size_A
    left_over = np.abs(smoothed(fit.residual, sigma_px))
    noise = 1.4826 * float(quantiles(np.sort(left_over[::2, ::2], axis=None), [0.5])[0])
    peak = one_carbon * float(
        (fit.profile.shares * fit.profile.variances / (fit.profile.variances + sigma_px**2)).sum()
    )
    unexplained = left_over > max(_LEAST_SIGNAL * peak, _NOISE * noise)
    found += _regions(unexplained, fit.pixel_size_A, Reason.UNEXPLAINED)
    disagreed = smoothed(spread, atom_radius_A / 2 / spread_pixel_size_A) > _LEAST_SPREAD
    found += _regions(disagreed, spread_pixel_size_A, Reason.SPREAD)
    return _apart([one for one in found if _counts(one, fit, cover)])


def _odd_heights(fit: SpotFit, species: np.ndarray, one_carbon: float, atom_radius_A: float) -> list[Candidate]:
    expected = one_carbon * relative_contrast(np.array([atomic_numbers[symbol] for symbol in species]))
    noise = 1 / np.sqrt(np.maximum(fit.information[:, 0, 0], np.finfo(float).tiny))
    odd = (fit.height > _TALLER * expected) | (fit.height < _SHORTER * expected)
    odd &= np.abs(fit.height - expected) > _NOISE * noise
    positions_A = (np.column_stack([fit.x, fit.y])[odd] + 0.5) * fit.pixel_size_A
    return [Candidate(float(x), float(y), 2 * atom_radius_A, Reason.INTENSITY) for x, y in positions_A]


def _regions(mask: np.ndarray, pixel_size_A: float, reason: Reason) -> list[Candidate]:
    """One candidate per connected region that is not too small."""
    if not mask.any():
        return []
    pixels = np.nonzero(mask)
    region = ndimage.label(mask)[0][pixels] - 1
    n_pixels = np.bincount(region)
    centres = np.column_stack([np.bincount(region, weights=along) / n_pixels for along in pixels])
    areas_A2 = n_pixels * pixel_size_A**2
    large = areas_A2 >= _LEAST_AREA_A2
    return [
        Candidate(
            float((x + 0.5) * pixel_size_A), float((y + 0.5) * pixel_size_A), float(np.sqrt(4 * area / np.pi)), reason
        )
        for (y, x), area in zip(centres[large], areas_A2[large], strict=True)
    ]


def _counts(one: Candidate, fit: SpotFit, cover: FrameCover | None) -> bool:
    """Whether a place is far enough from the edge of the frame and from contamination."""
    rows, columns = fit.residual.shape
    from_edge_A = min(one.x_A, one.y_A, columns * fit.pixel_size_A - one.x_A, rows * fit.pixel_size_A - one.y_A)
    if from_edge_A < _EDGE_A:
        return False
    around = np.array([one.x_A, one.y_A]) + np.array([[0, 0], [1, 0], [-1, 0], [0, 1], [0, -1]]) * _EDGE_A
    return cover is None or not (cover.at(around) == Cover.CONTAMINATION).any()


def _apart(found: list[Candidate]) -> tuple[Candidate, ...]:
    """Each place once, with the first reason for it."""
    kept: list[Candidate] = []
    for one in found:
        if all(np.hypot(one.x_A - k.x_A, one.y_A - k.y_A) > max(one.extent_A, k.extent_A) / 2 for k in kept):
            kept.append(one)
    return tuple(kept)
