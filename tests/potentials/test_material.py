import numpy as np
import pytest
from known_sheets import atom_table, honeycomb_A

from hpcstem.errors import StructureError
from hpcstem.execution import SerialExecutor
from hpcstem.potentials.material import MaterialDistribution, material_mask, set_covariance
from hpcstem.potentials.rdf import RadialDistribution

WINDOW_A = (0.0, 0.0, 50.0, 40.0)


def run(analysis, batches):
    with SerialExecutor() as executor:
        return executor.run(analysis, batches)


def dense(rng, keep, n=8000):
    """Independent atoms in a part of the window, dense enough to fill it."""
    points = rng.uniform((0, 0), (50, 40), (n, 2))
    return points[keep(points)]


def test_the_set_covariance_of_a_rectangle_is_the_formula():
    mask = np.ones((160, 200), bool)
    r_A = (np.arange(40) + 0.5) * 0.2
    wanted = 50 * 40 - 2 * r_A * 90 / np.pi + r_A**2 / np.pi
    np.testing.assert_allclose(set_covariance(mask, 8.0, 40), wanted, rtol=2e-3)


def test_independent_atoms_on_part_of_the_window_have_g_one():
    rng = np.random.default_rng(1)
    frames_A = [
        dense(rng, lambda p, t=t: (p[:, 0] < 30 - t) & (np.hypot(p[:, 0] - 12, p[:, 1] - 20) > 6)) for t in range(8)
    ]
    table = atom_table(frames_A)
    plain = RadialDistribution(WINDOW_A, ("C",), cutoff_A=8.0, bin_width_A=0.5)
    # Dense points end where the material ends.
    by_material = run(MaterialDistribution(plain, reach_A=1.5, rim_A=0.0), [table])
    np.testing.assert_allclose(by_material.g[0, 1:], 1.0, atol=0.04)
    assert run(plain, [table]).g[0, 1:].min() > 1.4


def test_a_whole_sheet_gives_the_same_as_the_window():
    rng = np.random.default_rng(2)
    table = atom_table([honeycomb_A(80, 0.05, rng) - 15 for _ in range(4)])
    plain = RadialDistribution(WINDOW_A, ("C",), cutoff_A=8.0, bin_width_A=0.05)
    by_window, by_material = run(plain, [table]), run(MaterialDistribution(plain), [table])
    np.testing.assert_array_equal(by_window.counts, by_material.counts)
    seen = by_window.counts[0] > 100
    np.testing.assert_allclose(by_material.g[0, seen], by_window.g[0, seen], rtol=0.01)


def test_a_hole_is_no_material_and_a_ring_is():
    sheet_A = honeycomb_A(80, 0.0, np.random.default_rng(3)) - 15
    hole_A = sheet_A[np.hypot(sheet_A[:, 0] - 25, sheet_A[:, 1] - 20) > 8]
    whole, holed = (material_mask(x, WINDOW_A, 1.8, 0.6) for x in (sheet_A, hole_A))
    assert whole.mean() > 0.999
    lost_A2 = (whole & ~holed).sum() * 0.25**2
    assert lost_A2 == pytest.approx(np.pi * (8 - 0.3) ** 2, rel=0.12)


def test_an_empty_batch_adds_nothing_and_bad_lengths_are_refused():
    plain = RadialDistribution(WINDOW_A, ("C",))
    counts = MaterialDistribution(plain).process(atom_table([np.ones((2, 2))])[:0])
    assert counts.n_frames == 0
    assert not counts.expected.any()
    with pytest.raises(StructureError, match="reach and rim"):
        MaterialDistribution(plain, reach_A=1.0, rim_A=2.0)
