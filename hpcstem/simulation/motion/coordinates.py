"""What a relaxation changes: positions in a fixed cell, or positions and the cell together.

References
----------
.. [1] E. B. Tadmor, G. S. Smith, N. Bernstein, E. Kaxiras, Phys. Rev. B 59, 235 (1999),
   https://doi.org/10.1103/PhysRevB.59.235
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from ase import Atoms

from hpcstem.errors import SimulationError
from hpcstem.simulation.engines.engine import ForceSource


class Coordinates(Protocol):
    """Generalised coordinates and forces of a structure, as rows of three."""

    def start(self, positions_A: np.ndarray) -> np.ndarray:
        """Return the coordinates of the start."""
        ...

    def evaluate(self, coordinates: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the energy [eV] and the generalised forces [eV/Å], with the shape of the coordinates."""
        ...

    def atoms(self, coordinates: np.ndarray) -> Atoms:
        """Return the structure."""
        ...

    def atom_forces(self, coordinates: np.ndarray, forces: np.ndarray) -> np.ndarray:
        """Return the forces on the atoms [eV/Å], with shape (n_atoms, 3), float64."""
        ...


@dataclass(frozen=True)
class FixedCell:
    """Positions alone.

    Parameters
    ----------
    structure
        The atoms.
    source
        Energies and forces.
    free
        True for each coordinate that may change, with shape (n_atoms, 3), bool.
    """

    structure: Atoms
    source: ForceSource
    free: np.ndarray

    def start(self, positions_A: np.ndarray) -> np.ndarray:
        """Return the positions."""
        return positions_A

    def evaluate(self, coordinates: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the energy [eV] and the forces on free coordinates [eV/Å]."""
        energy, forces = self.source(coordinates)
        return energy, forces * self.free

    def atoms(self, coordinates: np.ndarray) -> Atoms:
        """Return the structure."""
        found = self.structure.copy()
        found.positions = coordinates
        return found

    def atom_forces(self, coordinates: np.ndarray, forces: np.ndarray) -> np.ndarray:
        """Return the forces."""
        return forces


@dataclass(frozen=True)
class FreeCell:
    """Positions in the undeformed cell, and below them n_atoms times the deformation gradient [1]_.

    Parameters
    ----------
    structure
        The atoms in their periodic cell.
    source
        Energies, forces and stress.
    free
        True for each coordinate that may change, with shape (n_atoms, 3), bool.

    Raises
    ------
    SimulationError
        The structure does not repeat in three directions.
    """

    structure: Atoms
    source: ForceSource
    free: np.ndarray

    def __post_init__(self) -> None:
        if self.structure.cell.rank < 3 or not self.structure.pbc.all():
            periodic = self.structure.pbc.tolist()
            raise SimulationError("cell to relax", f"periodic {periodic}", "a structure that repeats in 3 directions")

    def start(self, positions_A: np.ndarray) -> np.ndarray:
        """Return the coordinates without deformation."""
        return np.concatenate([positions_A, len(positions_A) * np.eye(3)])

    def evaluate(self, coordinates: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the energy [eV] and the generalised forces [eV/Å]."""
        atoms, deformation = self.atoms(coordinates), self._deformation(coordinates)
        energy, forces, stress = self.source.with_stress(atoms.positions, atoms.cell.array)
        virial = -atoms.cell.volume * stress @ np.linalg.inv(deformation).T
        return energy, np.concatenate([(forces * self.free) @ deformation, virial / len(atoms)])

    def atoms(self, coordinates: np.ndarray) -> Atoms:
        """Return the structure in its deformed cell."""
        found, deformation = self.structure.copy(), self._deformation(coordinates)
        found.cell = self.structure.cell.array @ deformation.T
        found.positions = coordinates[:-3] @ deformation.T
        return found

    def atom_forces(self, coordinates: np.ndarray, forces: np.ndarray) -> np.ndarray:
        """Return the forces on the atoms."""
        return forces[:-3] @ np.linalg.inv(self._deformation(coordinates))

    def _deformation(self, coordinates: np.ndarray) -> np.ndarray:
        return coordinates[-3:] / (len(coordinates) - 3)
