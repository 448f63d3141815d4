import ase
import numpy as np
import pytest
from ase.calculators.fd import calculate_numerical_forces
from known_motion import BASIS, MOBILITY, SYMBOLS, run, toy_trajectory

from hpcstem.errors import HpcstemError, StructureError
from hpcstem.potentials.design import DesignRows
from hpcstem.potentials.dynamics import ForceTable, Langevin
from hpcstem.potentials.equations import ForceEquations
from hpcstem.potentials.export import (
    PairCalculator,
    read_potential,
    write_gromacs_table,
    write_lammps_table,
    write_potential,
)
from hpcstem.potentials.fitted import solve
from hpcstem.potentials.literature import LENNARD_JONES, calibrate_energy, compared
from hpcstem.potentials.pairs import pair_histogram
from hpcstem.potentials.trajectory import Trajectory


@pytest.fixture(scope="module")
def trajectory():
    return toy_trajectory(2400, 1e-3)


@pytest.fixture(scope="module")
def potential(trajectory):
    equations = ForceEquations(BASIS, SYMBOLS, 1e-3, "trapezoid", 0, MOBILITY)
    return solve(run(equations, trajectory), equations)


def snapshot(trajectory, frame):
    rows = trajectory.rows(frame)
    species = trajectory.species[rows]
    positions_A = np.column_stack([trajectory.positions_A[rows], np.zeros(len(species))])
    cell = [*trajectory.box_A, 20.0]
    return ase.Atoms([SYMBOLS[s] for s in species], positions_A, cell=cell, pbc=[True, True, False])


def test_the_calculator_gives_the_fitted_forces(potential, trajectory):
    atoms = snapshot(trajectory, 5)
    atoms.calc = PairCalculator(potential)
    species = trajectory.species[trajectory.rows(5)]
    rows = DesignRows(BASIS, 2, len(species))
    memory = rows.empty()
    rows.fill(memory, atoms.positions[:, :2], species, np.arange(len(species)), trajectory.box_A)
    matrix, table = rows.rows(memory), potential.coefficients
    wanted = np.where(
        species[:, None] == 0,
        matrix @ np.concatenate([table[0], table[1]]),
        matrix @ np.concatenate([table[1], table[2]]),
    )
    forces = atoms.get_forces()
    np.testing.assert_allclose(forces[:, :2], wanted, atol=1e-6)
    assert not forces[:, 2].any()
    np.testing.assert_allclose(forces.sum(axis=0), 0, atol=1e-9)


def test_forces_are_minus_the_gradient_of_the_energy(potential):
    rng = np.random.default_rng(4)
    grid_A = np.stack(np.meshgrid(np.arange(3.0), np.arange(3.0)), -1).reshape(-1, 2) * 1.5
    positions_A = np.column_stack([grid_A + 0.1 * rng.standard_normal(grid_A.shape), np.zeros(9)])
    atoms = ase.Atoms("C6Si3", positions_A)
    atoms.calc = PairCalculator(potential, energy_unit=2.0)
    numerical = calculate_numerical_forces(atoms, eps=1e-5)
    np.testing.assert_allclose(atoms.get_forces(), numerical, atol=1e-4)


def read_lammps(path, name):
    lines = path.read_text().splitlines()
    at = lines.index(name)
    count = int(lines[at + 1].split()[1])
    return np.array([line.split() for line in lines[at + 3 : at + 3 + count]], float)


def test_the_lammps_table_interpolates_to_the_fitted_forces(potential, tmp_path):
    from scipy.interpolate import CubicSpline

    write_lammps_table(potential, tmp_path / "table", energy_unit=3.0)
    for k, name in enumerate(("C_C", "C_Si", "Si_Si")):
        index, r_A, energy, force = read_lammps(tmp_path / "table", name).T
        np.testing.assert_array_equal(index, np.arange(1, len(index) + 1))
        probe_A = np.random.default_rng(5).uniform(1.2, 4.49, 300)
        wanted = -3.0 * potential.slope(k, probe_A)
        np.testing.assert_allclose(CubicSpline(r_A, force)(probe_A), wanted, atol=1e-6 * np.abs(wanted).max())
        np.testing.assert_allclose(force, -3.0 * potential.slope(k, r_A), atol=1e-9)
        np.testing.assert_allclose(energy, 3.0 * potential.energy(k, r_A), atol=1e-9)


