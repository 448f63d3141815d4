"""Weights of a lattice model from one histogram of local configurations, by the least statistical distance [1]_.

A round samples the model at the weights of the round before, and moves them to where the squared distance between the
histograms of image and model is least. Within the reach of the sample, where the effective number of snapshots is at
least a tenth of their number, the model's histogram is the reweighted one; a step that leads farther is a Gauss-Newton
step. The rounds end when a step stays in reach and is small.

What the estimate is worth comes from the same sample. With q the model's histogram, J its slope by the weights and
D = diag(q), the estimate moves with the image's histogram as A = (Jᵀ D⁻¹ J)⁻¹ Jᵀ D⁻¹, so its covariance is A C Aᵀ, C
the covariance of the histogram of an image of that size. It cannot be below the Cramér-Rao bound cov(E)⁻¹, the
inverse covariance of the energy terms of such an image.

References
----------
.. [1] L. Vlcek et al., "Knowledge extraction from atomically resolved images", ACS Nano (2017).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from scipy.optimize import minimize

from hpcstem.errors import StructureError
from hpcstem.lattice.classes import LocalClasses
from hpcstem.lattice.distance import Reweighted, importance, reweighted, statistical_distance
from hpcstem.lattice.model import LatticeModel
from hpcstem.lattice.sampling import LatticeSampling, Snapshots, correlated_snapshots

SMALLEST_EFFECTIVE = 0.1
"""Effective number of snapshots, as a fraction of their number, below which reweighting is not trusted."""
SMALL_STEP = 0.003
"""Change of the weights below which they have settled; or a tenth of their standard errors, where that is more."""
LONGEST_STEP = 0.5
"""Largest change of a weight in one round."""
MOST_ROUNDS = 20


class AnalysisRunner(Protocol):
    """What runs the chains: any executor of `hpcstem.execution`."""

    def run(self, analysis: Any, batches: Sequence[Any]) -> Any:
        """Process all batches, merge in their order, finish."""
        ...


@dataclass(frozen=True)
class SamplingPlan:
    """How the model is sampled in each round.

    Parameters
    ----------
    n_side
        Sites per side of the model's periodic lattice.
    n_chains
        Independent chains.
    n_snapshots
        Snapshots per chain, two attempts per site apart.
    """

    n_side: int = 64
    n_chains: int = 4
    n_snapshots: int = 250


@dataclass(frozen=True)
class LatticeFit:
    """Weights of a model, and what they are worth.

    Parameters
    ----------
    weights
        Energy of each motif over kT, with shape (n_terms,), float64.
    covariance
        Their covariance, from the fluctuations of an image of this size and those of the sample, with shape
        (n_terms, n_terms), float64.
    bound
        Cramér-Rao bound of the standard errors for an image of this size, with shape (n_terms,), float64.
    frequencies
        The model's histogram at these weights, normalised, with shape (n_classes,), float64.
    distance
        Statistical distance of image and model.
    p_value
        Fraction of the model's own images of this size that lie farther from its fit than the image does: where it
        is small, the model cannot be what made the image.
    converged
        Whether the weights settled.
    path
        Weights of each round, with shape (n_rounds + 1, n_terms), float64.
    n_sites
        Sites of the image that were counted.
    n_attempts
        Exchanges attempted by all rounds.
    """

    weights: np.ndarray
    covariance: np.ndarray
    bound: np.ndarray
    frequencies: np.ndarray
    distance: float
    p_value: float
    converged: bool
    path: np.ndarray
    n_sites: int
    n_attempts: int

    @property
    def sigma(self) -> np.ndarray:
        """Standard errors of the weights, with shape (n_terms,), float64."""
        return np.sqrt(np.diag(self.covariance))


def fit_lattice(
    histogram: np.ndarray,
    classes: LocalClasses,
    model: LatticeModel,
    runner: AnalysisRunner,
    seed: np.random.SeedSequence,
    plan: SamplingPlan,
    start: Sequence[float] | None = None,
) -> LatticeFit:
    """Find the weights at which a model's local configurations are nearest to those of an image.

    Parameters
    ----------
    histogram
        Sites of the image in each class, with shape (n_classes,), integer.
    classes
        What the histogram counts.
    model
        Whose weights are sought.
    runner
        Runs the chains.
    seed
        Source of all random numbers.
    plan
        How to sample.
    start
        Weights of the first round; zeros by default.

    Raises
    ------
    StructureError
        Another number of classes, or only one species in the image.
    """
    n_B = _atoms_B(histogram, classes, plan)
    weights = np.zeros(len(model.terms)) if start is None else np.asarray(start, np.float64)
    path, n_attempts, converged = [weights], 0, False
    while not converged and len(path) <= MOST_ROUNDS:
        sampling = LatticeSampling(model, tuple(weights.tolist()), classes, plan.n_side, n_B, plan.n_snapshots, 2)
        snapshots: Snapshots = runner.run(sampling, seed.spawn(plan.n_chains))
        n_attempts += snapshots.n_attempts
        step, reached = _step(histogram, snapshots)
        at = reweighted(snapshots, step if reached else np.zeros_like(step))
        covariance, bound = _worth(at, snapshots, plan.n_side**2, int(histogram.sum()))
        weights = weights + step
        path.append(weights)
        small = np.maximum(SMALL_STEP, 0.1 * np.sqrt(np.diag(covariance)))
        converged = reached and bool((np.abs(step) < small).all())
    u = importance(snapshots, step if reached else np.zeros_like(step))
    return LatticeFit(
        weights,
        covariance,
        bound,
        at.q,
        statistical_distance(histogram, at.q),
        _p_value(histogram, at, snapshots, u),
        converged,
        np.array(path),
        int(histogram.sum()),
        n_attempts,
    )


def _atoms_B(histogram: np.ndarray, classes: LocalClasses, plan: SamplingPlan) -> int:
    """Atoms of species B on the model's lattice, at the composition of the image."""
    if np.shape(histogram) != (classes.n_classes,):
        raise StructureError("histogram of an image", f"shape {np.shape(histogram)}", f"{classes.n_classes} classes")
    if not np.sum(histogram) > 0:
        raise StructureError("histogram of an image", "no sites", "sites whose 12 neighbours are all known")
    n_B = round(classes.fraction_B(histogram) * plan.n_side**2)
    if not 0 < n_B < plan.n_side**2:
        raise StructureError("composition of an image", f"{n_B} of {plan.n_side**2} atoms B", "atoms of both species")
    return n_B


