"""Uncertainty of fitted positions: the inverse Fisher information, with the neighbours as unknown as the atom."""

from __future__ import annotations

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
    positions = np.column_stack([fit.x, fit.y])
    pairs = cKDTree(positions).query_pairs(_NEIGHBOURS_A / fit.pixel_size_A, output_type="ndarray")
    pairs = np.concatenate([pairs, pairs[:, ::-1]])
    one, other = pairs.T
    slope = _overlap(fit.profile, np.zeros((1, 2)))[0, 1, 1]
    weight = fit.information[:, [1, 2], [1, 2]].mean(axis=1) / (fit.height**2 * slope)
    scale = np.column_stack([np.ones_like(fit.height), fit.height, fit.height]) * np.sqrt(weight)[:, None]
    cross = _overlap(fit.profile, positions[other] - positions[one])
    cross *= scale[one][:, :, None] * scale[other][:, None, :]
    taken = cross @ np.linalg.inv(information)[other] @ cross.transpose(0, 2, 1)
    np.subtract.at(information, one, taken)
    return np.linalg.inv(information)[:, [1, 2], [1, 2]]


def _overlap(profile: Profile, distance: np.ndarray) -> np.ndarray:
    """Sums over all pixels of products of (profile, slopes by x and y) of two atoms, with shape (n, 3, 3).

    Of the first atom along axis 1 and of the second along axis 2; distances from first to second, with shape (n, 2).
    """
    shares, variances = profile.shares.astype(float), profile.variances.astype(float)
    joint = (variances[:, None] + variances).ravel()
    strength = np.outer(shares * variances, shares * variances).ravel() * 2 * np.pi / joint
    value = strength * np.exp(-(distance**2).sum(axis=1)[:, None] / (2 * joint))
    first, second = (value / joint).sum(axis=1), (value / joint**2).sum(axis=1)
    overlap = np.empty((len(distance), 3, 3))
    overlap[:, 0, 0] = value.sum(axis=1)
    overlap[:, 0, 1:] = -first[:, None] * distance
    overlap[:, 1:, 0] = first[:, None] * distance
    overlap[:, 1:, 1:] = first[:, None, None] * np.eye(2) - second[:, None, None] * (
        distance[:, :, None] * distance[:, None, :]
    )
    return overlap
