"""Classical potentials and ASE's calculators: right forces, exact continuation, nothing that a job may not name."""

import json
from importlib.util import find_spec

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, graphene, molecule
from ase.calculators.emt import EMT
from ase.filters import UnitCellFilter
from ase.optimize import BFGS
from simulation_toys import Springs, cluster

from hpcstem.errors import ConfigError, SimulationError
from hpcstem.simulation.deadline import Deadline, SegmentEnded
from hpcstem.simulation.engine_settings import AseSettings, ClassicalSettings
from hpcstem.simulation.engines import get_engine
from hpcstem.simulation.motion.relaxation import run_relaxation
from hpcstem.simulation.settings import NVTSettings, RelaxSettings
from hpcstem.structure.cells import make_cell, perimeter

SEED = np.random.SeedSequence(2)
# Not by importing it here: it would leave a log file in the folder that the tests run in.
needs_atomistica = pytest.mark.skipif(find_spec("atomistica") is None, reason="pip install 'hpcstem[classical]'")


def sheet(symbol: str = "C") -> Atoms:
    atoms = graphene(size=(4, 4, 1), vacuum=8)
    atoms.pbc = True
    atoms.symbols[3] = symbol
    return atoms


@needs_atomistica
@pytest.mark.parametrize(("potential", "symbol"), [("tersoff", "Si"), ("erhart-albe", "Si"), ("rebo2", "C")])
def test_classical_forces_are_the_slope_of_the_energy(potential, symbol):
    atoms = sheet(symbol)
    source = get_engine(ClassicalSettings(potential=potential)).source(atoms)
    positions = atoms.positions + np.random.default_rng(0).normal(0, 0.05, atoms.positions.shape)
    _, forces = source(positions)
    for atom, axis in ((3, 0), (7, 1), (12, 2)):
        shift = np.zeros_like(positions)
        shift[atom, axis] = 1e-4
        slope = (source(positions + shift)[0] - source(positions - shift)[0]) / 2e-4
        assert -slope == pytest.approx(forces[atom, axis], abs=1e-4)


@needs_atomistica
def test_graphene_has_the_bond_that_rebo_is_known_for(tmp_path):
    """1.42 Å, and the cell finds it by itself."""
    atoms = sheet()
    atoms.set_cell(atoms.cell.array * [[1.03], [1.03], [1]], scale_atoms=True)
    engine = get_engine(ClassicalSettings())
    settings = RelaxSettings(engine="classical", constraint="free-cell", fmax_eV_A=1e-3)
    outcome = engine.relax(atoms, settings, SEED, tmp_path)
    assert outcome.converged
    assert engine.method.startswith("classical potential REBO2")
    distances = outcome.atoms.get_all_distances(mic=True)
    assert np.sort(distances, axis=1)[:, 1:4] == pytest.approx(1.42, abs=0.005)


@needs_atomistica
def test_a_classical_run_in_parts_is_bitwise_one_run(tmp_path):

    class After(Deadline):
        def allows(self, work_s):
            n_asked.append(1)
            return len(n_asked) % 17 != 0

    n_asked: list[int] = []
    settings = NVTSettings(engine="classical", temperature_K=900, n_steps=60, checkpoint_steps=6, trajectory_steps=5)
    engine = get_engine(settings.engine)
    whole = engine.nvt(sheet(), settings, SEED, tmp_path / "whole")
    parts = None
    while parts is None:
        try:
            parts = engine.nvt(sheet(), settings, SEED, tmp_path / "parts", After())
        except SegmentEnded:
            continue
    assert len(n_asked) > 34
    assert (parts.atoms.positions == whole.atoms.positions).all()
    for name in ("trajectory.xyz", "energies.csv"):
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


@needs_atomistica
def test_elements_that_a_potential_does_not_know():
    with pytest.raises(SimulationError, match="Cr atoms; wanted only C, H"):
        get_engine(ClassicalSettings()).check(Atoms("CCr", [[0, 0, 0], [2, 0, 0]]))


