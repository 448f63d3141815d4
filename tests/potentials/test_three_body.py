from dataclasses import replace

import ase
import numpy as np
import pytest
from ase.calculators.fd import calculate_numerical_forces
from known_motion import BASIS, TOY, run

from hpcstem.config import checked
from hpcstem.errors import ConfigError, StructureError
from hpcstem.execution import SerialExecutor
from hpcstem.potentials.dynamics import ForceTable, Langevin
from hpcstem.potentials.equations import ForceEquations
from hpcstem.potentials.export import PairCalculator, read_potential, write_potential
from hpcstem.potentials.fitted import solve
from hpcstem.potentials.results import write_results
from hpcstem.potentials.settings import FitSettings
from hpcstem.potentials.streaming import InMemory
from hpcstem.potentials.study import fit
from hpcstem.potentials.three_body import ThreeBodyBasis, triple_kinds
from hpcstem.potentials.trajectory import Trajectory

INTERVAL, STEPS, KT = 2e-3, 10, 0.3
CUTOFF_A = 2.1
STRENGTH = 600.0


def pair_motion(box_A):
    return Langevin(ForceTable.of([TOY.potentials[0].slope], 1, 4.5), KT, np.ones(1), box_A)


def bend(r_A, angle):
    """Energy of three atoms that like 120°: Stillinger and Weber's form."""
    return STRENGTH * (1 - r_A / CUTOFF_A) ** 4 * (np.cos(angle) + 0.5) ** 2


BENDING = STRENGTH * np.array([7 / 12, 1.0, 2 / 3, 0.0, 0.0])
"""The same in Legendre's polynomials."""


