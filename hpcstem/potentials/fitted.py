"""Pair potentials fitted to observed motion: the estimate, its bands, and where the data speak at all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import block_diag

from hpcstem.errors import StructureError
from hpcstem.potentials.bases import PairBasis
from hpcstem.potentials.design import N_DISTANCE_BINS
from hpcstem.potentials.equations import EquationSums, ForceEquations
from hpcstem.potentials.likelihood import Likelihood, whitening
from hpcstem.potentials.pairs import species_pairs
from hpcstem.potentials.prior import PriorGroup, pair_prior, posterior
from hpcstem.potentials.streaming import Blocks
from hpcstem.potentials.three_body import ThreeBodyBasis, triple_kinds

LEAST_MOTION = 0.01
"""Share of the displacement that counts as motion whatever the localisation noise."""
FEWEST_PAIRS = 20
"""Pairs about a distance from which it counts as sampled."""
_FEWEST_BLOCKS = 8
_N_QUADRATURE = 9
_N_PROJECTION = 512


@dataclass(frozen=True)
class FittedPotential:
    """Pair potentials, in units in which the mobility of the first species is one.

    A force F in these units moves an atom of the first species at the velocity F [Å/time]; `kT` is in the same
    unit of energy, so that `energy / kT` has no unit and does not depend on the choice.

    Parameters
    ----------
    basis
        Functions of the distance.
    symbols
        Names of the species.
    mobility
        Mobility of each species relative to the first's.
    interval
        Time between snapshots.
    coefficients
        With shape (n_pairs, n_columns), float64.
    covariance
        Of all coefficients given the data and the prior, with shape (n_unknowns, n_unknowns), float64.
    penalty
        Precision of the prior, with shape (n_unknowns, n_unknowns), float64.
    kT
        Thermal energy from the motion that the forces do not explain [Å²/time].
    distances
        Pairs seen by species pair and distance, with shape (n_pairs, n_bins), int64.
    n_intervals
        Intervals in the fit.
    estimator
        How it was made, such as 'trapezoid, lag 0'.
    degrees
        See `hpcstem.potentials.prior.Posterior`.
    relaxation
        Interval over relaxation time, Δ⟨F²⟩/kT. Beyond about 0.3, Euler's rule and the trapezoid are biased, and
        far beyond it the fitted stiffness is set by the interval.
    localisation_A
        Standard deviation of the localisation noise per axis that was allowed for [Å].
    residual, residual_error
        Coefficient of each function in what the fit leaves of the motion, and its standard error over blocks, NaN where
        no blocks were kept; with shape (n_pairs, n_columns), float64. Large where the prior or the basis holds back
        what the data ask for.
    three_body
        Functions of the three-body term; None without one.
    three_body_coefficients
        With shape (n_kinds, n_columns) in the order of `hpcstem.potentials.three_body.triple_kinds`, float64.
    """

    basis: PairBasis
    symbols: tuple[str, ...]
    mobility: tuple[float, ...]
    interval: float
    coefficients: np.ndarray
    covariance: np.ndarray
    penalty: np.ndarray
    kT: float
    distances: np.ndarray
    n_intervals: int
    estimator: str
    degrees: float
    relaxation: float
    localisation_A: float
    residual: np.ndarray
    residual_error: np.ndarray
    three_body: ThreeBodyBasis | None = None
    three_body_coefficients: np.ndarray | None = None

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Chemical symbols of each row of `coefficients`."""
        return tuple((self.symbols[a], self.symbols[b]) for a, b in species_pairs(len(self.symbols)))

    def energy(self, pair: int, r_A: np.ndarray) -> np.ndarray:
        """Potential of one species pair, with the shape of `r_A`, float64; zero at the cut-off."""
        return self.basis.values(np.atleast_1d(r_A)) @ self.coefficients[pair]

    def slope(self, pair: int, r_A: np.ndarray) -> np.ndarray:
        """Its derivative [1/Å], with the shape of `r_A`, float64."""
        return self.basis.slopes(np.atleast_1d(r_A)) @ self.coefficients[pair]

    def deviation(self, pair: int, r_A: np.ndarray) -> np.ndarray:
        """Standard deviation of `energy`, with the shape of `r_A`, float64."""
        n = self.basis.n_columns
        own = self.covariance[pair * n : (pair + 1) * n, pair * n : (pair + 1) * n]
        values = self.basis.values(np.atleast_1d(r_A))
        return np.sqrt(np.maximum(np.einsum("ri,ij,rj->r", values, own, values), 0.0))

    def three_body_energy(self, kind: int, r_A: float, angle_rad: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Energy of one kind of triple with both ends at the same distance, and its standard deviation.

        Raises
        ------
        StructureError
            There is no three-body term.
        """
        if self.three_body is None or self.three_body_coefficients is None:
            raise StructureError("three-body term", "a fit of pairs alone", "a fit with three_body")
        n = self.three_body.n_columns
        first = self.coefficients.size + kind * n
        values = self.three_body.values(r_A, angle_rad)
        own = self.covariance[first : first + n, first : first + n]
        return values @ self.three_body_coefficients[kind], np.sqrt(np.einsum("ri,ij,rj->r", values, own, values))

    def sampled(self, pair: int, r_A: np.ndarray) -> np.ndarray:
        """Whether the data speak at each distance: 20 or more pairs within the reach of a function, shape as `r_A`."""
        r_A = np.atleast_1d(r_A)
        index = (r_A / self.basis.cutoff_A * N_DISTANCE_BINS).astype(int)
        reach = (1 - self.basis.low_A / self.basis.cutoff_A) / self.basis.n_functions
        near = np.ones(max(1, round(reach * N_DISTANCE_BINS)))
        enough = np.append(np.convolve(self.distances[pair], near, "same") >= FEWEST_PAIRS, False)
        return np.asarray(enough[np.clip(index, 0, N_DISTANCE_BINS)])

    def well(self, pair: int) -> tuple[float, float] | None:
        """Distance [Å] and depth of the deepest minimum where the data speak; None without one."""
        r_A = np.linspace(0.0, self.basis.cutoff_A, 8 * N_DISTANCE_BINS + 1)[1:-1]
        energy = np.where(self.sampled(pair, r_A), self.energy(pair, r_A), np.inf)
        inner = (energy[1:-1] < energy[:-2]) & (energy[1:-1] <= energy[2:]) & np.isfinite(energy[:-2] + energy[2:])
        if not inner.any():
            return None
        best = 1 + int(np.argmin(np.where(inner, energy[1:-1], np.inf)))
        return float(r_A[best]), float(-energy[best])


def solve(
    blocks: Blocks[EquationSums, EquationSums], equations: ForceEquations, localisation_A: float = 0.0
) -> FittedPotential:
    """Fit the potentials to the sums.

    Parameters
    ----------
    blocks
        Sums of each block and of all, from `hpcstem.potentials.streaming.Streamed`.
    equations
        The analysis that made them, without tether.
    localisation_A
        Standard deviation of the localisation noise per axis [Å]. With a lag of 1, the fitted function is the
        one whose mean over this noise is the potential; that mean is returned, but for the three-body term. It also
        sets `kT` right.

    Raises
    ------
    StructureError
        No interval with an atom in it, no motion, no pair within the cut-off.
    """
    total, basis = blocks.total, equations.basis
    _check_distances(total, equations)
    n_pairs = len(species_pairs(len(equations.symbols)))
    white = Likelihood.of(total)
    prior, three_body = [pair_prior(basis, n_pairs)], equations.three_body
    n_forces = n_pairs * basis.n_columns
    if three_body is not None:
        prior.append(PriorGroup(len(triple_kinds(len(equations.symbols))), three_body.kernel()[None]))
    first = posterior(white, prior)
    likelihood = white.with_noise(_noise_ratio(blocks, white, first.coefficients))
    best = posterior(likelihood, prior)
    kT, relaxation = temperature(total, best.coefficients, equations.interval, localisation_A)
    residual, residual_error = residuals(blocks, best.coefficients, total.moment - total.design @ best.coefficients)
    coefficients, triples = best.coefficients[:n_forces].reshape(n_pairs, -1), best.coefficients[n_forces:]
    covariance = best.covariance
    if equations.lag and localisation_A > 0:
        mean = mean_over_noise(basis, np.sqrt(2.0) * localisation_A)
        every = block_diag(*[mean] * n_pairs, np.eye(equations.n_triple))
        coefficients, covariance = coefficients @ mean.T, every @ covariance @ every.T
    return FittedPotential(
        basis=basis,
        symbols=equations.symbols,
        mobility=equations.mobility or (1.0,) * len(equations.symbols),
        interval=equations.interval,
        coefficients=coefficients,
        covariance=covariance,
        penalty=best.penalty,
        kT=kT,
        distances=total.distances,
        n_intervals=total.n_intervals,
        estimator=f"{equations.rule}, lag {equations.lag}",
        degrees=best.degrees,
        relaxation=relaxation,
        localisation_A=localisation_A,
        residual=residual[:n_forces].reshape(n_pairs, -1),
        residual_error=residual_error[:n_forces].reshape(n_pairs, -1),
        three_body=three_body,
        three_body_coefficients=None if three_body is None else triples.reshape(-1, three_body.n_columns),
    )


def residuals(
    blocks: Blocks[EquationSums, EquationSums], coefficients: np.ndarray, left: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Coefficient of each function alone in the moments that a fit leaves, and its standard error over blocks.

    Parameters
    ----------
    blocks
        Sums of each block and of all.
    coefficients
        Of the fit, with shape (n_unknowns,), float64.
    left
        Moments that it does not explain, with shape (n_unknowns,), float64.
    """
    power = np.diag(blocks.total.gram)
    power = np.where(power > 0, power, np.nan)
    each = np.stack([part.moment - part.design @ coefficients for part in blocks.parts if part.n_intervals])
    spread = each.std(axis=0, ddof=1) * np.sqrt(len(each)) if len(each) > 1 else np.full(len(power), np.nan)
    return left / power, spread / power


def temperature(
    sums: EquationSums, coefficients: np.ndarray, interval: float, localisation_A: float
) -> tuple[float, float]:
    r"""Thermal energy, and interval over relaxation time, to first order in the latter.

    .. math:: kT = ⟨Δx^2⟩ / 2Δ + Δ ⟨F^2⟩ / 2 - σ^2 / Δ

    for unit mobility: forces make the displacement over an interval smaller than that of a free atom. Where the noise
    explains all of the displacement, a hundredth of it is left.
    """
    force_power = float(coefficients @ sums.gram @ coefficients) / sums.weight
    free = sums.step_power / sums.weight / (2 * interval) + interval * force_power / 2
    kT = max(free - localisation_A**2 * sums.noise_weight / sums.weight / interval, LEAST_MOTION * free)
    return kT, interval * force_power / kT


def mean_over_noise(basis: PairBasis, sigma_A: float) -> np.ndarray:
    r"""Matrix that takes coefficients of U to those of its mean over noise of the vector between two atoms.

    Forces at noisy positions average to the gradient of :math:`E[U(|r + ξ|)]`, ξ normal with the standard
    deviation `sigma_A` per axis [Å], so that this mean, not U, is what moves the atoms. It is projected on the
    basis by least squares. Shape (n_columns, n_columns), float64.
    """
    r_A = np.linspace(basis.low_A, basis.cutoff_A, _N_PROJECTION)
    points, weights = np.polynomial.hermite_e.hermegauss(_N_QUADRATURE)
    weights = weights / weights.sum()
    values = np.zeros((len(r_A), basis.n_columns))
    for x, weight_x in zip(points, weights, strict=True):
        for y, weight_y in zip(points, weights, strict=True):
            values += weight_x * weight_y * basis.values(np.hypot(r_A + sigma_A * x, sigma_A * y))
    return np.asarray(np.linalg.lstsq(basis.values(r_A), values, rcond=1e-10)[0])


def _noise_ratio(blocks: Blocks[EquationSums, EquationSums], likelihood: Likelihood, coefficients: np.ndarray) -> float:
    """Variance of the moments over blocks, relative to that of white noise, averaged over the directions seen.

    Below one where localisation noise cancels from one interval to the next, above where horizons overlap.
    """
    filled = [part for part in blocks.parts if part.n_intervals]
    if len(filled) < _FEWEST_BLOCKS:
        return 1.0
    whitener = whitening(blocks.total.gram)
    residuals = np.stack([whitener.T @ (part.moment - part.design @ coefficients) for part in filled])
    return float((residuals**2).sum() / whitener.shape[1] / likelihood.noise)


def _check_distances(sums: EquationSums, equations: ForceEquations) -> None:
    """Refuse a trajectory whose distances are in another unit, or whose atoms are farther apart than the cut-off."""
    cutoff_A = equations.basis.cutoff_A
    seen = np.flatnonzero(sums.distances.sum(axis=0))
    if sums.n_intervals and not len(seen):
        raise StructureError("pairs of atoms", f"none closer than {cutoff_A} Å", "positions in Å, or a longer cut-off")
    if len(seen):
        middle = np.searchsorted(np.cumsum(sums.distances.sum(axis=0)), sums.distances.sum() / 2)
        typical_A = (middle + 0.5) / N_DISTANCE_BINS * cutoff_A
        if typical_A < equations.basis.low_A:
            raise StructureError(
                "pairs of atoms",
                f"half of them closer than {typical_A:.3g} Å, below the range of the potential",
                f"positions in Å (not nm), or low_A below {typical_A:.3g}",
            )
