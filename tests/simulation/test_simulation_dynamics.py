import numpy as np
import pytest
from ase import Atoms, units
from ase.io import read
from ase.md.nose_hoover_chain import NoseHooverChainNVT
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.spatial.transform import Rotation
from simulation_toys import Springs, cluster

from hpcstem.errors import SimulationError
from hpcstem.simulation.motion.dynamics import run_nvt
from hpcstem.simulation.motion.nose_hoover import NoseHooverChain
from hpcstem.simulation.motion.velocities import maxwell_boltzmann
from hpcstem.simulation.settings import NVTSettings

SEED = np.random.SeedSequence(11)


def nvt(folder, stop_after=None, atoms=None, seed=SEED, **changes):
    atoms = cluster() if atoms is None else atoms
    options = {"temperature_K": 500, "n_steps": 40, "checkpoint_steps": 7, "trajectory_steps": 4} | changes
    return run_nvt(
        atoms, NVTSettings(**options), Springs(cluster().positions.round()[: len(atoms)], stop_after), seed, folder
    )


def test_frames_and_energies_are_complete(tmp_path):
    outcome = nvt(tmp_path)
    rows = np.loadtxt(tmp_path / "energies.csv", delimiter=",", skiprows=1)
    assert list(rows[:, 0]) == list(range(41))
    assert rows[0, 4] == pytest.approx(500, rel=1e-12)
    frames = read(tmp_path / "trajectory.xyz", ":")
    assert [frame.info["step"] for frame in frames] == list(range(0, 41, 4))
    assert frames[-1].get_potential_energy() == pytest.approx(rows[40, 2], abs=1e-6)
    assert outcome.temperature_K == pytest.approx(rows[20:, 4].mean())
    assert outcome.energy_eV == rows[40, 2]


@settings(max_examples=15, deadline=None)
@given(stops=st.lists(st.integers(0, 40), max_size=4))
def test_broken_off_anywhere_the_answer_is_that_of_one_run(tmp_path_factory, stops):
    whole, broken = tmp_path_factory.mktemp("whole"), tmp_path_factory.mktemp("broken")
    expected = nvt(whole)
    for stop in stops:
        try:
            nvt(broken, stop_after=stop)
        except KeyboardInterrupt:
            continue
    found = nvt(broken)
    assert (found.atoms.positions == expected.atoms.positions).all()
    assert found.temperature_K == expected.temperature_K
    for name in ("trajectory.xyz", "energies.csv"):
        assert (broken / name).read_bytes() == (whole / name).read_bytes()


def test_another_seed_is_another_run(tmp_path):
    first = nvt(tmp_path / "a")
    second = nvt(tmp_path / "b", seed=np.random.SeedSequence(12))
    assert not np.allclose(first.atoms.positions, second.atoms.positions)
    with pytest.raises(SimulationError, match="another structure, seed"):
        nvt(tmp_path / "a", seed=np.random.SeedSequence(12))


def test_the_conserved_quantity_is_conserved_to_second_order(tmp_path):
    """Halving the time step at equal time must quarter its fluctuation."""
    spread = []
    for timestep_fs, n_steps in ((1.0, 300), (0.5, 600)):
        folder = tmp_path / str(timestep_fs)
        nvt(folder, timestep_fs=timestep_fs, n_steps=n_steps)
        spread.append(np.loadtxt(folder / "energies.csv", delimiter=",", skiprows=1)[:, 5].std())
    assert spread[0] / spread[1] == pytest.approx(4, rel=0.25)


def test_fixed_atoms_stay(tmp_path):
    outcome = nvt(tmp_path, fixed=(2, 3))
    moved = np.abs(outcome.atoms.positions - cluster().positions).max(axis=1) > 0
    assert list(np.flatnonzero(~moved)) == [2, 3]


def test_motion_that_diverges_is_an_error(tmp_path):
    with pytest.raises(SimulationError, match=r"positions at step \d+; got not finite"), np.errstate(all="ignore"):
        nvt(tmp_path, timestep_fs=200, thermostat_time_fs=1000, temperature_K=5000)


def test_a_single_free_atom_without_degrees_of_freedom_is_an_error(tmp_path):
    with pytest.raises(SimulationError, match="degrees of freedom"):
        nvt(tmp_path, atoms=Atoms("C"))


