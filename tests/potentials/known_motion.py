"""Trajectories with a known answer."""

import functools

import numpy as np

from hpcstem.execution import SerialExecutor
from hpcstem.potentials.bases import SplineBasis
from hpcstem.potentials.design import N_DISTANCE_BINS
from hpcstem.potentials.streaming import InMemory, Streamed, segments
from hpcstem.potentials.toy import ToySystem
from hpcstem.potentials.trajectory import Trajectory

TOY = ToySystem()
SYMBOLS = TOY.symbols
MOBILITY = tuple(TOY.mobility)
BASIS = SplineBasis(1.05, 4.5, 32)


@functools.cache
def toy_trajectory(n_frames, interval, key=0, cells=(16, 12)):
    """768 atoms in a periodic box by default."""
    positions_A, species, box_A = TOY.honeycomb(cells, 1.42, 0.2, np.random.SeedSequence([5, 0]))
    seed = np.random.SeedSequence([5, n_frames, round(interval * 1e6), key])
    return TOY.simulate(positions_A, species, box_A, n_frames, interval, seed)


def short_intervals():
    """1,600 frames a thirtieth of the relaxation time apart, made once for all tests."""
    return toy_trajectory(1600, 1e-3)


def small_and_noisy():
    """400 frames of 384 atoms, with localisation noise of 0.05 Å; and the same without."""
    clean = toy_trajectory(400, 2e-3, cells=(12, 8))
    return with_noise(clean, 0.05), clean


def with_noise(trajectory, sigma_A, key=0):
    """The same with localisation noise."""
    noise_A = sigma_A * np.random.default_rng([9, key]).standard_normal(trajectory.positions_A.shape)
    n_atoms = int(trajectory.start[1])
    shape = (len(trajectory), n_atoms, 2)
    positions_A = (trajectory.positions_A + noise_A).reshape(shape)
    return Trajectory.from_arrays(positions_A, trajectory.species[:n_atoms], trajectory.symbols, trajectory.box_A)


def run(analysis, trajectory, n_blocks=16, piece=64):
    """Blocks of an analysis of trajectories."""
    with SerialExecutor() as executor:
        return executor.run(Streamed(analysis, piece), segments(InMemory(trajectory), n_blocks))


def error_of(potential, pair, distances=None):
    """Root mean square error of U over the pairs seen."""
    r_A = (np.arange(N_DISTANCE_BINS) + 0.5) / N_DISTANCE_BINS * potential.basis.cutoff_A
    counts = potential.distances[pair] if distances is None else distances[pair]
    seen = counts >= 20
    difference = potential.energy(pair, r_A) - TOY.potentials[pair].potential(r_A)
    return float(np.sqrt(np.average(difference[seen] ** 2, weights=counts[seen])))
