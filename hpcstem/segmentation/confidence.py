"""From what the networks say of an atom to the chance that it is there.

The mean probability over an atom's disc is no chance: the soft rim of the disc lowers it for every atom, and members
that have learnt from the same images err together. A logistic function [1]_ of its odds, to a power, fitted to atoms
found in images whose atoms are known, makes it one. More than these three numbers such images hardly tell: of 1,000
atoms found less than one is not there.

References
----------
.. [1] J. Platt, in Advances in Large Margin Classifiers (MIT Press, 1999), 61: the function of a logit, and targets of
   the fit that keep it finite where all atoms are there.
.. [2] G. E. P. Box and D. R. Cox, J. R. Stat. Soc. B 26, 211 (1964): the power, whose limit at zero is the logit.
"""

from __future__ import annotations

import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from scipy import optimize
from scipy.special import boxcox, expit

_LEAST = 1e-4  # no disc is surer than that: probabilities are float32
_LEAST_POWER = 1e-3
_START = (1.0, 1.0, 0.5)


class Confidence(BaseModel):
    """Chance that an atom is there and of its species: expit(offset + slope · (odds^power - 1) / power).

    Attributes
    ----------
    offset, slope, power
        Of the function; the chance grows with the probability.
    n_images, n_found, n_false
        Images that it was fitted on, atoms found in them, and those of them that are not there.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    offset: float
    slope: float = Field(ge=0)
    power: float = Field(ge=0)
    n_images: int
    n_found: int
    n_false: int

    def chance(self, probability: np.ndarray) -> np.ndarray:
        """Chance that atoms are there, from their mean probability over the disc; shape (n,), float64."""
        return np.asarray(expit(self.offset + self.slope * boxcox(_odds(probability), self.power)))


def fit_confidence(probability: np.ndarray, there: np.ndarray, n_images: int) -> Confidence:
    """Maximum-likelihood fit.

    Parameters
    ----------
    probability
        Mean probability of the species over the disc of each found atom, with shape (n,).
    there
        Whether it is there, with shape (n,), bool.
    n_images
        How many images the atoms were found in.
    """
    n_true, n_false = int(there.sum()), int((~there).sum())
    target = np.where(there, (n_true + 1) / (n_true + 2), 1 / (n_false + 2))
    odds = _odds(probability)

    def loss(values: np.ndarray) -> float:
        offset, slope, power = values
        found = offset + slope * boxcox(odds, power)
        return float(np.sum(np.logaddexp(0, found) - target * found))

    bounds = [(None, None), (0, None), (_LEAST_POWER, 1)]
    offset, slope, power = map(float, optimize.minimize(loss, _START, method="L-BFGS-B", bounds=bounds).x)
    return Confidence(offset=offset, slope=slope, power=power, n_images=n_images, n_found=len(there), n_false=n_false)


def _odds(probability: np.ndarray) -> np.ndarray:
    clipped = np.clip(np.asarray(probability, float), _LEAST, 1 - _LEAST)
    return clipped / (1 - clipped)