@pytest.fixture(scope="module")
def trajectory():
    """96 atoms with Lennard-Jones and bending forces, 400 frames."""
    x_A, species, box_A = TOY.honeycomb((6, 4), 1.42, 0.0, np.random.SeedSequence(3))
    langevin = pair_motion(box_A)
    rng, dt = np.random.default_rng(4), INTERVAL / STEPS
    frames_A = np.empty((400, *x_A.shape))
    bends, matrix, energy = ThreeBodyBasis(CUTOFF_A), np.zeros((*x_A.shape, 5)), np.zeros(5)
    for step in range(-1000, STEPS * len(frames_A)):
        if step >= 0 and step % STEPS == 0:
            frames_A[step // STEPS] = x_A
        matrix[:] = 0.0
        bends.add_forces(matrix, energy, x_A, species, 1, box_A)
        force = langevin.force(x_A, species) + matrix @ BENDING
        x_A = x_A + dt * force + np.sqrt(2 * KT * dt) * rng.standard_normal(x_A.shape)
    return Trajectory.from_arrays(frames_A, species, ("C",), box_A)


def fitted(trajectory, three_body=None):
    equations = ForceEquations(BASIS, ("C",), INTERVAL, three_body=three_body)
    return solve(run(equations, trajectory), equations)


@pytest.fixture(scope="module")
def potential(trajectory):
    return fitted(trajectory, ThreeBodyBasis(CUTOFF_A))


def test_the_bending_energy_is_found(potential):
    angle = np.radians(np.linspace(85, 170, 40))
    found, deviation = potential.three_body_energy(0, 1.45, angle)
    wanted = bend(1.45, angle)
    assert np.abs(found - wanted).max() < 0.25 * np.ptp(wanted)
    assert np.mean(np.abs(found - wanted) < 1.96 * deviation) > 0.8
    assert np.degrees(angle[np.argmin(found)]) == pytest.approx(120, abs=6)


def test_pairs_alone_are_wrong_where_atoms_bend(trajectory, potential):
    x_A, box_A = trajectory.positions_A[trajectory.rows(200)], trajectory.box_A
    atoms = ase.Atoms(f"C{len(x_A)}", np.column_stack([x_A, np.zeros(len(x_A))]), cell=[*box_A, 20], pbc=[1, 1, 0])
    matrix = np.zeros((*x_A.shape, 5))
    ThreeBodyBasis(CUTOFF_A).add_forces(matrix, np.zeros(5), x_A, np.zeros(len(x_A), np.int64), 1, box_A)
    truth = pair_motion(box_A).force(x_A, np.zeros(len(x_A), np.int64)) + matrix @ BENDING
    errors = []
    for found in (potential, fitted(trajectory)):
        atoms.calc = PairCalculator(found)
        errors.append(np.linalg.norm(atoms.get_forces()[:, :2] - truth) / np.linalg.norm(truth))
    assert errors[0] < 0.06 < 0.12 < errors[1]
    # The truth is 1: what bends is taken for what pairs do.
    assert potential.well(0)[1] == pytest.approx(1.0, abs=0.3)
    assert found.well(0)[1] > 5


def test_a_fit_with_triples_writes_them(trajectory, tmp_path):
    settings = FitSettings(
        interval_s=INTERVAL, species=("C",), low_A=1.05, cutoff_A=4.5, blocks=8,
        three_body={"cutoff_A": CUTOFF_A, "radial": 2},
    )  # fmt: skip
    with SerialExecutor() as executor:
        study = fit(executor.run, InMemory(trajectory[:60]), settings)
    write_results(tmp_path, study, settings)
    assert read_potential(tmp_path / "potential.npz").three_body == ThreeBodyBasis(CUTOFF_A, 2, 5)
    assert (tmp_path / "three_body.png").read_bytes().startswith(b"\x89PNG")
    assert "without the three-body term" in (tmp_path / "lammps.table").read_text()


def two_species(potential, n_radial, rng):
    """The same with coefficients of two species drawn at random."""
    basis = ThreeBodyBasis(CUTOFF_A, n_radial, 5)
    return replace(
        potential, symbols=("C", "Si"), mobility=(1.0, 1.0), coefficients=np.repeat(potential.coefficients, 3, axis=0),
        three_body=basis, three_body_coefficients=rng.normal(0, 50, (len(triple_kinds(2)), basis.n_columns)),
    )  # fmt: skip


def test_three_atoms_have_the_energy_of_their_angle(potential):
    angle = 1.9
    places_A = [[0, 0, 0], [1.45, 0, 0], [1.45 * np.cos(angle), 1.45 * np.sin(angle), 0]]
    bent = replace(potential, coefficients=0 * potential.coefficients, three_body_coefficients=BENDING[None])
    atoms = ase.Atoms("C3", places_A)
    atoms.calc = PairCalculator(bent)
    assert atoms.get_potential_energy() == pytest.approx(bend(1.45, angle))
    assert bent.three_body_energy(0, 1.45, np.array([angle]))[0] == pytest.approx(bend(1.45, angle))


@pytest.mark.parametrize("n_radial", [1, 3])
def test_forces_are_minus_the_gradient_and_files_come_back(potential, n_radial, tmp_path):
    rng = np.random.default_rng(6)
    grid_A = np.stack(np.meshgrid(np.arange(3.0), np.arange(3.0)), -1).reshape(-1, 2) * 1.45
    atoms = ase.Atoms("C5Si4", np.column_stack([grid_A + 0.1 * rng.standard_normal(grid_A.shape), np.zeros(9)]))
    drawn = two_species(potential, n_radial, rng)
    write_potential(drawn, tmp_path / "potential.npz")
    atoms.calc = PairCalculator(read_potential(tmp_path / "potential.npz"))
    np.testing.assert_allclose(atoms.get_forces(), calculate_numerical_forces(atoms, eps=1e-5), atol=1e-4)
    energy = atoms.get_potential_energy()
    atoms.calc = PairCalculator(replace(drawn, three_body=None, three_body_coefficients=None))
    assert abs(energy - atoms.get_potential_energy()) > 0.1


def test_triples_that_are_never_met_are_nothing(trajectory):
    found = fitted(trajectory[:20], ThreeBodyBasis(0.5))
    assert not found.three_body_coefficients.any()
    np.testing.assert_allclose(found.coefficients, fitted(trajectory[:20]).coefficients, rtol=1e-3, atol=1e-3)


def test_bad_settings_name_the_thing(trajectory):
    with pytest.raises(StructureError, match="cut-off of the three-body term"):
        ThreeBodyBasis(0.0)
    with pytest.raises(StructureError, match="functions of the three-body term"):
        ThreeBodyBasis(2.0, 0)
    with pytest.raises(ConfigError, match="three_body is not simulated"):
        checked(FitSettings, {"interval_s": 1, "estimator": "indirect", "three_body": {"cutoff_A": 2}}, "fit")
    with pytest.raises(StructureError, match="three-body term; got a fit of pairs alone"):
        fitted(trajectory[:20]).three_body_energy(0, 1.4, np.ones(1))
