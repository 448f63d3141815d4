"""A system with a known answer: two species with Lennard-Jones forces in overdamped motion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from ase.data import atomic_masses, atomic_numbers

from hpcstem.errors import StructureError
from hpcstem.potentials.dynamics import ForceTable, Langevin
from hpcstem.potentials.trajectory import Trajectory


@dataclass(frozen=True)
class LennardJones:
    """4 ε [(σ/r)¹² - (σ/r)⁶], cut off and shifted to zero there.

    Parameters
    ----------
    epsilon
        Depth of the well before the shift, in the caller's unit of energy.
    sigma_A
        Distance of zero energy before the shift [Å].
    cutoff_A
        Where the potential ends [Å].
    """

    epsilon: float
    sigma_A: float
    cutoff_A: float

    def potential(self, r_A: np.ndarray) -> np.ndarray:
        """Energy at each distance, with the shape of `r_A`, float64."""
        return np.where(r_A < self.cutoff_A, self._unshifted(r_A) - self._unshifted(self.cutoff_A), 0.0)

    def slope(self, r_A: np.ndarray) -> np.ndarray:
        """Derivative [energy/Å], with the shape of `r_A`, float64."""
        sixth = (self.sigma_A / r_A) ** 6
        return np.where(r_A < self.cutoff_A, 4 * self.epsilon * (6 * sixth - 12 * sixth**2) / r_A, 0.0)

    @property
    def minimum_A(self) -> float:
        """Distance of the minimum [Å]."""
        return self.sigma_A * 2 ** (1 / 6)

    def _unshifted(self, r_A: np.ndarray | float) -> Any:
        sixth = (self.sigma_A / r_A) ** 6
        return 4 * self.epsilon * (sixth**2 - sixth)


@dataclass(frozen=True)
class ToySystem:
    """Two species A and B with the masses of carbon and silicon, whose mobilities are inverse to the masses.

    Parameters
    ----------
    kT
        Thermal energy in units of the depth of A–A.
    epsilon
        Depths of A–A, A–B and B–B.
    sigma_A
        Zeros of A–A, A–B and B–B [Å].
    cutoff_A
        Where the potentials end [Å].
    """

    kT: float = 0.5
    epsilon: tuple[float, float, float] = (1.0, 0.9, 0.8)
    sigma_A: tuple[float, float, float] = (1.265, 1.32, 1.375)
    cutoff_A: float = 4.5
    symbols: tuple[str, str] = ("C", "Si")

    @property
    def potentials(self) -> tuple[LennardJones, ...]:
        """Potentials of A–A, A–B and B–B."""
        return tuple(LennardJones(e, s, self.cutoff_A) for e, s in zip(self.epsilon, self.sigma_A, strict=True))

    @property
    def mobility(self) -> np.ndarray:
        """Mobility of each species relative to the first's, with shape (2,), float64."""
        mass = atomic_masses[[atomic_numbers[symbol] for symbol in self.symbols]]
        return mass[0] / mass

    def langevin(self, box_A: tuple[float, float] | None) -> Langevin:
        """Forces and noise of this system."""
        slopes = [potential.slope for potential in self.potentials]
        return Langevin(ForceTable.of(slopes, 2, self.cutoff_A), self.kT, self.mobility, box_A)

    def honeycomb(
        self, n_cells: tuple[int, int], bond_A: float, share_of_B: float, seed: np.random.SeedSequence
    ) -> tuple[np.ndarray, np.ndarray, tuple[float, float]]:
        """First frame: a periodic honeycomb with species drawn at random.

        Parameters
        ----------
        n_cells
            Rectangular cells of four atoms in x and y.
        bond_A
            Distance of neighbours [Å].
        share_of_B
            Fraction of the second species.
        seed
            Of the draw.

        Returns
        -------
        positions_A, species, box_A
            With shapes (n_atoms, 2) and (n_atoms,), and the sides of the box [Å].
        """
        width_A, height_A = np.sqrt(3) * bond_A, 3 * bond_A
        base = np.array([[0, 0], [width_A / 2, bond_A / 2], [width_A / 2, 1.5 * bond_A], [0, 2 * bond_A]])
        corners = np.stack(np.meshgrid(*map(np.arange, n_cells), indexing="ij"), axis=-1).reshape(-1, 1, 2)
        positions_A = (base + corners * [width_A, height_A]).reshape(-1, 2)
        n_second = round(share_of_B * len(positions_A))
        species = np.zeros(len(positions_A), np.int64)
        species[np.random.default_rng(seed).permutation(len(positions_A))[:n_second]] = 1
        return positions_A, species, (n_cells[0] * width_A, n_cells[1] * height_A)

    def simulate(
        self,
        positions_A: np.ndarray,
        species: np.ndarray,
        box_A: tuple[float, float] | None,
        n_frames: int,
        interval: float,
        seed: np.random.SeedSequence,
        dt: float = 1e-4,
        settling_time: float = 0.5,
        first_frame: int = 0,
    ) -> Trajectory:
        """Move the atoms and take a snapshot every `interval`.

        Parameters
        ----------
        positions_A, species
            First frame, with shapes (n_atoms, 2) and (n_atoms,).
        box_A
            Sides of a periodic rectangle [Å]; None for open boundaries.
        n_frames
            Snapshots to take.
        interval
            Time between snapshots, a multiple of `dt`.
        seed
            Of the noise.
        dt
            Time of one step.
        settling_time
            Time before the first snapshot.
        first_frame
            Number of the first snapshot.

        Raises
        ------
        StructureError
            The interval is not a multiple of the step, or the atoms fly apart.
        """
        n_steps = round(interval / dt)
        if n_steps < 1 or abs(n_steps * dt - interval) > 1e-9 * interval:
            raise StructureError("interval of the toy system", interval, f"a multiple of the step, {dt}")
        langevin, rng = self.langevin(box_A), np.random.default_rng(seed)
        # A first frame out of nature has pairs far inside the repulsion: it is let go in much shorter steps.
        for length in (1e-3, 1e-2, 1e-1):
            positions_A = langevin.propagate(
                positions_A, species, dt * length, rng.standard_normal((100, *positions_A.shape))
            )
        for _ in range(round(settling_time / (100 * dt))):
            positions_A = langevin.propagate(positions_A, species, dt, rng.standard_normal((100, *positions_A.shape)))
        frames_A = np.empty((n_frames, *positions_A.shape))
        for frame in range(n_frames):
            frames_A[frame] = positions_A
            positions_A = langevin.propagate(
                positions_A, species, dt, rng.standard_normal((n_steps, *positions_A.shape))
            )
        return Trajectory.from_arrays(frames_A, species, self.symbols, box_A, first_frame)
