r"""Overdamped Langevin motion in a plane under pair forces.

.. math:: dx_i = μ_{s(i)} F_i(x) dt + \sqrt{2 μ_{s(i)} kT}\, dW_i

Integrated by Heun's scheme, of weak order two for this noise [1]_; Euler and Maruyama's errs by some per cent at
the steps used here, as the repulsion is stiff. The step is the caller's. Lengths in Å; energy and time in any units
that make the mobility μ one for the first species.

References
----------
.. [1] P. E. Kloeden and E. Platen, Numerical Solution of Stochastic Differential Equations (1992), chapter 15.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numba
import numpy as np

from hpcstem.errors import StructureError
from hpcstem.potentials.pairs import HalfPairs, half_pairs, species_pairs

_SKIN_A = 0.6
_N_POINTS = 1 << 13
_TOO_FAR = -1


@dataclass(frozen=True)
class ForceTable:
    """Slopes of the pair potentials on equal steps of the distance, interpolated linearly in between.

    Parameters
    ----------
    slope_over_r
        U'(r) / r by species, species and distance, with shape (n_species, n_species, n_points), float64.
    cutoff_A
        Distance of the last point [Å]; there is no force beyond.
    """

    slope_over_r: np.ndarray
    cutoff_A: float

    @classmethod
    def of(cls, slopes: Sequence[Callable[[np.ndarray], np.ndarray]], n_species: int, cutoff_A: float) -> ForceTable:
        """Tabulate one slope U'(r) per species pair, in the order of `hpcstem.potentials.pairs.species_pairs`."""
        r_A = np.linspace(0.0, cutoff_A, _N_POINTS)
        r_A[0] = r_A[1]
        table = np.empty((n_species, n_species, _N_POINTS))
        for (a, b), slope in zip(species_pairs(n_species), slopes, strict=True):
            table[a, b] = table[b, a] = slope(r_A) / r_A
        return cls(table, cutoff_A)


@dataclass(frozen=True)
class Langevin:
    """What moves the atoms.

    Parameters
    ----------
    forces
        Slopes of the pair potentials.
    kT
        Thermal energy, in the unit of the potentials.
    mobility
        Mobility of each species relative to the first's, with shape (n_species,), float64.
    box_A
        Sides of a periodic rectangle with a corner at the origin [Å]; None for open boundaries.
    """

    forces: ForceTable
    kT: float
    mobility: np.ndarray
    box_A: tuple[float, float] | None = None

    def force(self, positions_A: np.ndarray, species: np.ndarray) -> np.ndarray:
        """Force on each atom, with shape (n_atoms, 2), float64."""
        near = self.pairs(positions_A)
        force = np.zeros_like(positions_A)
        sides_A = np.array(self.box_A or (0.0, 0.0))
        _add_forces(positions_A, species, near.first, near.second, *self.table, sides_A, force)
        return force

    def propagate(self, positions_A: np.ndarray, species: np.ndarray, dt: float, noise: np.ndarray) -> np.ndarray:
        """Positions after as many steps as there is noise for; not wrapped into the box.

        Parameters
        ----------
        positions_A
            (x, y) of each atom [Å], with shape (n_atoms, 2), float64.
        species
            Index of each atom's species, with shape (n_atoms,), int64.
        dt
            Time of one step.
        noise
            Standard normal numbers, with shape (n_steps, n_atoms, 2), float64.

        Raises
        ------
        StructureError
            Atoms move farther in one step than the pair search allows for: the step is too long.
        """
        positions_A = np.array(positions_A, np.float64)
        drift = self.mobility[species] * dt
        kick = np.sqrt(2 * self.kT * drift)
        sides_A = np.array(self.box_A or (0.0, 0.0))
        done = 0
        while done < len(noise):
            near = self.pairs(positions_A, _SKIN_A)
            steps = _run(
                positions_A, species, near.first, near.second, *self.table, sides_A, drift, kick, noise[done:],
                _SKIN_A / 2,
            )  # fmt: skip
            if steps == _TOO_FAR or not np.isfinite(positions_A).all():
                raise StructureError("step of the overdamped dynamics", dt, "a shorter time step: the atoms fly apart")
            done += steps
        return positions_A

    @property
    def table(self) -> tuple[np.ndarray, float]:
        """Slopes over the distance, and where they end [Å]."""
        return self.forces.slope_over_r, self.forces.cutoff_A

    def pairs(self, positions_A: np.ndarray, skin_A: float = 0.0) -> HalfPairs:
        """Pairs within the cut-off and a skin [Å]."""
        reach_A = self.forces.cutoff_A + skin_A
        if self.box_A is not None:
            reach_A = min(reach_A, min(self.box_A) / 2)
        return half_pairs(positions_A, reach_A, self.box_A)


@numba.njit(cache=True)
def _add_forces(
    x: np.ndarray,
    species: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    slope_over_r: np.ndarray,
    cutoff: float,
    sides: np.ndarray,
    force: np.ndarray,
) -> None:
    per_A = (slope_over_r.shape[2] - 1) / cutoff
    # Of an infinitely wide box, for open boundaries.
    per_side_x, per_side_y = (1 / sides[0], 1 / sides[1]) if sides[0] > 0 else (0.0, 0.0)
    for p in range(len(first)):
        i, j = first[p], second[p]
        dx, dy = x[j, 0] - x[i, 0], x[j, 1] - x[i, 1]
        dx -= sides[0] * np.rint(dx * per_side_x)
        dy -= sides[1] * np.rint(dy * per_side_y)
        place = np.sqrt(dx * dx + dy * dy) * per_A
        low = int(place)
        if low < slope_over_r.shape[2] - 1:
            table = slope_over_r[species[i], species[j]]
            slope = table[low] + (place - low) * (table[low + 1] - table[low])
            force[i, 0] += slope * dx
            force[i, 1] += slope * dy
            force[j, 0] -= slope * dx
            force[j, 1] -= slope * dy


@numba.njit(cache=True)
def _run(
    x: np.ndarray,
    species: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    slope_over_r: np.ndarray,
    cutoff: float,
    sides: np.ndarray,
    drift: np.ndarray,
    kick: np.ndarray,
    noise: np.ndarray,
    allowed: float,
) -> int:
    """Move `x` in place until the noise is used up or the list of pairs is out of date.

    Returns the steps taken, or `_TOO_FAR` if the first step alone leaves the list behind.
    """
    start = x.copy()
    force, ahead, guess = np.empty_like(x), np.empty_like(x), np.empty_like(x)
    for step in range(len(noise)):
        force[:] = 0.0
        ahead[:] = 0.0
        _add_forces(x, species, first, second, slope_over_r, cutoff, sides, force)
        for i in range(len(x)):
            for c in range(2):
                guess[i, c] = x[i, c] + drift[i] * force[i, c] + kick[i] * noise[step, i, c]
        _add_forces(guess, species, first, second, slope_over_r, cutoff, sides, ahead)
        largest = 0.0
        for i in range(len(x)):
            for c in range(2):
                x[i, c] += 0.5 * drift[i] * (force[i, c] + ahead[i, c]) + kick[i] * noise[step, i, c]
                largest = max(largest, abs(x[i, c] - start[i, c]))
        # A diagonal displacement is longer by a factor of √2; `largest` is NaN if an atom is lost.
        if not largest * np.sqrt(2.0) <= allowed:
            return step + 1 if step or largest <= 2 * allowed else _TOO_FAR
    return len(noise)
