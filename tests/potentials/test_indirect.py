from dataclasses import replace

import numpy as np
import pytest
from known_motion import BASIS, MOBILITY, SYMBOLS, TOY, error_of, run, toy_trajectory

from hpcstem.config import checked
from hpcstem.errors import StructureError
from hpcstem.execution import SerialExecutor
from hpcstem.potentials.equations import ForceEquations
from hpcstem.potentials.fitted import solve
from hpcstem.potentials.indirect import indirect_inference
from hpcstem.potentials.likelihood import whitening
from hpcstem.potentials.response import Response
from hpcstem.potentials.settings import FitSettings
from hpcstem.potentials.simulated import SimulatedMotion
from hpcstem.potentials.streaming import InMemory
from hpcstem.potentials.study import fit
from hpcstem.potentials.three_body import ThreeBodyBasis

INTERVAL = 0.02
EQUATIONS = ForceEquations(BASIS, SYMBOLS, INTERVAL, "euler", 0, MOBILITY)
NEAREST_A = np.array([1.16, 1.22, 1.28])


@pytest.fixture(scope="module")
def trajectory():
    """320 atoms, 40 frames more than half a relaxation time apart."""
    return toy_trajectory(40, INTERVAL, cells=(10, 8))


@pytest.fixture(scope="module")
def truth():
    """Motion under the true potentials."""
    r_A = np.linspace(1.1, 4.5, 2000)
    weight = np.minimum(1, np.exp(-TOY.potentials[0].potential(r_A)))
    coefficients = [
        np.linalg.lstsq(BASIS.values(r_A) * weight[:, None], p.potential(r_A) * weight, rcond=None)[0]
        for p in TOY.potentials
    ]
    return SimulatedMotion(EQUATIONS, np.stack(coefficients), NEAREST_A, TOY.kT, 50, 1)


def test_motion_simulated_with_the_true_forces_has_the_observed_moments_within_their_noise(trajectory, truth):
    observed, simulated = run(EQUATIONS, trajectory).total, run(truth, trajectory).total
    noise = run(Response(truth, 0.0), trajectory).total.noise
    left = observed.moment - simulated.moment
    z = whitening(noise).T @ left
    assert 0.8 < np.sqrt(np.mean(z**2)) < 1.2
    h = truth.coefficients.ravel()
    assert abs(h @ left) < 3 * np.sqrt(h @ noise @ h)
    assert simulated.step_power == pytest.approx(observed.step_power, rel=0.02)


def test_the_response_is_the_derivative_of_the_simulated_moments(trajectory, truth):
    few = trajectory[:10]
    design, noise = (getattr(Response(truth, 0.0).process(few), name) for name in ("design", "noise"))
    spread = np.sqrt(np.diag(noise))
    seen = spread > 0
    ways = {"depth": (truth.coefficients, 0.01)}
    for column in (4, 6, 10, 20, 38):
        ways[str(column)] = np.eye(truth.coefficients.size)[column].reshape(truth.coefficients.shape), 0.02
    for name, (way, size) in ways.items():
        up, down = (replace(truth, coefficients=truth.coefficients + s * size * way).process(few) for s in (1, -1))
        change = ((up.moment - down.moment) / (2 * size))[seen] / spread[seen]
        found = (design @ way.ravel())[seen] / spread[seen]
        assert found @ change / (change @ change) == pytest.approx(1, abs=0.12), name
        assert np.linalg.norm(found - change) < 0.25 * np.linalg.norm(change), name


def test_atoms_nearer_than_any_seen_are_pushed_as_at_the_nearest_distance_seen(truth):
    hole = truth.coefficients + np.where(np.arange(BASIS.n_columns) < 1, -50.0, 0.0)
    force = replace(truth, coefficients=hole).langevin(None).force
    for pair in ((0, 0), (0, 1), (1, 1)):
        pushes = [
            force(np.array([[0.0, 0.0], [r_A, 0.0]]), np.array(pair))[1, 0]
            for r_A in (0.8, 1.0, NEAREST_A[sum(pair)] - 0.01)
        ]
        np.testing.assert_allclose(pushes, pushes[0], rtol=0.02)


def test_indirect_inference_mends_what_the_trapezoid_loses(trajectory):
    found = indirect_inference(lambda one, name: run(one, trajectory, 8), EQUATIONS, seed=1, n_steps=40)
    trapezoid = ForceEquations(BASIS, SYMBOLS, INTERVAL, "trapezoid", 0, MOBILITY)
    plain = solve(run(trapezoid, trajectory, 8), trapezoid)
    assert error_of(found, 0) < 0.6 * error_of(plain, 0)
    well_A, depth = found.well(0)
    assert depth == pytest.approx(1.0, abs=3 * float(found.deviation(0, np.array([well_A]))[0]))
    assert found.kT == pytest.approx(TOY.kT, rel=0.03)


def test_a_fit_that_was_stopped_goes_on_from_what_it_had_simulated(trajectory, tmp_path, monkeypatch):
    values = {"interval_s": INTERVAL, "species": SYMBOLS, "mobility": MOBILITY, "estimator": "indirect"}
    values |= {"low_A": 1.05, "cutoff_A": 4.5, "functions": 12, "blocks": 4, "steps_per_interval": 40}
    settings = checked(FitSettings, values, "fit")
    process, done, allowed = SimulatedMotion.process, [], [6]

    def counted(motion, batch):
        if len(done) in allowed:
            raise KeyboardInterrupt
        sums = process(motion, batch)
        done.append(1)
        return sums

    def fitted(folder):
        with SerialExecutor() as executor:
            return fit(executor.run, InMemory(trajectory[:20]), settings, tmp_path / folder)

    monkeypatch.setattr(SimulatedMotion, "process", counted)
    with pytest.raises(KeyboardInterrupt):
        fitted("stopped")
    allowed.clear()
    again = fitted("stopped")
    n_in_two_goes = len(done)
    whole = fitted("whole")
    np.testing.assert_array_equal(again.potential.coefficients, whole.potential.coefficients)
    assert len(done) == 2 * n_in_two_goes
    assert not any("use --estimator indirect" in line for line in whole.sentences())


def test_what_cannot_be_done_is_said(trajectory):
    def sums(one, name):
        return run(one, trajectory[:10], 2)

    with pytest.raises(StructureError, match="indirect inference; got a change of"):
        indirect_inference(sums, EQUATIONS, 1, n_steps=5, max_rounds=1)
    with pytest.raises(StructureError, match="triples are not simulated"):
        indirect_inference(sums, replace(EQUATIONS, three_body=ThreeBodyBasis(1.9)), 1)
