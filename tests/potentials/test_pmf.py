import numpy as np
import pytest
from known_motion import BASIS, MOBILITY, SYMBOLS, TOY, run, short_intervals
from known_sheets import atom_table, honeycomb_A

from hpcstem.errors import StructureError
from hpcstem.execution import SerialExecutor
from hpcstem.potentials.equations import ForceEquations
from hpcstem.potentials.pmf import equilibrium_warnings, mean_force_of_distances, mean_force_potential
from hpcstem.potentials.rdf import RadialDistribution
from hpcstem.potentials.table_blocks import BlockCounts, frame_blocks

WINDOW_A = (0.0, 0.0, 40.0, 40.0)
ANALYSIS = RadialDistribution(WINDOW_A, ("C",), cutoff_A=8.0, bin_width_A=0.1)


def counted(frames_A, analysis=ANALYSIS, species=None):
    with SerialExecutor() as executor:
        return executor.run(BlockCounts(analysis), frame_blocks(atom_table(frames_A, species)))


def test_independent_atoms_have_no_mean_force_and_honest_errors():
    rng = np.random.default_rng(1)
    blocks = counted([rng.uniform(0, 40, (400, 2)) for _ in range(64)])
    rdf, pmf = mean_force_potential(ANALYSIS, blocks)
    z = (pmf.w_kT / pmf.error_kT)[0][np.isfinite(pmf.w_kT[0])]
    assert rdf.n_frames == 64
    assert np.nanmax(np.abs(pmf.w_kT[0, 10:])) < 0.1
    assert 0.7 < np.sqrt(np.mean(z**2)) < 1.4
    assert equilibrium_warnings(blocks, 0.0) == []


def test_in_equilibrium_the_well_is_where_the_potential_has_it():
    trajectory = short_intervals()
    frames_A = [np.mod(trajectory.positions_A[trajectory.rows(t)], trajectory.box_A) for t in range(0, 1600, 40)]
    species = [np.where(trajectory.species[trajectory.rows(t)] == 0, "C", "Si") for t in range(0, 1600, 40)]
    analysis = RadialDistribution((0, 0, *trajectory.box_A), ("C", "Si"), cutoff_A=4.5, bin_width_A=0.03)
    _, pmf = mean_force_potential(analysis, counted(frames_A, analysis, species))
    well_A = pmf.r_A[np.nanargmin(pmf.w_kT[0])]
    assert well_A == pytest.approx(TOY.potentials[0].minimum_A, abs=0.06)
    assert np.nanmin(pmf.w_kT[0]) < -1.0
    assert np.isnan(pmf.w_kT[0][pmf.r_A < 1.0]).all()


def test_the_distances_of_a_fit_give_the_same_mean_force():
    trajectory = short_intervals()[:60]
    parts = run(ForceEquations(BASIS, SYMBOLS, 1e-3, mobility=MOBILITY), trajectory, 6).parts
    found = mean_force_of_distances(SYMBOLS, BASIS.cutoff_A, [part.distances for part in parts], None)
    assert found.species_pairs == (("C", "C"), ("C", "Si"), ("Si", "Si"))
    assert found.r_A[np.nanargmin(found.w_kT[0])] == pytest.approx(TOY.potentials[0].minimum_A, abs=0.06)
    open_edges = mean_force_of_distances(SYMBOLS, BASIS.cutoff_A, [part.distances for part in parts], (39.0, 51.0))
    # Seen through a window, far pairs are fewer than in a box: the correction lifts g, and so lowers w, there.
    difference = (found.w_kT - open_edges.w_kT)[0]
    assert np.nanmean(difference[40:60]) < np.nanmean(difference[-10:])
    assert mean_force_of_distances(SYMBOLS, BASIS.cutoff_A, [part.distances for part in parts], (39.0, 4.0)) is None


def test_sites_give_a_well_without_a_force_and_the_warning_says_so():
    rng = np.random.default_rng(2)
    sites_A = honeycomb_A(40, 0.0, rng)
    blocks = counted([sites_A + 0.1 * rng.standard_normal(sites_A.shape) for _ in range(32)])
    _, pmf = mean_force_potential(ANALYSIS, blocks)
    assert np.nanmin(pmf.w_kT) < -0.8
    assert any("fixed sites" in reason for reason in equilibrium_warnings(blocks, 0.98))


def test_a_sheet_that_changes_is_noticed():
    rng = np.random.default_rng(3)
    early = [honeycomb_A(40, 0.05, rng) for _ in range(8)]
    late = [rng.uniform(0, 40, (400, 2)) for _ in range(8)]
    assert any("not stationary" in reason for reason in equilibrium_warnings(counted(early + late), 0.0))


def test_one_block_has_no_error():
    with pytest.raises(StructureError, match="blocks"):
        mean_force_potential(ANALYSIS, counted([np.ones((3, 2))]))
