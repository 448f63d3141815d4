import numpy as np
import pytest
from known_motion import TOY

from hpcstem.errors import StructureError
from hpcstem.potentials.dynamics import ForceTable, Langevin
from hpcstem.potentials.pairs import half_pairs

SPRING = 4.0


def spring(kT, mobility=(1.0, 1.0)):
    """A bond of rest length 3 Å: distances are Boltzmann-distributed."""
    slope = [lambda r: SPRING * (r - 3.0)] * 3
    return Langevin(ForceTable.of(slope, 2, 12.0), kT, np.array(mobility))


def test_forces_are_those_of_the_potential():
    rng = np.random.default_rng(1)
    positions_A, species, box_A = TOY.honeycomb((5, 4), 1.42, 0.3, np.random.SeedSequence(1))
    positions_A = positions_A + 0.05 * rng.standard_normal(positions_A.shape)
    got = TOY.langevin(box_A).force(positions_A, species)
    wanted = np.zeros_like(got)
    pairs = half_pairs(positions_A, TOY.cutoff_A, box_A)
    for i, j, vector_A, r_A in zip(pairs.first, pairs.second, pairs.vector_A, pairs.distance_A, strict=True):
        force = TOY.potentials[species[i] + species[j]].slope(r_A) * vector_A / r_A
        wanted[i] += force
        wanted[j] -= force
    np.testing.assert_allclose(got, wanted, atol=1e-3 * np.abs(wanted).max())


def test_a_bond_has_the_boltzmann_distribution_and_relaxes_at_its_rate():
    rng = np.random.default_rng(2)
    langevin, species = spring(0.3, (1.0, 0.5)), np.array([0, 1])
    dt, n_steps = 0.005, 40
    vectors = []
    positions_A = np.array([[0.0, 0.0], [3.0, 0.0]])
    for _ in range(6000):
        positions_A = langevin.propagate(positions_A, species, dt, rng.standard_normal((n_steps, 2, 2)))
        vectors.append(positions_A[1] - positions_A[0])
    r_A = np.linalg.norm(vectors, axis=1)
    # In the plane p(r) is r exp(-U/kT): its mean is by integration.
    grid = np.linspace(0, 8, 4000)
    density = grid * np.exp(-SPRING * (grid - 3) ** 2 / 2 / 0.3)
    mean = np.average(grid, weights=density)
    spread = np.average((grid - mean) ** 2, weights=density)
    assert r_A.mean() == pytest.approx(mean, abs=0.01)
    assert r_A.var() == pytest.approx(spread, rel=0.06)
    rate = np.exp(-SPRING * 1.5 * dt * n_steps)
    assert np.corrcoef(r_A[1:], r_A[:-1])[0, 1] == pytest.approx(rate, abs=0.04)


def test_opposite_noise_moves_free_atoms_oppositely():
    langevin = Langevin(ForceTable.of([np.zeros_like], 1, 3.0), 0.5, np.array([1.0]))
    noise = np.random.default_rng(3).standard_normal((10, 4, 2))
    start_A = np.arange(8.0).reshape(4, 2) * 20
    ahead = langevin.propagate(start_A, np.zeros(4, int), 1e-4, noise) - start_A
    back = langevin.propagate(start_A, np.zeros(4, int), 1e-4, -noise) - start_A
    np.testing.assert_allclose(ahead, -back)
    np.testing.assert_allclose(ahead, np.sqrt(1e-4) * noise.sum(axis=0))


def test_too_long_a_step_is_an_error():
    positions_A, species, box_A = TOY.honeycomb((4, 3), 1.42, 0.2, np.random.SeedSequence(1))
    with pytest.raises(StructureError, match="step of the overdamped dynamics"):
        TOY.langevin(box_A).propagate(positions_A, species, 1e6, np.ones((5, *positions_A.shape)))
