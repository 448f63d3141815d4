import numpy as np
import pytest
from ase import optimize
from ase.calculators.lj import LennardJones
from ase.io import read
from hypothesis import given, settings
from hypothesis import strategies as st
from simulation_toys import Springs, cluster

from hpcstem.errors import SimulationError
from hpcstem.simulation.motion.relaxation import run_relaxation
from hpcstem.simulation.settings import RelaxSettings

SEED = np.random.SeedSequence(7)


def relax(folder, stop_after=None, **changes):
    atoms = cluster()
    options = {"fmax_eV_A": 1e-5, "rattle_A": 0.05, "checkpoint_steps": 3} | changes
    sites = atoms.positions.round()
    return run_relaxation(atoms, RelaxSettings(**options), Springs(sites, stop_after), SEED, folder)


def test_it_reaches_the_minimum_and_says_so(tmp_path):
    outcome = relax(tmp_path)
    assert outcome.converged
    assert outcome.max_force_eV_A < 1e-5
    assert np.abs(outcome.atoms.positions - cluster().positions.round()).max() < 1e-6
    frames = read(tmp_path / "relaxation.xyz", ":")
    assert len(frames) == outcome.n_steps + 1
    assert [frame.info["step"] for frame in frames] == list(range(len(frames)))


def test_too_few_steps_are_told(tmp_path):
    outcome = relax(tmp_path, max_steps=2)
    assert (outcome.converged, outcome.n_steps) == (False, 2)
    assert outcome.max_force_eV_A > 1e-5


@settings(max_examples=15, deadline=None)
@given(stops=st.lists(st.integers(0, 12), max_size=4))
def test_broken_off_anywhere_the_answer_is_that_of_one_run(tmp_path_factory, stops):
    whole, broken = tmp_path_factory.mktemp("whole"), tmp_path_factory.mktemp("broken")
    expected = relax(whole)
    for stop in stops:
        try:
            relax(broken, stop_after=stop)
        except KeyboardInterrupt:
            continue
    found = relax(broken)
    assert (found.atoms.positions == expected.atoms.positions).all()
    assert (found.energy_eV, found.n_steps) == (expected.energy_eV, expected.n_steps)
    assert (broken / "relaxation.xyz").read_bytes() == (whole / "relaxation.xyz").read_bytes()


def test_fixed_atoms_stay(tmp_path):
    outcome = relax(tmp_path, fixed=(0, 5))
    moved = np.abs(outcome.atoms.positions - cluster().positions).max(axis=1) > 0
    assert list(np.flatnonzero(~moved)) == [0, 5]
    assert outcome.converged


@pytest.mark.parametrize(
    ("fixed", "message"), [((8,), "index of a fixed atom; got 8; wanted 0 to 7"), (tuple(range(8)), "at least one")]
)
def test_impossible_constraints(tmp_path, fixed, message):
    with pytest.raises(SimulationError, match=message):
        relax(tmp_path, fixed=fixed)


def test_a_folder_with_another_run_is_refused(tmp_path):
    relax(tmp_path)
    with pytest.raises(SimulationError, match="another structure, seed or settings"):
        relax(tmp_path, fmax_eV_A=1e-4)


def test_a_damaged_checkpoint_is_refused(tmp_path):
    relax(tmp_path)
    (tmp_path / "relaxation.npz").write_bytes(b"PK nonsense")
    with pytest.raises(SimulationError, match="cannot read checkpoint"):
        relax(tmp_path)


def test_a_trajectory_shorter_than_its_checkpoint_is_refused(tmp_path):
    relax(tmp_path)
    (tmp_path / "relaxation.xyz").write_text("")
    with pytest.raises(SimulationError, match="length of"):
        relax(tmp_path)


def test_the_path_is_that_of_ase(tmp_path):
    atoms = cluster(seed=3)
    atoms.positions *= 0.8
    atoms.calc = LennardJones(sigma=1.2, epsilon=1.0, rc=10.0)

    class Source:
        def __call__(self, positions):
            atoms.positions = positions
            return atoms.get_potential_energy(), atoms.get_forces()

        def forget(self):
            pass

    start = atoms.copy()
    settings = RelaxSettings(fmax_eV_A=1e-3, rattle_A=0)
    outcome = run_relaxation(start, settings, Source(), SEED, tmp_path)
    theirs = start.copy()
    theirs.calc = LennardJones(sigma=1.2, epsilon=1.0, rc=10.0)
    optimizer = optimize.LBFGS(theirs, logfile=None)
    optimizer.run(fmax=1e-3)
    assert outcome.n_steps == optimizer.nsteps
    assert np.abs(outcome.atoms.positions - theirs.positions).max() < 1e-6
