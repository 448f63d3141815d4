"""Sheets of atoms with a known answer."""

import numpy as np

from hpcstem.atoms import NO_TRACK, AtomTable


def honeycomb_A(side_A, noise_A, rng, missed=0.0, false=0.0, bond_A=1.42):
    """Square patch of a honeycomb at a random angle; positions in Å, with shape (n, 2)."""
    width, height = np.sqrt(3) * bond_A, 3 * bond_A
    base = np.array([[0, 0], [width / 2, bond_A / 2], [width / 2, 1.5 * bond_A], [0, 2 * bond_A]])
    steps = np.arange(-int(side_A / bond_A) - 3, int(side_A / bond_A) + 4)
    cells = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 1, 2) * [width, height]
    angle = rng.uniform(0, 2 * np.pi)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    atoms = (base + cells).reshape(-1, 2) @ rotation + rng.uniform(0, width, 2)
    atoms += rng.normal(0, noise_A, atoms.shape)
    atoms = atoms[(np.abs(atoms) < side_A / 2).all(axis=1)]
    atoms = atoms[rng.random(len(atoms)) >= missed]
    strays = rng.uniform(-side_A / 2, side_A / 2, (rng.poisson(false * len(atoms)), 2))
    return np.concatenate([atoms, strays]) + side_A / 2


def atom_table(frames_A, species_by_frame=None, pixel_size_A=0.1, movie="movie", first_frame=0):
    """Table of atoms from positions by frame [Å]; carbon unless species are given."""
    positions_A = np.concatenate(frames_A)
    n_atoms = len(positions_A)
    species = np.concatenate(species_by_frame) if species_by_frame else np.full(n_atoms, "C")
    return AtomTable(
        movie=np.full(n_atoms, movie),
        frame=np.repeat(np.arange(len(frames_A)) + first_frame, [len(frame) for frame in frames_A]),
        x_px=positions_A[:, 0] / pixel_size_A,
        y_px=positions_A[:, 1] / pixel_size_A,
        x_A=positions_A[:, 0],
        y_A=positions_A[:, 1],
        species=species,
        probability=np.ones(n_atoms),
        detection=np.ones(n_atoms),
        sigma_A=np.full(n_atoms, 0.05),
        track=np.full(n_atoms, NO_TRACK),
    )
