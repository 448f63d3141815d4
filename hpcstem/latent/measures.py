"""How well latents say what they should: angles against true ones, content against angle, order against truth.

References
----------
.. [1] G. A. Miller, Note on the bias of information estimates, in: Information Theory in Psychology (1955) 95.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import mannwhitneyu

from hpcstem.errors import HpcstemError

_SHUFFLES = 20


@dataclass(frozen=True)
class Information:
    """Mutual information of two quantities.

    Parameters
    ----------
    nats
        Less what shuffled values have, which is the bias of a finite sample; about 0 for independent ones.
    shuffled_deviation
        Standard deviation of that of shuffled values, to hold it against.
    """

    nats: float
    shuffled_deviation: float


def resultant(angle_rad: np.ndarray, truth_rad: np.ndarray, symmetry: int) -> float:
    """Length of the mean of exp(i n (angle - truth)): 1 for a fixed offset modulo 2π / n, 0 for no relation.

    Parameters
    ----------
    angle_rad, truth_rad
        Angles [rad], with shape (n_images,).
    symmetry
        The order n of the rotations that change nothing.
    """
    return float(np.abs(np.exp(1j * symmetry * (np.asarray(angle_rad, np.float64) - truth_rad)).mean()))


def misorientation_rad(angle_rad: np.ndarray, truth_rad: np.ndarray, symmetry: int) -> np.ndarray:
    """Difference of angles about their common offset, modulo 2π / symmetry [rad], with shape (n_images,), float64."""
    turned = np.exp(1j * symmetry * (np.asarray(angle_rad, np.float64) - truth_rad))
    return np.asarray(np.angle(turned * np.conj(turned.mean())) / symmetry)


def mutual_information(
    values: np.ndarray, angle_rad: np.ndarray, symmetry: int, seed: np.random.SeedSequence, n_bins: int = 12
) -> Information:
    """Mutual information of a quantity with an angle modulo 2π / symmetry, from bins [1]_.

    Parameters
    ----------
    values
        With shape (n_images,); binned by rank.
    angle_rad
        With shape (n_images,) [rad]; binned evenly.
    symmetry
        Order of the rotations that change nothing.
    seed
        Source of the shuffles.
    n_bins
        Bins of each.

    Raises
    ------
    HpcstemError
        Fewer than ten images to a bin of both.
    """
    if len(values) < 10 * n_bins**2:
        raise HpcstemError("images for the mutual information", len(values), f"{10 * n_bins**2} or more")
    rank = np.argsort(np.argsort(values, kind="stable"), kind="stable")
    first = rank * n_bins // len(rank)
    turn = np.mod(np.asarray(angle_rad, np.float64) * symmetry / (2.0 * np.pi), 1.0)
    second = np.minimum((turn * n_bins).astype(np.int64), n_bins - 1)
    rng = np.random.default_rng(seed)
    shuffled = [_binned(first, rng.permutation(second), n_bins) for _ in range(_SHUFFLES)]
    return Information(_binned(first, second, n_bins) - float(np.mean(shuffled)), float(np.std(shuffled)))


def _binned(first: np.ndarray, second: np.ndarray, n_bins: int) -> float:
    joint = np.bincount(first * n_bins + second, minlength=n_bins**2).reshape(n_bins, n_bins) / len(first)
    even = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    seen = joint > 0
    return float((joint[seen] * np.log(joint[seen] / even[seen])).sum())


def ranking(scores: np.ndarray, positive: np.ndarray) -> float:
    """Chance that one of the positives scores above one of the others: the area under the ROC curve.

    Parameters
    ----------
    scores
        With shape (n_images,).
    positive
        With shape (n_images,), bool.

    Raises
    ------
    HpcstemError
        All are positive, or none.
    """
    positive = np.asarray(positive, bool)
    if positive.all() or not positive.any():
        raise HpcstemError("positives to rank", f"{positive.sum()} of {len(positive)}", "some and not all")
    found = mannwhitneyu(scores[positive], scores[~positive]).statistic
    return float(found / (positive.sum() * (~positive).sum()))