class PairForces:
    """Lennard-Jones forces of a free cluster, σ 1.3 Å, ε 1 eV."""

    def __call__(self, positions):
        apart = positions[:, None] - positions[None]
        squared = (apart**2).sum(axis=2) + np.diag(np.full(len(positions), np.inf))
        attraction = (1.3**2 / squared) ** 3
        forces = (24 * (2 * attraction**2 - attraction) / squared)[:, :, None] * apart
        return float(2 * (attraction**2 - attraction).sum()), np.nansum(forces, axis=1)

    def forget(self):
        pass


def test_the_thermostat_is_that_of_ase_where_that_is_right():
    """ASE counts 3N degrees of freedom: given as many, both chains must move momenta alike."""
    atoms = cluster()
    masses = atoms.get_masses()[:, None]
    momenta = np.random.default_rng(0).normal(0, 3, (8, 3))
    atoms.set_momenta(momenta)
    theirs = NoseHooverChainNVT(atoms, 1 * units.fs, 300, 50 * units.fs)._thermostat
    ours, chain = NoseHooverChain(300, 50, 24), np.zeros((2, 3))
    p = momenta.copy()
    for _ in range(20):
        twice_kinetic = float((p**2 / masses).sum())
        chain, factor = ours.scaled(chain, twice_kinetic, 0.5)
        p = p * factor
        momenta = theirs.integrate_nhc(momenta, 0.5 * units.fs)
    assert np.abs(p - momenta).max() < 1e-11
    assert ours.energy(chain) == pytest.approx(theirs.get_thermostat_energy(), rel=1e-10)


def test_a_free_cluster_has_the_temperature_asked_for_without_its_rigid_motions(tmp_path):
    """Mean over 12 ps of 18 degrees of freedom; with 24 counted it would come out a third too high."""
    settings = NVTSettings(
        temperature_K=300,
        timestep_fs=3,
        n_steps=8000,
        thermostat_time_fs=100,
        checkpoint_steps=8000,
        trajectory_steps=8000,
    )
    outcome = run_nvt(cluster(seed=5), settings, PairForces(), SEED, tmp_path)
    assert outcome.temperature_K == pytest.approx(300, rel=0.1)


def in_box(*sides_A):
    """The cluster in an oblique box, cut by its edges; it does not repeat along an axis of length zero."""
    width, height, depth = sides_A
    atoms = Atoms("C8", cluster().positions, pbc=np.array(sides_A) > 0)
    atoms.cell = [[width, 0, 0], [3, height, 0], [0, 0, depth]]
    atoms.wrap()
    return atoms


def test_a_free_patch_in_a_periodic_box_does_not_turn(tmp_path):
    """With the angular momentum of its first velocities it turns by 29 degrees."""
    springs = PairForces()

    def energy(positions):
        value, forces = springs(positions.reshape(-1, 3))
        return value, -forces.ravel()

    sites = minimize(energy, cluster().positions.ravel(), jac=True).x.reshape(-1, 3)
    options = NVTSettings(temperature_K=300, n_steps=400, checkpoint_steps=400, trajectory_steps=400)
    end = run_nvt(Atoms("C8", sites, cell=[9, 9, 9], pbc=True), options, springs, SEED, tmp_path).atoms
    arms, turned = (positions - positions.mean(axis=0) for positions in (sites, end.positions))
    assert Rotation.align_vectors(turned, arms)[0].magnitude() < np.radians(2)


@pytest.mark.parametrize(
    ("atoms", "fixed", "expected"),
    [
        (cluster(), [], 18),
        (cluster(), [0], 21),
        (Atoms("C2", [[0, 0, 0], [0, 0, 1.3]]), [], 1),
        (in_box(9, 9, 9), [], 18),
        (in_box(9, 9, 5), [], 21),
        (in_box(9, 9, 5), [0], 21),
        (in_box(9, 9, 0), [], 18),
    ],
)
def test_degrees_of_freedom_and_first_velocities(atoms, fixed, expected):
    free = np.ones((len(atoms), 3), bool)
    free[fixed] = False
    velocities, n_degrees = maxwell_boltzmann(atoms, free, 400, SEED)
    masses = atoms.get_masses()[:, None]
    assert n_degrees == expected
    assert (masses * velocities**2).sum() == pytest.approx(expected * units.kB * 400)
    assert (velocities[fixed] == 0).all()
    if not fixed:
        assert np.abs((masses * velocities).sum(axis=0)).max() < 1e-12
        if n_degrees == 18:
            arms = cluster().positions - cluster().get_center_of_mass()
            assert np.abs((masses * np.cross(arms, velocities)).sum(axis=0)).max() < 1e-10
