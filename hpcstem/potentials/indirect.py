r"""Indirect inference: potentials whose simulated motion has the moments of the observed motion.

A weak form with few quadrature points is biased when the atoms relax within an interval. Here each interval is
simulated instead, from each observed snapshot, with the potential to be tested, and

.. math:: b_{obs} - b_{sim}(h) = λ R h, \qquad b = \sum_t A_t^T Θ_t (x_{t+1} - x_t) / Δ,

is solved for h [1]_, with λ by evidence. Each interval is simulated twice with opposite noise, which is the same
for every h, so that b_sim is smooth in h and its noise is of second order. The matrix of the trapezoid serves as
the derivative and Anderson's acceleration mends it. The thermal energy is found along with h, from the mean
squared displacement.

References
----------
.. [1] C. Gourieroux, A. Monfort and E. Renault, J. Appl. Econometrics 8, S85 (1993),
   https://doi.org/10.1002/jae.3950080507
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from scipy.linalg import cholesky, solve_triangular

from hpcstem.atoms import NO_TRACK
from hpcstem.errors import StructureError
from hpcstem.potentials.alignment import Alignment
from hpcstem.potentials.dynamics import ForceTable, Langevin
from hpcstem.potentials.equations import EquationSums, ForceEquations
from hpcstem.potentials.fitted import FittedPotential, solve
from hpcstem.potentials.likelihood import Likelihood
from hpcstem.potentials.prior import Posterior, pair_prior, posterior
from hpcstem.potentials.streaming import Blocks, Segment, Streamed
from hpcstem.potentials.trajectory import Trajectory

_DEPTH = 5
_CONVERGED = 0.01
_ROUNDS_OF_EVIDENCE = 4


@dataclass(frozen=True)
class SimulatedMoments:
    """Analysis: trajectories to the moments of motion simulated from each of their snapshots.

    The sums are `EquationSums` with the simulated motion in the place of the observed.

    Parameters
    ----------
    equations
        Euler's rule at lag 0: says which atoms count and how much.
    coefficients
        Of the potentials to simulate with, with shape (n_pairs, n_columns).
    kT
        Thermal energy in the units of the fit.
    n_steps
        Steps per interval.
    seed
        Of the noise; each frame draws its own stream from it and its number.
    """

    equations: ForceEquations
    coefficients: np.ndarray
    kT: float
    n_steps: int
    seed: int
    partial_type: ClassVar[type] = EquationSums

    @property
    def reach(self) -> tuple[int, int]:
        """See `ForceEquations.reach`."""
        return self.equations.reach

    def process(self, batch: Trajectory) -> EquationSums:
        """Simulate every interval, and sum."""
        langevin = self._langevin(batch)
        total = self.equations.zero()
        for index in range(len(batch) - 1):
            if batch.frame[index + 1] - batch.frame[index] == 1:
                total = total + self._interval(batch[index : index + 2], langevin)
        return total

    def merge(self, left: EquationSums, right: EquationSums) -> EquationSums:
        """Add."""
        return left + right

    def finish(self, partial: EquationSums) -> EquationSums:
        """Return the sums."""
        return partial

    def _langevin(self, batch: Trajectory) -> Langevin:
        basis, n_species = self.equations.basis, len(self.equations.symbols)
        slopes = [lambda r_A, row=row: basis.slopes(r_A) @ row for row in self.coefficients]
        mobility = np.array(self.equations.mobility or (1.0,) * n_species)
        return Langevin(ForceTable.of(slopes, n_species, basis.cutoff_A), self.kT, mobility, batch.box_A)

    def _interval(self, pair: Trajectory, langevin: Langevin) -> EquationSums:
        """Moments of one interval: the mean of two runs with opposite noise."""
        before = pair.rows(0)
        positions_A, species = pair.positions_A[before], pair.species[before]
        rng = np.random.default_rng(np.random.SeedSequence([self.seed, int(pair.frame[0])]))
        noise = rng.standard_normal((self.n_steps, *positions_A.shape))
        atoms = Alignment(pair)
        seen = np.isfinite(atoms.position_A[:, :, 0].sum(axis=0))
        # Only atoms that are seen at both ends count, as in the observed moments.
        counted = atoms.slot[before] < atoms.n_slots
        counted[counted] &= seen[atoms.slot[before][counted]]
        dt = self.equations.interval / self.n_steps
        ahead_A, back_A = (langevin.propagate(positions_A, species, dt, sign * noise) for sign in (1.0, -1.0))
        weight = self._weights(pair, counted)
        simulated = Trajectory(
            frame=pair.frame,
            start=np.array([0, len(species), 2 * len(species)]),
            positions_A=np.concatenate([positions_A, (ahead_A + back_A) / 2]),
            species=np.tile(species, 2),
            track=np.tile(np.where(counted, pair.track[before], NO_TRACK), 2),
            weight=np.tile(weight, 2),
            symbols=pair.symbols,
            box_A=pair.box_A,
        )
        # The moments are linear in the displacement, its square is not.
        squares = (
            ((ahead_A - positions_A) ** 2 + (back_A - positions_A) ** 2).sum(axis=1) / 2 / langevin.mobility[species]
        )
        shares = np.where(counted, weight, 0.0)
        step_power = float(shares @ squares / shares.sum()) if shares.any() else 0.0
        return replace(self.equations.process(simulated), step_power=step_power)

    def _weights(self, pair: Trajectory, counted: np.ndarray) -> np.ndarray:
        """Weight of each atom of the first snapshot: the smaller of the two, as in the observed moments."""
        before, after = pair.rows(0), pair.rows(1)
        weight = pair.weight[before].copy()
        order = np.argsort(pair.track[after])
        place = np.searchsorted(pair.track[after][order], pair.track[before][counted])
        weight[counted] = np.minimum(weight[counted], pair.weight[after][order][place])
        return weight


def indirect_inference(
    run: Callable[[Any, Sequence[Segment]], Any],
    parts: Sequence[Segment],
    equations: ForceEquations,
    seed: int,
    n_steps: int = 100,
    max_rounds: int = 20,
    piece: int = 64,
    localisation_A: float = 0.0,
) -> FittedPotential:
    """Fit by indirect inference, beginning from the trapezoid.

    Parameters
    ----------
    run
        Runs an analysis over segments: the method `run` of an executor.
    parts
        Segments of the trajectory.
    equations
        Basis, species, interval and mobilities; its rule and lag are not used.
    seed
        Of the simulated noise.
    n_steps
        Steps of the simulation per interval.
    max_rounds
        Most simulations of the whole trajectory.
    piece
        Snapshots in memory at a time.
    localisation_A
        Standard deviation of the localisation noise per axis, for the thermal energy [Å].

    Raises
    ------
    StructureError
        No convergence; or see `hpcstem.potentials.fitted.solve`.
    """
    euler = replace(equations, rule="euler", lag=0, tether=False)
    trapezoid = replace(euler, rule="trapezoid")
    sums: Blocks[EquationSums, EquationSums] = run(Streamed(trapezoid, piece), parts)
    start = solve(sums, trapezoid, localisation_A)
    problem = _Problem(sums.total, start, seed, n_steps, run, parts, euler, piece)
    x = np.append(start.coefficients.ravel(), np.log(start.kT))
    history: list[tuple[np.ndarray, np.ndarray]] = []
    for _ in range(max_rounds):
        better = problem.improved(x)
        step = np.append(better.coefficients, problem.log_kT(x)) - x
        change = problem.size(step, better)
        if change < _CONVERGED:
            return problem.result(x + step, better)
        history = [*history[-_DEPTH:], (x, step)]
        x = _accelerated(history, better.covariance, problem.log_kT_error)
    raise StructureError(
        "indirect inference",
        f"a change of {change:.2g} standard deviations in round {max_rounds}",
        "a shorter interval between frames, or a longer trajectory",
    )


class _Problem:
    """Equation to solve: the unknowns x are the coefficients and log kT."""

    def __init__(
        self,
        total: EquationSums,
        start: FittedPotential,
        seed: int,
        n_steps: int,
        run: Callable[[Any, Sequence[Segment]], Any],
        parts: Sequence[Segment],
        equations: ForceEquations,
        piece: int,
    ) -> None:
        self.total, self.start, self.seed, self.n_steps = total, start, seed, n_steps
        self.run, self.parts, self.equations, self.piece = run, parts, equations, piece
        self._simulated = total
        self._likelihood = Likelihood.of(total)
        self._prior: Posterior | None = None
        self._rounds = 0

    def improved(self, x: np.ndarray) -> Posterior:
        """Posterior of the problem made linear at x, with the strength of the prior found anew in the first rounds."""
        coefficients = x[:-1].reshape(self.start.coefficients.shape)
        analysis = SimulatedMoments(self.equations, coefficients, float(np.exp(x[-1])), self.n_steps, self.seed)
        self._simulated = self.run(Streamed(analysis, self.piece), self.parts).total
        total = self.total
        moment = total.moment - self._simulated.moment + total.design @ x[:-1]
        likelihood = self._likelihood.with_moment(total, moment)
        if self._rounds < _ROUNDS_OF_EVIDENCE or self._prior is None:
            self._prior = posterior(likelihood, [pair_prior(self.equations.basis, len(coefficients))])
        self._rounds += 1
        # A prior that changed to the end would keep the iteration from settling.
        mean, covariance = likelihood.posterior_at(self._prior.penalty)
        return replace(self._prior, coefficients=mean, covariance=covariance + self._prior.widening)

    def log_kT(self, x: np.ndarray) -> float:
        """Thermal energy that makes the simulated displacements as long as the observed."""
        total = self.total
        noise_A2 = self.start.localisation_A**2 * total.noise_weight * 2
        observed = max(total.step_power - noise_A2, 0.05 * total.step_power)
        return float(x[-1] + np.log(observed / self._simulated.step_power))

    @property
    def log_kT_error(self) -> float:
        """Standard error of log kT."""
        return float(np.sqrt(2 / self._likelihood.n_values))

    def size(self, step: np.ndarray, better: Posterior) -> float:
        """Change of the potential over the pairs seen, in standard deviations; or the change of log kT."""
        basis, distances = self.equations.basis, self.total.distances
        r_A = (np.arange(distances.shape[1]) + 0.5) / distances.shape[1] * basis.cutoff_A
        values, n = basis.values(r_A), basis.n_columns
        change, spread = 0.0, 0.0
        for k, seen in enumerate(distances):
            own = slice(k * n, (k + 1) * n)
            change += float(seen @ (values @ step[:-1][own]) ** 2)
            spread += float(seen @ np.einsum("ri,ij,rj->r", values, better.covariance[own, own], values))
        return float(np.sqrt(change / spread) + abs(step[-1]))

    def result(self, x: np.ndarray, better: Posterior) -> FittedPotential:
        """Potential at the solution."""
        kT, power = float(np.exp(x[-1])), np.diag(self.total.gram)
        left = (self.total.moment - self._simulated.moment) / np.where(power > 0, power, np.nan)
        return replace(
            self.start,
            coefficients=x[:-1].reshape(self.start.coefficients.shape),
            covariance=better.covariance,
            penalty=better.penalty,
            kT=kT,
            estimator=f"indirect inference, {self.n_steps} steps",
            degrees=better.degrees,
            relaxation=self.start.relaxation * self.start.kT / kT,
            residual=left.reshape(self.start.residual.shape),
        )


def _accelerated(
    history: list[tuple[np.ndarray, np.ndarray]], covariance: np.ndarray, log_kT_error: float
) -> np.ndarray:
    """Anderson's mix of the last points and steps, which makes the step short in standard deviations."""
    points, steps = (np.stack(column) for column in zip(*history, strict=True))
    if len(points) == 1:
        return np.asarray(points[0] + steps[0])
    d_points, d_steps = np.diff(points, axis=0), np.diff(steps, axis=0)
    whitened = solve_triangular(cholesky(covariance, lower=True), np.vstack([d_steps, steps[-1]])[:, :-1].T, lower=True)
    whitened = np.vstack([whitened, np.append(d_steps[:, -1], steps[-1, -1]) / log_kT_error])
    mix = np.linalg.lstsq(whitened[:, :-1], whitened[:, -1], rcond=1e-6)[0]
    return np.asarray(points[-1] + steps[-1] - mix @ (d_points + d_steps))
