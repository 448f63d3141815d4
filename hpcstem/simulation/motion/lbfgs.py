"""Limited-memory quasi-Newton steps with all of their state in one value.

References
----------
.. [1] J. Nocedal, Math. Comput. 35, 773 (1980), https://doi.org/10.1090/S0025-5718-1980-0572855-7
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

MEMORY = 100
MAX_STEP_A = 0.2
_CURVATURE_EV_A2 = 70.0


@dataclass(frozen=True)
class LBFGS:
    """History of the last steps.

    Parameters
    ----------
    moves
        Changes of the positions [Å], with shape (n_kept, n_atoms, 3), float64.
    force_changes
        Changes of the forces, old minus new [eV/Å], with the same shape, float64.
    """

    moves: np.ndarray
    force_changes: np.ndarray

    @classmethod
    def start(cls, n_atoms: int) -> LBFGS:
        """Return the state without history."""
        return cls(np.empty((0, n_atoms, 3)), np.empty((0, n_atoms, 3)))

    def move(self, forces: np.ndarray) -> np.ndarray:
        """Return the next change of the positions [Å], with shape (n_atoms, 3), float64.

        No atom moves further than 0.2 Å; all moves are scaled together.

        Parameters
        ----------
        forces
            Forces where the atoms are [eV/Å], with shape (n_atoms, 3), float64.
        """
        # The two-loop recursion of [1]_.
        q = -forces
        weights = []
        for s, y in zip(self.moves[::-1], self.force_changes[::-1], strict=True):
            weight = np.vdot(s, q) / np.vdot(y, s)
            q = q - weight * y
            weights.append(weight)
        z = q / _CURVATURE_EV_A2
        for s, y, weight in zip(self.moves, self.force_changes, weights[::-1], strict=True):
            z = z + s * (weight - np.vdot(y, z) / np.vdot(y, s))
        longest = np.sqrt((z**2).sum(axis=1).max())
        return -z if longest < MAX_STEP_A else -z * (MAX_STEP_A / longest)

    def updated(self, move: np.ndarray, old_forces: np.ndarray, new_forces: np.ndarray) -> LBFGS:
        """Return the state after a move; a move without positive curvature leaves it as it is.

        Parameters
        ----------
        move
            Change of the positions [Å], with shape (n_atoms, 3), float64.
        old_forces, new_forces
            Forces before and after [eV/Å], with shape (n_atoms, 3), float64.
        """
        change = old_forces - new_forces
        if np.vdot(change, move) <= 1e-12:
            return self
        moves = np.concatenate([self.moves, move[None]])[-MEMORY:]
        return LBFGS(moves, np.concatenate([self.force_changes, change[None]])[-MEMORY:])
