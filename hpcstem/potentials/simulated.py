"""Motion simulated from every observed snapshot over one interval, and its moments."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hpcstem.potentials.alignment import Alignment
from hpcstem.potentials.design import DesignRows
from hpcstem.potentials.dynamics import ForceTable, Langevin
from hpcstem.potentials.equations import ForceEquations
from hpcstem.potentials.trajectory import Trajectory


@dataclass(frozen=True)
class MomentSums:
    """Partial result: sums over intervals, as in `hpcstem.potentials.equations.EquationSums`.

    Parameters
    ----------
    moment
        Zᵀ Θ v, with shape (n_unknowns,), float64.
    step_power
        Of the displacement over one interval [Å²].
    """

    moment: np.ndarray
    step_power: float

    def __add__(self, other: MomentSums) -> MomentSums:
        return MomentSums(self.moment + other.moment, self.step_power + other.step_power)


@dataclass(frozen=True)
class Interval:
    """Where the simulation of one interval begins.

    Parameters
    ----------
    positions_A
        (x, y) of all atoms [Å], with shape (n_atoms, 2), float64.
    species
        Their species, with shape (n_atoms,), int64.
    share
        Weight of each atom, zero for those that the next snapshot does not show; their sum is one.
    noise
        Standard normal numbers, with shape (n_steps, n_atoms, 2), float64.
    """

    positions_A: np.ndarray
    species: np.ndarray
    share: np.ndarray
    noise: np.ndarray


@dataclass(frozen=True)
class SimulatedMotion:
    """Analysis: trajectories to the moments of motion simulated from each of their snapshots.

    Parameters
    ----------
    equations
        Euler's rule at lag 0: says which atoms count and how much.
    coefficients
        Of the potentials to simulate with, with shape (n_pairs, n_columns).
    nearest_A
        Distance for each pair below which the force is that at this distance [Å], with shape (n_pairs,). Atoms that
        come closer than any were seen would otherwise find there whatever the prior has drawn, a hole for instance.
    kT
        Thermal energy in the units of the fit.
    n_steps
        Steps per interval.
    seed
        Of the noise; each frame draws its own stream from it and its number.
    """

    equations: ForceEquations
    coefficients: np.ndarray
    nearest_A: np.ndarray
    kT: float
    n_steps: int
    seed: int
    partial_type: ClassVar[type] = MomentSums

    @property
    def reach(self) -> tuple[int, int]:
        """See `ForceEquations.reach`."""
        return self.equations.reach

    def process(self, batch: Trajectory) -> MomentSums:
        """Simulate every interval, and sum."""
        langevin = self.langevin(batch.box_A)
        total = MomentSums(np.zeros(self.equations.n_unknowns), 0.0)
        for interval in self.intervals(batch):
            total = total + self._moments(interval, langevin)
        return total

    def merge(self, left: MomentSums, right: MomentSums) -> MomentSums:
        """Add."""
        return left + right

    def finish(self, partial: MomentSums) -> MomentSums:
        """Return the sums."""
        return partial

    def langevin(self, box_A: tuple[float, float] | None) -> Langevin:
        """Forces and noise."""
        basis, n_species = self.equations.basis, len(self.equations.symbols)
        slopes = [
            lambda r_A, row=row, nearest_A=nearest_A: basis.slopes(np.maximum(r_A, nearest_A)) @ row
            for row, nearest_A in zip(self.coefficients, self.nearest_A, strict=True)
        ]
        mobility = np.array(self.equations.mobility or (1.0,) * n_species)
        return Langevin(ForceTable.of(slopes, n_species, basis.cutoff_A), self.kT, mobility, box_A)

    def intervals(self, batch: Trajectory) -> Iterator[Interval]:
        """Intervals between consecutive snapshots that show an atom twice."""
        atoms = Alignment(batch)
        for index in range(len(batch) - 1):
            if not atoms.consecutive(index, index + 1):
                continue
            rows = batch.rows(index)
            slot = atoms.slot[rows]
            linked = slot < atoms.n_slots
            # Only atoms that are seen at both ends count, with the smaller weight, as in the observed moments.
            share = np.zeros(len(slot))
            share[linked] = atoms.weight[index : index + 2, slot[linked]].min(axis=0)
            if not share.any():
                continue
            rng = np.random.default_rng(np.random.SeedSequence([self.seed, int(batch.frame[index])]))
            noise = rng.standard_normal((self.n_steps, len(slot), 2))
            yield Interval(batch.positions_A[rows], batch.species[rows], share / share.sum(), noise)

    def _moments(self, interval: Interval, langevin: Langevin) -> MomentSums:
        """Moments of one interval: the mean of two runs with opposite noise."""
        species, dt = interval.species, self.equations.interval / self.n_steps
        start_A = interval.positions_A
        ahead_A, back_A = (
            langevin.propagate(start_A, species, dt, sign * interval.noise) - start_A for sign in (1.0, -1.0)
        )
        # The moments are linear in the displacement, its square is not.
        squares_A2 = (ahead_A**2 + back_A**2).sum(axis=1) / 2
        weighted = interval.share[:, None] * (ahead_A + back_A) / (2 * self.equations.interval)
        rows = DesignRows(self.equations.basis, len(self.equations.symbols), len(species))
        memory = rows.empty()
        rows.fill(memory, start_A, species, np.arange(len(species)), langevin.box_A)
        moment = np.zeros(self.equations.n_unknowns)
        for kind in range(len(self.equations.symbols)):
            own = species == kind
            moment[self.equations.columns(kind)] += np.einsum("ic,icn->n", weighted[own], rows.rows(memory)[own])
        return MomentSums(moment, float(interval.share @ (squares_A2 / langevin.mobility[species])))
