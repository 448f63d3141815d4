r"""Indirect inference: potentials whose simulated motion has the moments of the observed motion.

A weak form with few quadrature points is biased when the atoms relax within an interval. Here each interval is
simulated instead, from each observed snapshot, with the potential to be tested, and

.. math:: b_{obs} - b_{sim}(h) = C D^{-T} R h, \qquad b = \sum_t A_t^T Θ_t (x_{t+1} - x_t) / Δ,

is solved for h [1]_ by Newton's method, where D is the derivative of b_sim, C the covariance of b_obs
(`hpcstem.potentials.response`) and R the precision of the prior, whose strengths the evidence chooses. Each interval is
simulated twice with opposite noise, which is the same for every h, so that b_sim is smooth in h and its noise is of
second order. The thermal energy is found along with h, from the mean squared displacement.

References
----------
.. [1] C. Gourieroux, A. Monfort and E. Renault, J. Appl. Econometrics 8, S85 (1993),
   https://doi.org/10.1002/jae.3950080507
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from hpcstem.errors import StructureError
from hpcstem.potentials.equations import EquationSums, ForceEquations
from hpcstem.potentials.fitted import FEWEST_PAIRS, FittedPotential, solve
from hpcstem.potentials.likelihood import Likelihood
from hpcstem.potentials.prior import Posterior, pair_prior, posterior
from hpcstem.potentials.response import Response, ResponseSums
from hpcstem.potentials.simulated import MomentSums, SimulatedMotion
from hpcstem.potentials.streaming import Blocks

_CONVERGED = 0.01
_SETTLED = 0.1
"""Change below which the derivative and the strengths of the prior are kept: they would change no more."""
_MOST_RESPONSES = 5


def indirect_inference(
    sums: Callable[[Any, str], Blocks[Any, Any]],
    equations: ForceEquations,
    seed: int,
    n_steps: int = 100,
    max_rounds: int = 20,
    localisation_A: float = 0.0,
) -> FittedPotential:
    """Fit by indirect inference, beginning from the trapezoid.

    Parameters
    ----------
    sums
        Runs an analysis of trajectories over the segments of one; its second argument names the analysis, the same in
        a job that is started again.
    equations
        Basis, species, interval and mobilities; its rule and lag are not used.
    seed
        Of the simulated noise.
    n_steps
        Steps of the simulation per interval.
    max_rounds
        Most simulations of the whole trajectory.
    localisation_A
        Standard deviation of the localisation noise per axis [Å].

    Raises
    ------
    StructureError
        A three-body term; no convergence; or see `hpcstem.potentials.fitted.solve`.
    """
    if equations.three_body is not None:
        raise StructureError("indirect inference", "a three-body term", "pairs alone: triples are not simulated")
    euler = replace(equations, rule="euler", lag=0, tether=False)
    trapezoid = replace(euler, rule="trapezoid")
    observed: Blocks[EquationSums, EquationSums] = sums(trapezoid, "trapezoid-0")
    start = solve(observed, trapezoid, localisation_A)
    few = np.cumsum(start.distances, axis=1) < FEWEST_PAIRS
    nearest_A = few.mean(axis=1) * equations.basis.cutoff_A
    motion = SimulatedMotion(euler, start.coefficients, nearest_A, start.kT, n_steps, seed)
    problem = _Problem(observed.total, start, sums)
    for number in range(max_rounds):
        better, kT = problem.improved(motion, number)
        coefficients = better.coefficients.reshape(start.coefficients.shape)
        change = problem.change(coefficients - motion.coefficients, better) + abs(np.log(kT / motion.kT))
        motion = replace(motion, coefficients=coefficients, kT=kT)
        if change < _CONVERGED:
            return problem.result(motion, better)
        problem.settled = problem.settled or change < _SETTLED
    raise StructureError(
        "indirect inference",
        f"a change of {change:.2g} standard deviations in round {max_rounds}",
        "a shorter interval between frames, or a longer trajectory",
    )


class _Problem:
    """Equation to solve."""

    def __init__(
        self, total: EquationSums, start: FittedPotential, sums: Callable[[Any, str], Blocks[Any, Any]]
    ) -> None:
        self.total, self.start, self.sums = total, start, sums
        self.settled = False
        self._left = np.zeros_like(total.moment)
        self._responses: list[ResponseSums] = []
        self._prior: Posterior | None = None

    def improved(self, motion: SimulatedMotion, number: int) -> tuple[Posterior, float]:
        """Posterior of the problem made linear about the simulated motion, and the thermal energy."""
        simulated: MomentSums = self.sums(motion, f"simulated-{number:02d}").total
        anew = not (self.settled or len(self._responses) == _MOST_RESPONSES)
        if anew:
            asked = Response(motion, self.start.localisation_A)
            self._responses.append(self.sums(asked, f"response-{number:02d}").total)
        response = self._responses[-1]
        self._left = self.total.moment - simulated.moment
        moment = self._left + response.design @ motion.coefficients.ravel()
        likelihood = Likelihood.of_moments(response.design, response.noise, moment)
        if anew or self._prior is None:
            self._prior = posterior(likelihood, [pair_prior(motion.equations.basis, len(motion.coefficients))])
        mean, covariance = likelihood.posterior_at(self._prior.penalty)
        better = replace(self._prior, coefficients=mean, covariance=covariance + self._prior.widening)
        return better, motion.kT * self._observed_power() / simulated.step_power

    def _observed_power(self) -> float:
        """Mean squared displacement less the localisation noise."""
        total = self.total
        noise_A2 = self.start.localisation_A**2 * total.noise_weight * 2
        return max(total.step_power - noise_A2, 0.05 * total.step_power)

    def change(self, step: np.ndarray, better: Posterior) -> float:
        """Change of the potential over the pairs seen, in standard deviations."""
        basis, distances = self.start.basis, self.total.distances
        r_A = (np.arange(distances.shape[1]) + 0.5) / distances.shape[1] * basis.cutoff_A
        values, n = basis.values(r_A), basis.n_columns
        change, spread = 0.0, 0.0
        for k, seen in enumerate(distances):
            own = slice(k * n, (k + 1) * n)
            change += float(seen @ (values @ step[k]) ** 2)
            spread += float(seen @ np.einsum("ri,ij,rj->r", values, better.covariance[own, own], values))
        return float(np.sqrt(change / spread))

    def result(self, motion: SimulatedMotion, better: Posterior) -> FittedPotential:
        """Potential at the solution."""
        power = np.diag(self.total.gram)
        return replace(
            self.start,
            coefficients=motion.coefficients,
            covariance=better.covariance,
            penalty=better.penalty,
            kT=motion.kT,
            estimator=f"indirect inference, {motion.n_steps} steps",
            degrees=better.degrees,
            relaxation=self.start.relaxation * self.start.kT / motion.kT,
            residual=(self._left / np.where(power > 0, power, np.nan)).reshape(self.start.residual.shape),
        )