def test_a_relaxed_cell_is_that_of_ase(tmp_path):
    atoms = bulk("Cu", cubic=True) * (2, 1, 1)
    atoms.set_cell(atoms.cell.array @ [[1.04, 0.02, 0], [0, 0.97, 0.01], [0, 0, 1.02]], scale_atoms=True)
    atoms.rattle(0.05, seed=1)
    engine = get_engine(AseSettings(calculator="emt"))
    settings = RelaxSettings(constraint="free-cell", fmax_eV_A=1e-4, rattle_A=0)
    outcome = engine.relax(atoms, settings, SEED, tmp_path)
    theirs = atoms.copy()
    theirs.calc = EMT()
    BFGS(UnitCellFilter(theirs), logfile=None).run(fmax=1e-4, steps=500)
    assert outcome.converged
    assert outcome.energy_eV == pytest.approx(theirs.get_potential_energy(), abs=1e-5)
    assert outcome.atoms.cell.volume == pytest.approx(theirs.cell.volume, rel=1e-4)
    assert engine.method.startswith("EMT() (ase ")


@pytest.mark.parametrize("constraint", ["only-z", "hydrogen-fixed", "perimeter-fixed"])
def test_what_a_constraint_holds_stays(tmp_path, constraint):
    sites = coronene()
    atoms = make_cell(sites, np.array(["C"] * len(sites)))
    settings = RelaxSettings(engine={"name": "ase", "calculator": "emt"}, constraint=constraint, max_steps=5)
    outcome = get_engine(settings.engine).relax(atoms, settings, SEED, tmp_path)
    moved = np.abs(outcome.atoms.positions - atoms.positions) > 1e-9
    if constraint == "only-z":
        assert not moved[:, :2].any()
        assert moved[:, 2].all()
        return
    held = atoms.numbers == 1
    if constraint == "perimeter-fixed":
        held = np.isin(np.arange(len(atoms)), perimeter(atoms))
        assert held[atoms.numbers == 1].all()
    assert 0 < held.sum() < len(atoms)
    assert (moved.any(axis=1) == ~held).all()


def coronene() -> np.ndarray:
    """Positions of its 24 carbon atoms in the plane."""
    basis = 1.42 * np.array([[np.sqrt(3), 0], [np.sqrt(3) / 2, 1.5]])
    cells = np.array([[i, j] for i in range(-4, 5) for j in range(-4, 5)]) @ basis
    points = np.concatenate([cells + 1.42 * np.eye(2)[1], cells - 1.42 * np.eye(2)[1]])
    return points[np.linalg.norm(points, axis=1) < 3.8]


def test_a_cell_that_does_not_repeat_cannot_be_relaxed(tmp_path):
    settings = RelaxSettings(constraint="free-cell")
    with pytest.raises(SimulationError, match="repeats in 3 directions"):
        run_relaxation(cluster(), settings, Springs(cluster().positions), SEED, tmp_path)
    with pytest.raises(ConfigError, match="constant volume"):
        NVTSettings.parse({"temperature_K": 300, "constraint": "free-cell"})


@pytest.mark.parametrize(
    ("engine", "message"),
    [
        ({"name": "ase", "calculator": "espresso"}, "is not one of emt"),
        ({"name": "ase", "calculator": "os:system"}, "is not one of emt"),
        ({"name": "ase", "calculator": "emt", "arguments": {"command": "rm"}}, "command is not for a job"),
        ({"name": "vsap"}, "vsap"),
        ("nothing", "nothing"),
    ],
)
def test_engines_that_a_job_may_not_name(engine, message):
    with pytest.raises(ConfigError, match=message):
        RelaxSettings.parse(json.loads(json.dumps({"engine": engine})))


def test_arguments_that_a_calculator_does_not_take():
    engine = get_engine(AseSettings(calculator="lj", arguments={"sigma": 1.3, "rc": 4.0}))
    assert engine.method.startswith("LennardJones(rc=4.0, sigma=1.3)")
    engine.check(molecule("H2"))
    with pytest.raises(SimulationError, match="EMT found no energy"):
        get_engine(AseSettings(calculator="emt")).check(Atoms("Fm"))
