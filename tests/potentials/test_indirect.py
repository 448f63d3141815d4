import numpy as np
import pytest
from known_motion import BASIS, MOBILITY, SYMBOLS, TOY, error_of, run, toy_trajectory

from hpcstem.errors import StructureError
from hpcstem.execution import SerialExecutor
from hpcstem.potentials.equations import ForceEquations
from hpcstem.potentials.fitted import solve
from hpcstem.potentials.indirect import SimulatedMoments, indirect_inference
from hpcstem.potentials.likelihood import Likelihood, whitening
from hpcstem.potentials.streaming import InMemory, segments

INTERVAL = 0.02
EQUATIONS = ForceEquations(BASIS, SYMBOLS, INTERVAL, "euler", 0, MOBILITY)


@pytest.fixture(scope="module")
def trajectory():
    """320 atoms, 40 frames more than half a relaxation time apart."""
    return toy_trajectory(40, INTERVAL, cells=(10, 8))


def test_motion_simulated_with_the_true_forces_has_the_observed_moments(trajectory):
    r_A = np.linspace(1.1, 4.5, 2000)
    weight = np.minimum(1, np.exp(-TOY.potentials[0].potential(r_A)))
    truth = np.stack(
        [
            np.linalg.lstsq(BASIS.values(r_A) * weight[:, None], p.potential(r_A) * weight, rcond=None)[0]
            for p in TOY.potentials
        ]
    )
    observed = run(EQUATIONS, trajectory).total
    simulated = run(SimulatedMoments(EQUATIONS, truth, TOY.kT, 50, 1), trajectory).total
    likelihood = Likelihood.of(observed)
    unit = np.sqrt(likelihood.noise_power * observed.weight / likelihood.n_values)
    z = whitening(observed.gram).T @ (observed.moment - simulated.moment) / unit
    assert 0.75 < np.sqrt(np.mean(z**2)) < 1.25
    h = truth.ravel()
    assert abs(h @ (observed.moment - simulated.moment)) < 3 * unit * np.sqrt(h @ observed.gram @ h)
    assert simulated.step_power == pytest.approx(observed.step_power, rel=0.02)
    assert simulated.weight == pytest.approx(observed.weight)


def test_indirect_inference_mends_what_the_trapezoid_loses(trajectory):
    with SerialExecutor() as executor:
        found = indirect_inference(executor.run, segments(InMemory(trajectory), 8), EQUATIONS, seed=1, n_steps=40)
    trapezoid = ForceEquations(BASIS, SYMBOLS, INTERVAL, "trapezoid", 0, MOBILITY)
    plain = solve(run(trapezoid, trajectory, 8), trapezoid)
    assert error_of(found, 0) < 0.6 * error_of(plain, 0)
    well_A, depth = found.well(0)
    assert depth == pytest.approx(1.0, abs=3 * float(found.deviation(0, np.array([well_A]))[0]))
    assert found.kT == pytest.approx(TOY.kT, rel=0.03)


def test_no_convergence_is_said(trajectory):
    with SerialExecutor() as executor, pytest.raises(StructureError, match="indirect inference; got a change of"):
        indirect_inference(executor.run, segments(InMemory(trajectory[:10]), 2), EQUATIONS, 1, n_steps=5, max_rounds=1)
