"""First velocities of molecular dynamics, and how many degrees of freedom they have."""

from __future__ import annotations

import numpy as np
from ase import Atoms, units

_VACUUM_A = 4.0
"""Width of the vacuum across which images of a structure do not hold each other, beyond the contact of atoms [Å]."""


def maxwell_boltzmann(
    atoms: Atoms, free: np.ndarray, temperature_K: float, seed: np.random.SeedSequence
) -> tuple[np.ndarray, int]:
    """Return random velocities at exactly `temperature_K`, and their number of degrees of freedom.

    Along an axis on which no atom is fixed the total momentum is zero. Where nothing is fixed, and vacuum parts the
    structure from its images on each periodic axis, the angular momentum is zero too. The equations of motion keep both
    at zero, so they do not count as degrees of freedom.

    Parameters
    ----------
    atoms
        The structure.
    free
        True for each coordinate that may change, with shape (n_atoms, 3), bool.
    temperature_K
        Temperature [K].
    seed
        Random stream.

    Returns
    -------
    velocities
        Velocities in ASE's unit Å·sqrt(eV/u), with shape (n_atoms, 3), float64.
    n_degrees
        Number of degrees of freedom.
    """
    masses = atoms.get_masses()[:, None]
    kT = units.kB * temperature_K
    velocities = np.random.default_rng(seed).standard_normal((len(atoms), 3)) * np.sqrt(kT / masses) * free
    n_degrees = int(free.sum())
    along = free.all(axis=0)
    velocities -= along * (masses * velocities).sum(axis=0) / masses.sum()
    n_degrees -= int(along.sum())
    whole_A = _apart_from_images(atoms) if free.all() else None
    if whole_A is not None:
        velocities, n_rotations = _without_rotation(whole_A, masses, velocities)
        n_degrees -= n_rotations
    if n_degrees > 0:
        velocities *= np.sqrt(n_degrees * kT / (masses * velocities**2).sum())
    return velocities, n_degrees


def _apart_from_images(atoms: Atoms) -> np.ndarray | None:
    """Positions of the structure brought together over the edges of its cell [Å]; None if it reaches across."""
    cell = atoms.cell.complete()
    fractions = cell.scaled_positions(atoms.positions)
    for axis in np.flatnonzero(atoms.pbc):
        along = np.sort(fractions[:, axis] % 1.0)
        gaps = np.diff(along, append=along[0] + 1.0)
        widest = int(gaps.argmax())
        # The planes of lattice points across an axis are as far apart as the reciprocal vector is short.
        if gaps[widest] < _VACUUM_A * np.linalg.norm(cell.reciprocal()[axis]):
            return None
        start = along[(widest + 1) % len(along)]
        fractions[:, axis] = (fractions[:, axis] - start) % 1.0
    return np.asarray(cell.cartesian_positions(fractions))


def _without_rotation(positions: np.ndarray, masses: np.ndarray, velocities: np.ndarray) -> tuple[np.ndarray, int]:
    arms = positions - (masses * positions).sum(axis=0) / masses.sum()
    momentum = (masses * np.cross(arms, velocities)).sum(axis=0)
    inertia = (masses * (arms**2).sum(axis=1, keepdims=True)).sum() * np.eye(3) - (masses * arms).T @ arms
    # A linear molecule has two rotations, an atom none; the pseudo-inverse leaves the others alone.
    n_rotations = int(np.linalg.matrix_rank(inertia, tol=1e-6, hermitian=True))
    spin = np.linalg.pinv(inertia, rcond=1e-9, hermitian=True) @ momentum
    return velocities - np.cross(spin, arms), n_rotations