def _step(histogram: np.ndarray, snapshots: Snapshots) -> tuple[np.ndarray, bool]:
    """Change of the weights, and whether the sample reaches that far."""
    p = histogram / histogram.sum()
    n_least = SMALLEST_EFFECTIVE * len(snapshots.energies)
    here = reweighted(snapshots, np.zeros(snapshots.energies.shape[1]))
    newton = _response(here) @ (p - here.q)
    newton /= max(1.0, np.abs(newton).max() / LONGEST_STEP)
    if 1 / (importance(snapshots, newton) ** 2).sum() < n_least:
        return newton, False
    frequencies = snapshots.histograms / snapshots.histograms.sum(axis=1, keepdims=True)

    def penalised(step: np.ndarray) -> float:
        u = importance(snapshots, step)
        lack = max(0.0, n_least * float((u**2).sum()) - 1.0)
        return statistical_distance(p, u @ frequencies) ** 2 * (1.0 + lack) + lack

    scale = 0.2 / np.sqrt(np.diag(here.energy_covariance))
    simplex = newton + np.concatenate([np.zeros((1, len(newton))), np.diag(scale)])
    found = minimize(
        penalised, newton, method="Nelder-Mead", options={"initial_simplex": simplex, "xatol": 1e-5, "fatol": 1e-12}
    )
    return found.x, True


def _response(at: Reweighted) -> np.ndarray:
    """Derivative of the estimate by the image's histogram, with shape (n_terms, n_classes)."""
    inverse = np.divide(1.0, at.q, out=np.zeros_like(at.q), where=at.q > 0)
    weighted = at.slope.T * inverse
    return np.linalg.pinv(weighted @ at.slope) @ weighted


def _worth(at: Reweighted, snapshots: Snapshots, n_model: int, n_image: int) -> tuple[np.ndarray, np.ndarray]:
    """Covariance of the estimate and its bound, scaled from the model's number of sites to the image's."""
    response = _response(at)
    of_snapshot = response @ at.q_covariance @ response.T
    n_independent = at.effective / correlated_snapshots(snapshots)
    covariance = of_snapshot * (n_model / n_image + 1 / n_independent)
    bound = np.sqrt(np.diag(np.linalg.pinv(at.energy_covariance)) * n_model / n_image)
    return covariance, bound


def _p_value(histogram: np.ndarray, at: Reweighted, snapshots: Snapshots, u: np.ndarray) -> float:
    """Compare what the fit leaves of the image with what a fit leaves of the model's own snapshots.

    What is left of a histogram p is r = (1 - J A) (p - q), and its squared distance is Σ r²/q / 4 to second order,
    which falls with the number of sites.
    """
    keep = at.q > 0
    frequencies = snapshots.histograms / snapshots.histograms.sum(axis=1, keepdims=True)
    projector = np.eye(len(at.q)) - at.slope @ _response(at)

    def left(deviation: np.ndarray) -> np.ndarray:
        return ((deviation @ projector.T)[..., keep] ** 2 / at.q[keep]).sum(axis=-1)

    n_image, n_model = histogram.sum(), snapshots.histograms[0].sum()
    own = left(frequencies - at.q) * n_model / n_image
    return float(u[own >= left(histogram / n_image - at.q)].sum())
