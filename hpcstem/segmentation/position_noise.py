"""Uncertainty of fitted positions: the inverse Fisher information, with the neighbours as unknown as the atom."""

from __future__ import annotations

import numba
import numpy as np
from scipy.spatial import cKDTree

from hpcstem.segmentation.profile import Profile
from hpcstem.segmentation.spot_fit import SpotFit

_NEIGHBOURS_A = 2.2
_LEAST_INFORMATION = 1e-9  # per pixel squared, so that atoms that no pixel shows have an inverse


def position_variance(fit: SpotFit) -> np.ndarray:
    """Variance of x and y of each atom.

    Heights and positions of an atom and of its nearest neighbours are unknown, those beyond are known: further ones
    add less than a per cent in graphene. Overlaps of neighbours are those of the profile in closed form, times the
    geometric mean of the two atoms' weights.

    Parameters
    ----------
    fit
        The atoms after the last sweep.

    Returns
    -------
    numpy.ndarray
        Variances of x and y [px²], with shape (n, 2), float64; huge or not positive where nothing is known.
    """
    information = fit.information.copy()
    information[:, 0, 0] += fit.pull
    information += _LEAST_INFORMATION * np.eye(3)
    information[:, 1:, 1:] *= 1 - fit.share_of_background()
    strength, joint = _overlaps(fit.profile)
    weight = fit.information[:, [1, 2], [1, 2]].mean(axis=1) / (fit.height**2 * (strength / joint).sum())
    scale = np.column_stack([np.ones_like(fit.height), fit.height, fit.height]) * np.sqrt(weight)[:, None]
    positions = np.column_stack([fit.x, fit.y])
    pairs = cKDTree(positions).query_pairs(_NEIGHBOURS_A / fit.pixel_size_A, output_type="ndarray")
    left = information.copy()
    _take_neighbours(left, _inverse(information), scale, positions, pairs, strength, joint)
    return np.asarray(_inverse(left)[:, [1, 2], [1, 2]])


def _overlaps(profile: Profile) -> tuple[np.ndarray, np.ndarray]:
    """Strength and variance of the Gaussians of distance whose sum is the sum over pixels of two profiles' product."""
    one, other = np.triu_indices(len(profile.shares))
    shares, variances = profile.shares.astype(float), profile.variances.astype(float)
    joint = variances[one] + variances[other]
    volume = shares * variances
    return np.where(one == other, 1, 2) * volume[one] * volume[other] * 2 * np.pi / joint, joint


@numba.njit(cache=True, fastmath=True, error_model="numpy")
def _take_neighbours(
    information: np.ndarray,
    inverse: np.ndarray,
    scale: np.ndarray,
    positions: np.ndarray,
    pairs: np.ndarray,
    strength: np.ndarray,
    joint: np.ndarray,
) -> None:
    """Take from the information on each atom what its neighbours' freedom costs it, in place.

    Parameters
    ----------
    information, inverse
        Of (height, x, y) of each atom alone, with shape (n, 3, 3).
    scale
        What the profile and its slopes by x and y are multiplied by, with shape (n, 3).
    positions
        (x, y) [px], with shape (n, 2).
    pairs
        Indices of neighbours, each pair once, with shape (n_pairs, 2).
    strength, joint
        What `_overlaps` returns.
    """
    cross = np.empty((3, 3))
    for pair in range(len(pairs)):
        one, other = pairs[pair]
        x, y = positions[other, 0] - positions[one, 0], positions[other, 1] - positions[one, 1]
        value, first, second = 0.0, 0.0, 0.0
        for k in range(len(joint)):
            term = strength[k] * np.exp(-(x * x + y * y) / (2 * joint[k]))
            value += term
            first += term / joint[k]
            second += term / (joint[k] * joint[k])
        cross[0, 0], cross[0, 1], cross[0, 2] = value, -first * x, -first * y
        cross[1, 0], cross[1, 1], cross[1, 2] = first * x, first - second * x * x, -second * x * y
        cross[2, 0], cross[2, 1], cross[2, 2] = first * y, -second * x * y, first - second * y * y
        for i in range(3):
            for j in range(3):
                cross[i, j] *= scale[one, i] * scale[other, j]
        # Seen from the other atom, the overlaps are the transposed ones.
        _take(information[one], cross, inverse[other])
        _take(information[other], cross.T, inverse[one])


@numba.njit(fastmath=True, error_model="numpy", forceinline=True)  # see `hpcstem.segmentation.spots`
def _take(information: np.ndarray, cross: np.ndarray, inverse: np.ndarray) -> None:
    for i in range(3):
        for j in range(3):
            taken = 0.0
            for k in range(3):
                for m in range(3):
                    taken += cross[i, k] * inverse[k, m] * cross[j, m]
            information[i, j] -= taken


@numba.njit(cache=True, error_model="numpy")
def _inverse(matrices: np.ndarray) -> np.ndarray:
    """Inverses of symmetric matrices with shape (n, 3, 3)."""
    out = np.empty_like(matrices)
    for i in range(len(matrices)):
        one = matrices[i]
        a, b, c, d, e, f = one[0, 0], one[0, 1], one[0, 2], one[1, 1], one[1, 2], one[2, 2]
        aa, bb, cc = d * f - e * e, c * e - b * f, b * e - c * d
        over = 1 / (a * aa + b * bb + c * cc)
        out[i, 0, 0], out[i, 1, 1], out[i, 2, 2] = aa * over, (a * f - c * c) * over, (a * d - b * b) * over
        out[i, 0, 1] = out[i, 1, 0] = bb * over
        out[i, 0, 2] = out[i, 2, 0] = cc * over
        out[i, 1, 2] = out[i, 2, 1] = (b * c - a * e) * over
    return out
