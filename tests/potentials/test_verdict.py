import numpy as np
import pytest
from known_motion import BASIS, MOBILITY, SYMBOLS, run, short_intervals, small_and_noisy
from known_sheets import honeycomb_A

from hpcstem.potentials.bases import SplineBasis
from hpcstem.potentials.equations import ForceEquations
from hpcstem.potentials.fitted import solve
from hpcstem.potentials.trajectory import Trajectory
from hpcstem.potentials.verdict import past_equations, verdict

WIDE = SplineBasis(1.0, 6.0, 32)


def judged(trajectory, interval, basis, mobility=None):
    equations = ForceEquations(basis, SYMBOLS, interval, "trapezoid", 0, mobility)
    coefficients = solve(run(equations, trajectory), equations).coefficients
    past = past_equations(basis, SYMBOLS, interval, mobility)
    return verdict(run(past, trajectory), past, coefficients)


def sheet(rng):
    sites_A = honeycomb_A(40, 0.0, rng)
    return sites_A, (rng.random(len(sites_A)) < 0.1).astype(int)


@pytest.mark.parametrize("sigma_A", [0.03, 0.1])
@pytest.mark.parametrize("seed", [1, 2])
def test_an_einstein_crystal_is_not_identifiable(sigma_A, seed):
    rng = np.random.default_rng(seed)
    sites_A, species = sheet(rng)
    frames_A = sites_A + sigma_A * rng.standard_normal((60, *sites_A.shape))
    found = judged(Trajectory.from_arrays(frames_A, species, SYMBOLS), 1.0, WIDE)
    assert not found.identifiable
    assert not any(found.pair_identifiable)
    assert found.sentences()[0].startswith("not identifiable")


@pytest.mark.parametrize("seed", [1, 2])
def test_sites_that_hold_atoms_with_memory_are_not_taken_for_pair_forces(seed):
    rng = np.random.default_rng(seed)
    sites_A, species = sheet(rng)
    frames_A, offset_A = np.empty((120, *sites_A.shape)), np.zeros_like(sites_A)
    for frame in frames_A:
        frame[:] = sites_A + offset_A
        offset_A = 0.8 * offset_A + 0.06 * rng.standard_normal(offset_A.shape)
    found = judged(Trajectory.from_arrays(frames_A, species, SYMBOLS), 1.0, WIDE)
    assert found.tether_share > 0.05
    assert not found.identifiable


def test_the_toy_is_identifiable():
    found = judged(short_intervals()[:500], 1e-3, BASIS, MOBILITY)
    assert found.identifiable
    assert all(found.pair_identifiable)
    assert (found.first_stage > 1000).all()
    assert 0 < found.n_directions <= found.n_unknowns == 96


def test_noise_takes_the_rare_pair_first():
    found = judged(small_and_noisy()[0], 2e-3, BASIS, MOBILITY)
    assert found.identifiable
    assert found.pair_identifiable[0]
    assert not found.pair_identifiable[2]
    assert "Si-Si: not identifiable" in " ".join(found.sentences())
