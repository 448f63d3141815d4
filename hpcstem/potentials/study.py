"""One fit from a trajectory to potentials, verdict and motion, over any executor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hpcstem.errors import StructureError
from hpcstem.potentials.bases import PairBasis
from hpcstem.potentials.equations import ForceEquations
from hpcstem.potentials.fitted import LEAST_MOTION, FittedPotential, solve
from hpcstem.potentials.indirect import indirect_inference
from hpcstem.potentials.motion import Motion, MotionStatistics
from hpcstem.potentials.parquet_trajectory import ParquetTrajectory
from hpcstem.potentials.pmf import MeanForcePotential, mean_force_of_distances
from hpcstem.potentials.search import ranked
from hpcstem.potentials.settings import FitSettings
from hpcstem.potentials.streaming import Extent, MeasureExtent, Segment, Streamed, TrajectorySource, segments
from hpcstem.potentials.verdict import Verdict, past_equations, verdict

Run = Callable[[Any, Sequence[Any]], Any]
_NOISE_THAT_MATTERS = 0.05
"""σ²/(kT Δ) beyond which localisation noise biases a fit at lag 0 by more than a few per cent."""
_UNRESOLVED = 0.3
_MEMORY_OF_MOTION = 0.1


@dataclass(frozen=True)
class Study:
    """What a trajectory says about its forces.

    Parameters
    ----------
    potential
        The fit.
    verdict
        Whether it means anything.
    motion
        Noise, diffusion, velocity autocorrelation.
    localisation_A
        Standard deviation of the localisation noise per axis, given or estimated [Å].
    mean_force
        Potential of mean force of the same snapshots; None where they are not wider than the cut-off.
    """

    potential: FittedPotential
    verdict: Verdict
    motion: Motion
    localisation_A: float
    mean_force: MeanForcePotential | None

    @property
    def kT_known(self) -> bool:
        """Whether localisation noise leaves some of the motion."""
        thermal_A2 = self.potential.kT * self.potential.interval
        return thermal_A2 > 2 * LEAST_MOTION * (thermal_A2 + self.localisation_A**2)

    def sentences(self) -> list[str]:
        """Say plainly what was found and what must be kept in mind."""
        lines = self.verdict.sentences()
        if not self.kT_known:
            lines.append("localisation noise explains all of the motion: kT, and with it U/kT, is not known")
        elif self.potential.relaxation > _UNRESOLVED and not self.potential.estimator.startswith("indirect"):
            lines.append(
                f"the interval is {self.potential.relaxation:.2f} relaxation times: the trapezoid is biased and the "
                "fitted stiffness scales as one over the interval; use --estimator indirect, and compare U/kT only"
            )
        if self.motion.remembered > _MEMORY_OF_MOTION:
            lines.append(
                f"velocities of successive frames correlate by {self.motion.remembered:.2f}: drift is left, or the "
                "motion is not overdamped"
            )
        return lines


def fit(run: Run, source: TrajectorySource, settings: FitSettings, checkpoint: Path | None = None) -> Study:
    """Fit pair potentials to a trajectory.

    Parameters
    ----------
    run
        Runs an analysis over segments: the method `run` of an executor of `hpcstem.execution`.
    source
        The trajectory.
    settings
        How.
    checkpoint
        Folder for partial sums, from which the same call goes on after it was killed; None for none.

    Raises
    ------
    StructureError
        The trajectory or the settings cannot be used; the error says why.
    """
    extent: Extent = run(MeasureExtent(), [source])
    parts = segments(source, settings.blocks, extent.n_frames)
    work = _Work(run, parts, settings, _best_basis(run, parts, settings), checkpoint)
    statistics = MotionStatistics(settings.species)
    motion: Motion = work.sums(statistics, "motion").total
    if not motion.counts.any():
        raise StructureError(
            "motion of the atoms",
            f"none that is linked over {sum(statistics.reach) + 1} frames in a row",
            "a longer movie, or one with fewer gaps: with less, noise and motion cannot be told apart",
        )
    if isinstance(source, ParquetTrajectory):
        source = replace(source, diffusion_A=motion.diffusion_A)
        work = replace(work, parts=segments(source, settings.blocks, extent.n_frames))
    potential, localisation_A = work.potential(motion)
    past = past_equations(potential.basis, settings.species, settings.interval_s, settings.mobility)
    sums = work.sums(past, "past")
    judged = verdict(sums, past, potential.coefficients)
    distances = [part.distances for part in sums.parts if part.n_intervals]
    mean_force = mean_force_of_distances(settings.species, settings.cutoff_A, distances, extent.sides_A)
    return Study(potential, judged, motion, localisation_A, mean_force)


def _best_basis(run: Run, parts: Sequence[Segment], settings: FitSettings) -> PairBasis:
    """Basis of the largest evidence, where the settings name several."""
    bases = settings.make_bases()
    if len(bases) == 1:
        return bases[0]
    equations = ForceEquations(bases[0], settings.species, settings.interval_s, "euler", 0, settings.mobility)
    return ranked(run, parts, equations, bases, settings.piece)[0].basis


@dataclass(frozen=True)
class _Work:
    run: Run
    parts: Sequence[Segment]
    settings: FitSettings
    basis: PairBasis
    checkpoint: Path | None

    def sums(self, analysis: Any, name: str) -> Any:
        """Run an analysis with checkpoints of its own."""
        folder = None if self.checkpoint is None else self.checkpoint / name
        streamed = Streamed(analysis, self.settings.piece, folder, self.settings.checkpoint_every_s)
        return self.run(streamed, self.parts)

    def potential(self, motion: Motion) -> tuple[FittedPotential, float]:
        """Fit by the estimator asked for; and the localisation noise [Å]."""
        settings = self.settings
        if settings.estimator == "indirect":
            localisation_A = settings.localisation_A or 0.0
            equations = self._equations("euler", 0)
            found = indirect_inference(
                self.sums, equations, settings.seed, settings.steps_per_interval, localisation_A=localisation_A
            )
            return found, localisation_A
        if settings.estimator != "auto":
            rule, lag = ("trapezoid", 1) if settings.estimator == "lag1" else (settings.estimator, 0)
            localisation_A = settings.localisation_A or 0.0
            return self._solved(rule, lag, localisation_A), localisation_A
        lagged = self._solved("trapezoid", 1, settings.localisation_A or 0.0)
        known_A = settings.localisation_A
        localisation_A = estimated_noise_A(motion, lagged) if known_A is None else known_A
        plain = self._solved("trapezoid", 0, localisation_A)
        if localisation_A**2 < _NOISE_THAT_MATTERS * plain.kT * settings.interval_s:
            return plain, localisation_A
        return self._solved("trapezoid", 1, localisation_A), localisation_A

    def _equations(self, rule: str, lag: int) -> ForceEquations:
        settings = self.settings
        return ForceEquations(
            self.basis, settings.species, settings.interval_s, rule, lag, settings.mobility,
            three_body=settings.make_three_body(),
        )  # fmt: skip

    def _solved(self, rule: str, lag: int, localisation_A: float) -> FittedPotential:
        equations = self._equations(rule, lag)
        return solve(self.sums(equations, f"{rule}-{lag}"), equations, localisation_A)


def estimated_noise_A(motion: Motion, lagged: FittedPotential) -> float:
    """Localisation noise per axis [Å], with what the forces of a fit at lag 1 add to the covariance taken off.

    The species seen most often decides. The forces add -Δ²⟨F²⟩, which is what relaxation says.
    """
    species = int(np.argmax(motion.counts))
    mobility = lagged.mobility[species]
    # kT from the fit holds the noise as well; both unknowns follow from the two moments.
    forces_A2 = lagged.relaxation * lagged.kT * lagged.interval * mobility
    return float(np.sqrt(max(motion.noise_A2[species] - forces_A2, 0.0)))
