r"""How simulated moments answer to the coefficients of the forces, and how much noise the observed moments carry.

Within an interval Δ, what a force did to the atoms relaxes: a displacement δ at the time s has become Φ(Δ, s) δ at its
end, with Φ from the Hessian H of the energy, dΦ/ds = Φ M H and M the mobilities. The moments :math:`b = Z^T Θ (x_Δ -
x_0) / Δ` then have

.. math:: \frac{∂b}{∂h} = \frac{1}{Δ} \int_0^Δ Y_s^T M A(x_s) ds, \qquad
    \mathrm{cov}\, b = \frac{2 kT}{Δ^2} \int_0^Δ Y_s^T M Y_s ds + \frac{2 σ^2}{Δ^2} Y_Δ^T Y_Δ, \qquad
    Y_s = Φ(Δ, s)^T Θ Z,

and one walk backwards along a simulated path gives both. Over a short interval they are the matrices `design` and
`gram` of `hpcstem.potentials.equations`; over a long one those take the forces for firmer than they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numba
import numpy as np

from hpcstem.potentials.design import DesignRows
from hpcstem.potentials.dynamics import Langevin
from hpcstem.potentials.simulated import Interval, SimulatedMotion
from hpcstem.potentials.trajectory import Trajectory

_N_PIECES = 20
"""Pieces of an interval: each is one step of the walk back."""
_STABLE = 0.25
"""Most that the curvature of one pair may undo in a step, in parts of the distance."""


@dataclass(frozen=True)
class ResponseSums:
    """Partial result: sums over intervals.

    Parameters
    ----------
    design
        Derivative of the moments by the coefficients, with shape (n_unknowns, n_unknowns), float64.
    noise
        Covariance of the moments, with shape (n_unknowns, n_unknowns), float64.
    """

    design: np.ndarray
    noise: np.ndarray

    def __add__(self, other: ResponseSums) -> ResponseSums:
        return ResponseSums(self.design + other.design, self.noise + other.noise)


@dataclass(frozen=True)
class Response:
    """Analysis: trajectories to the response of the moments simulated from each of their snapshots.

    Parameters
    ----------
    motion
        The simulation.
    localisation_A
        Standard deviation of the localisation noise per axis [Å].
    """

    motion: SimulatedMotion
    localisation_A: float
    partial_type: ClassVar[type] = ResponseSums

    @property
    def reach(self) -> tuple[int, int]:
        """See `hpcstem.potentials.equations.ForceEquations.reach`."""
        return self.motion.equations.reach

    def process(self, batch: Trajectory) -> ResponseSums:
        """Walk back through every interval, and sum."""
        n = self.motion.equations.n_unknowns
        total = ResponseSums(np.zeros((n, n)), np.zeros((n, n)))
        langevin = self.motion.langevin(batch.box_A)
        for interval in self.motion.intervals(batch):
            total = total + self._interval(interval, langevin)
        return total

    def merge(self, left: ResponseSums, right: ResponseSums) -> ResponseSums:
        """Add."""
        return left + right

    def finish(self, partial: ResponseSums) -> ResponseSums:
        """Return the sums."""
        return partial

    def _interval(self, interval: Interval, langevin: Langevin) -> ResponseSums:
        equations, species = self.motion.equations, interval.species
        n, duration = equations.n_unknowns, equations.interval
        dt = duration / self.motion.n_steps
        rows = DesignRows(equations.basis, len(equations.symbols), len(species))
        memory = rows.empty()
        kinds = [(np.flatnonzero(species == kind), equations.columns(kind)) for kind in range(len(equations.symbols))]

        def forces(positions_A: np.ndarray) -> list[np.ndarray]:
            rows.fill(memory, positions_A, species, np.arange(len(species)), langevin.box_A)
            return [rows.rows(memory)[own] for own, _ in kinds]

        back = np.zeros((len(species), 2, n), np.float32)
        for (own, columns), force in zip(kinds, forces(interval.positions_A), strict=True):
            back[own[:, None, None], [[0], [1]], columns] = interval.share[own, None, None] * force
        flat = back.reshape(-1, n)
        noise = 2 * self.localisation_A**2 * (flat.T @ flat).astype(np.float64)
        design = np.zeros((n, n))
        mobility = langevin.mobility[species].astype(np.float32)
        for place_A, time in reversed(self._path(interval, langevin, dt)):
            moved = mobility[:, None, None] * back
            noise += 2 * langevin.kT * time * (moved.reshape(-1, n).T @ flat)
            for (own, columns), force in zip(kinds, forces(place_A), strict=True):
                design[:, columns] += time * (moved[own].reshape(-1, n).T @ force.reshape(-1, len(columns)))
            near = langevin.pairs(place_A)
            _relax(
                back, moved, near.first, near.second, near.vector_A, species, *langevin.table, np.float32(time),
                _STABLE / time,
            )  # fmt: skip
        return ResponseSums(design / duration, noise / duration**2)

    def _path(self, interval: Interval, langevin: Langevin, dt: float) -> list[tuple[np.ndarray, float]]:
        """Middle of each piece of the simulated path, and how long the piece takes."""
        path, here_A = [], interval.positions_A
        for noise in np.array_split(interval.noise, min(_N_PIECES, len(interval.noise))):
            there_A = langevin.propagate(here_A, interval.species, dt, noise)
            path.append(((here_A + there_A) / 2, len(noise) * dt))
            here_A = there_A
        return path


@numba.njit(cache=True, fastmath=True)
def _relax(
    back: np.ndarray,
    moved: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    vector_A: np.ndarray,
    species: np.ndarray,
    slope_over_r: np.ndarray,
    cutoff: float,
    time: np.float32,
    stiffest: float,
) -> None:
    """Add time × Hessian × `moved` to `back`, both with shape (n_atoms, 2, n_unknowns), float32."""
    per_A = (slope_over_r.shape[2] - 1) / cutoff
    n = back.shape[2]
    for p in range(len(first)):
        i, j = first[p], second[p]
        dx, dy = vector_A[p, 0], vector_A[p, 1]
        r = np.sqrt(dx * dx + dy * dy)
        low = int(r * per_A)
        if low >= slope_over_r.shape[2] - 1:
            continue
        table = slope_over_r[species[i], species[j]]
        change = table[low + 1] - table[low]
        across = table[low] + (r * per_A - low) * change
        # A pair in contact relaxes within a step: one step of Euler's would throw it across.
        along = min(across + change * per_A * r, stiffest)
        bend = (along - across) / (r * r)
        xx, xy, yy = (
            time * np.float32(across + bend * dx * dx),
            time * np.float32(bend * dx * dy),
            time * np.float32(across + bend * dy * dy),
        )
        at_i, at_j, of_i, of_j = back[i], back[j], moved[i], moved[j]
        for k in range(n):
            ux, uy = of_j[0, k] - of_i[0, k], of_j[1, k] - of_i[1, k]
            vx, vy = xx * ux + xy * uy, xy * ux + yy * uy
            at_i[0, k] += vx
            at_i[1, k] += vy
            at_j[0, k] -= vx
            at_j[1, k] -= vy
