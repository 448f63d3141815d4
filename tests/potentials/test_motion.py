import numpy as np
import pytest
from known_motion import SYMBOLS, TOY, run, small_and_noisy

from hpcstem.errors import StructureError
from hpcstem.potentials.motion import MotionStatistics
from hpcstem.potentials.trajectory import Trajectory


def walk(rng, n_frames=300, n_atoms=80, step_A=0.02, noise_A=0.0, memory=0.0):
    steps_A = step_A * rng.standard_normal((n_frames, n_atoms, 2))
    for t in range(1, n_frames):
        steps_A[t] += memory * steps_A[t - 1]
    start_A = np.stack(np.meshgrid(np.arange(10.0), np.arange(8.0)), -1).reshape(-1, 2) * 30
    positions_A = start_A + np.cumsum(steps_A, axis=0) + noise_A * rng.standard_normal(steps_A.shape)
    return Trajectory.from_arrays(positions_A, np.arange(n_atoms) % 2, SYMBOLS)


def test_noise_and_diffusion_of_a_free_walk_come_out():
    motion = run(MotionStatistics(SYMBOLS), walk(np.random.default_rng(1), noise_A=0.03)).total
    np.testing.assert_allclose(motion.noise_A2, 0.03**2, rtol=0.1)
    np.testing.assert_allclose(motion.mean_square_A2, 0.02**2 + 2 * 0.03**2, rtol=0.05)
    assert motion.remembered < 0.02


def test_momentum_is_noticed():
    motion = run(MotionStatistics(SYMBOLS), walk(np.random.default_rng(2), memory=0.5)).total
    np.testing.assert_allclose(motion.autocorrelation[:, :3], [[1, 0.5, 0.25]] * 2, atol=0.05)
    assert motion.remembered > 0.4


def test_caging_alone_adds_little():
    noisy, clean = small_and_noisy()
    motion = run(MotionStatistics(SYMBOLS), clean).total
    assert 0 < motion.noise_A2[0] < 3e-4
    assert motion.mean_square_A2[0] == pytest.approx(2 * TOY.kT * 2e-3, rel=0.1)
    shaken = run(MotionStatistics(SYMBOLS), noisy).total
    np.testing.assert_allclose(shaken.noise_A2, 0.05**2, rtol=0.1)
    assert shaken.diffusion_A == pytest.approx(motion.diffusion_A, rel=0.1)


def test_gaps_are_no_steps():
    whole = walk(np.random.default_rng(3), n_frames=40)
    frame = whole.frame + 100 * (whole.frame >= 20)
    gap = Trajectory(frame, whole.start, whole.positions_A, whole.species, whole.track, whole.weight, SYMBOLS)
    analysis = MotionStatistics(SYMBOLS, 2)
    apart = analysis.merge(analysis.process(whole[:20]), analysis.process(whole[20:]))
    np.testing.assert_array_equal(analysis.process(gap).counts, apart.counts)
    np.testing.assert_allclose(analysis.process(gap).products, apart.products)


def test_zero_lags_are_refused():
    with pytest.raises(StructureError, match="lags"):
        MotionStatistics(SYMBOLS, 0)