def test_the_gromacs_table_is_in_its_units(potential, tmp_path):
    write_gromacs_table(potential, 0, tmp_path / "table.xvg", energy_unit_kJ_mol=2.0)
    r_nm, _, _, energy, force, _, _ = np.loadtxt(tmp_path / "table.xvg").T
    inside = (r_nm > 0.11) & (r_nm < 0.44)
    np.testing.assert_allclose(energy[inside], 2 * potential.energy(0, 10 * r_nm[inside]), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(force[inside], -20 * potential.slope(0, 10 * r_nm[inside]), rtol=1e-6, atol=1e-5)
    assert np.isfinite(energy).all()
    assert not energy[r_nm > 0.451].any()


def test_a_simulation_with_it_reproduces_the_rdf(potential, trajectory):
    langevin = Langevin(
        ForceTable.of([lambda r, k=k: potential.slope(k, r) for k in range(3)], 2, BASIS.cutoff_A),
        potential.kT,
        np.array(MOBILITY),
        trajectory.box_A,
    )
    rng = np.random.default_rng(6)
    rows = trajectory.rows(0)
    species = trajectory.species[rows]
    positions_A = trajectory.positions_A[rows].copy()
    simulated, observed = np.zeros(90), np.zeros(90)
    for frame in range(0, 2400, 80):
        positions_A = langevin.propagate(positions_A, species, 1e-4, rng.standard_normal((300, *positions_A.shape)))
        seen_A = trajectory.positions_A[trajectory.rows(frame)]
        simulated += pair_histogram(positions_A, species, 2, 4.5, 90, trajectory.box_A)[0]
        observed += pair_histogram(seen_A, species, 2, 4.5, 90, trajectory.box_A)[0]
    r_A = (np.arange(90) + 0.5) * 0.05
    shell = 2 * np.pi * r_A
    g_simulated, g_observed = simulated / shell, observed / shell
    scale = g_observed[-20:].mean()
    assert np.abs(g_simulated - g_observed).max() / scale < 0.15
    assert np.argmax(g_simulated) == pytest.approx(np.argmax(g_observed), abs=1)


def test_files_come_back_as_they_were(potential, tmp_path):
    write_potential(potential, tmp_path / "potential.npz")
    again = read_potential(tmp_path / "potential.npz")
    np.testing.assert_array_equal(again.coefficients, potential.coefficients)
    np.testing.assert_array_equal(again.covariance, potential.covariance)
    np.testing.assert_array_equal(again.jackknife_covariance, potential.jackknife_covariance)
    assert (again.basis, again.kT, again.pairs, again.mobility) == (
        potential.basis, potential.kT, potential.pairs, potential.mobility,
    )  # fmt: skip
    (tmp_path / "potential.json").write_text("{}")
    with pytest.raises(HpcstemError, match="cannot read potential"):
        read_potential(tmp_path / "potential.npz")


def test_atoms_without_a_potential_are_refused(potential):
    atoms = ase.Atoms("CN", [[0, 0, 0], [1.5, 0, 0]])
    atoms.calc = PairCalculator(potential)
    with pytest.raises(StructureError, match="species of the atoms; got N"):
        atoms.get_potential_energy()
    tilted = ase.Atoms("C2", [[0, 0, 0], [1.5, 0, 0]], cell=[[20, 0, 0], [3, 20, 0], [0, 0, 20]], pbc=True)
    tilted.calc = PairCalculator(potential)
    with pytest.raises(StructureError, match="cell"):
        tilted.get_potential_energy()


def test_the_calibrated_wells_stand_beside_the_literature(potential):
    unit_meV = calibrate_energy(potential)
    rows = compared(potential, unit_meV)
    assert rows[0].depth_meV == pytest.approx(4.55)
    assert rows[1].depth_meV / rows[0].depth_meV == pytest.approx(0.9, abs=0.12)
    assert rows[0].depth_kT == pytest.approx(2.0, rel=0.12)
    silicon = next(row for row in LENNARD_JONES if row.pair == ("C", "Si"))
    assert (silicon.sigma_A, silicon.epsilon_meV) == (3.629, 8.91)
    assert sum(row.pair == ("C", "C") for row in LENNARD_JONES) == 8


def test_no_well_no_calibration(potential):
    from dataclasses import replace

    flat = replace(potential, coefficients=np.zeros_like(potential.coefficients))
    with pytest.raises(StructureError, match="well of C-C"):
        calibrate_energy(flat)


def test_an_empty_frame_is_no_obstacle():
    frames = Trajectory.from_arrays(np.zeros((3, 0, 2)), np.zeros(0, int), SYMBOLS)
    assert ForceEquations(BASIS, SYMBOLS, 1.0).process(frames).n_intervals == 0
