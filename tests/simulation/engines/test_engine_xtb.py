import numpy as np
import pytest
from ase import Atoms
from ase.build import graphene, molecule

from hpcstem.errors import SimulationError
from hpcstem.simulation.bonds import bond_lengths
from hpcstem.simulation.engine_settings import SpinXtbSettings, XtbSettings
from hpcstem.simulation.engines import get_engine
from hpcstem.simulation.engines.xtb import XtbForces
from hpcstem.simulation.settings import NVTSettings, RelaxSettings
from hpcstem.structure.adsorbates import adsorbate

SEED = np.random.SeedSequence(3)


def test_the_energy_is_that_of_the_reference():
    """tblite's documentation: -156.96750590276173 eV."""
    water = molecule("H2O")
    energy, _ = XtbForces(water, XtbSettings())(water.positions)
    assert energy == pytest.approx(-156.96750590276173, abs=1e-5)


@pytest.mark.parametrize(("species", "unpaired"), [("H2", 0), ("CH3", 1), ("CH2", 2), ("Cr", 6)])
def test_spin_follows_hund(species, unpaired):
    """The ground states of spectroscopy, where GFN1-xTB alone prefers none of these spins."""
    atoms = adsorbate(species)
    polarised = XtbForces(atoms, SpinXtbSettings())
    assert polarised.inputs == {"unpaired_electrons": unpaired}
    energy, _ = polarised(atoms.positions)
    plain, _ = XtbForces(atoms, XtbSettings())(atoms.positions)
    # Another engine, not a correction of closed shells.
    assert energy == pytest.approx(plain, abs=1e-6) if unpaired == 0 else energy < plain - 0.1
    if unpaired == 2:
        asked = XtbForces(atoms, SpinXtbSettings(unpaired_electrons=4))
        assert asked.inputs == {"unpaired_electrons": 4}
        assert asked(atoms.positions)[0] > energy + 1.0


def test_forces_are_the_slope_of_the_energy(benzene):
    source = XtbForces(benzene, XtbSettings())
    positions = benzene.positions + np.random.default_rng(0).normal(0, 0.05, benzene.positions.shape)
    _, forces = source(positions)
    for atom, axis in ((0, 0), (4, 1), (9, 2)):
        shift = np.zeros_like(positions)
        shift[atom, axis] = 1e-3
        slope = (source(positions + shift)[0] - source(positions - shift)[0]) / 2e-3
        assert -slope == pytest.approx(forces[atom, axis], abs=2e-4)


def test_benzene_relaxes_to_its_known_bonds(tmp_path, benzene):
    engine = get_engine(XtbSettings())
    outcome = engine.relax(benzene, RelaxSettings(fmax_eV_A=1e-3), SEED, tmp_path)
    bonds = bond_lengths(outcome.atoms)
    assert outcome.converged
    assert engine.method.startswith("GFN1-xTB (tblite ")
    assert set(bonds) == {"C-C", "C-H"}
    assert bonds["C-C"].count == bonds["C-H"].count == 6
    assert bonds["C-C"].mean_A == pytest.approx(1.395, abs=0.015)
    assert bonds["C-H"].mean_A == pytest.approx(1.084, abs=0.015)
    assert bonds["C-C"].std_A < 1e-3


@pytest.mark.parametrize(
    ("engine_settings", "species", "inputs"),
    [(XtbSettings(), "C6H6", {}), (SpinXtbSettings(), "CH2", {"unpaired_electrons": 2})],
)
def test_a_run_in_two_processes_worth_of_pieces_is_bitwise_one_run(tmp_path, engine_settings, species, inputs):
    engine, atoms = get_engine(engine_settings), adsorbate(species)
    settings = NVTSettings(temperature_K=600, n_steps=30, checkpoint_steps=8, trajectory_steps=3)
    whole = engine.nvt(atoms, settings, SEED, tmp_path / "whole")
    source_call, n_calls = XtbForces.__call__, 0

    def dies(self, positions):
        nonlocal n_calls
        n_calls += 1
        if n_calls in (14, 20):
            raise KeyboardInterrupt
        return source_call(self, positions)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(XtbForces, "__call__", dies)
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                engine.nvt(atoms, settings, SEED, tmp_path / "broken")
        broken = engine.nvt(atoms, settings, SEED, tmp_path / "broken")
    assert (broken.atoms.positions == whole.atoms.positions).all()
    assert broken.inputs == whole.inputs == inputs
    for name in ("trajectory.xyz", "energies.csv"):
        assert (tmp_path / "broken" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_periodic_sheet_keeps_its_cell(tmp_path):
    sheet = graphene(size=(2, 2, 1), vacuum=8)
    sheet.pbc = True
    outcome = get_engine(XtbSettings()).relax(sheet, RelaxSettings(), SEED, tmp_path)
    assert outcome.converged
    assert (outcome.atoms.cell == sheet.cell).all()
    assert bond_lengths(outcome.atoms)["C-C"].mean_A == pytest.approx(1.42, abs=0.02)


def test_silicon_and_carbon_are_a_pair_of_their_own():
    silane = molecule("CH3SiH3")
    assert {pair: bonds.count for pair, bonds in bond_lengths(silane).items()} == {"C-H": 3, "Si-C": 1, "Si-H": 3}


def test_an_element_without_parameters_is_an_error_for_a_person(tmp_path):
    with pytest.raises(SimulationError, match="GFN1-xTB found no energy"):
        get_engine(XtbSettings()).relax(Atoms("Fm"), RelaxSettings(), SEED, tmp_path)
