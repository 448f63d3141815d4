import numpy as np
import pytest
from known_sheets import atom_table, honeycomb_A

from hpcstem.errors import AtomTableError, StructureError
from hpcstem.execution import SerialExecutor
from hpcstem.potentials import RadialDistribution

WINDOW_A = (3.0, 5.0, 33.0, 27.0)


def run(analysis, batches):
    with SerialExecutor() as executor:
        return executor.run(analysis, batches)


def uniform_table(rng, n_frames, first_frame=0):
    """Poisson points of two species in WINDOW_A and beyond it."""
    frames_A = [rng.uniform((0, 0), (40, 40), (rng.poisson(300), 2)) for _ in range(n_frames)]
    species = [np.where(rng.random(len(frame)) < 0.2, "Si", "C") for frame in frames_A]
    return atom_table(frames_A, species, first_frame=first_frame)


@pytest.fixture(scope="module")
def uniform():
    rng = np.random.default_rng(11)
    analysis = RadialDistribution(WINDOW_A, cutoff_A=21.0, bin_width_A=0.5)
    return run(analysis, [uniform_table(rng, 300, first_frame=300 * k) for k in range(4)])


def test_independent_atoms_have_g_one_up_to_the_side_of_the_window(uniform):
    assert uniform.n_frames == 1200
    for g, counts in zip(uniform.g, uniform.counts, strict=True):
        # Pairs share atoms, so the counts scatter more than Poisson's; a free factor of 1.5 covers it.
        z = ((g - 1) * np.sqrt(counts) / 1.5)[counts > 100]
        assert len(z) > 35
        assert np.abs(z).max() < 4.5
        assert abs(z.mean()) < 1.0


def test_kernel_keeps_g_one_at_both_ends(uniform):
    np.testing.assert_allclose(uniform.g_kde[0], 1, atol=0.03)


def test_without_the_window_correction_g_would_be_far_off(uniform):
    width, height = WINDOW_A[2] - WINDOW_A[0], WINDOW_A[3] - WINDOW_A[1]
    last = uniform.r_A[-1]
    covariance = 1 - 2 * last * (width + height) / (np.pi * width * height) + last**2 / (np.pi * width * height)
    assert covariance < 0.5
    assert uniform.g[0, -1] == pytest.approx(1, abs=0.05)


def test_ideal_honeycomb_peaks_hold_the_right_number_of_neighbours():
    rng = np.random.default_rng(12)
    side_A = 120.0
    sheet = honeycomb_A(side_A, 0.0, rng)
    rdf = run(RadialDistribution((0, 0, side_A, side_A), ("C",), cutoff_A=4.5), [atom_table([sheet])])
    density = len(sheet) / side_A**2
    bin_width_A = rdf.r_A[1] - rdf.r_A[0]
    neighbours = 2 * np.pi * density * rdf.r_A * rdf.g[0] * bin_width_A
    shells = {1.42: 3, 1.42 * 3**0.5: 6, 2.84: 3, 1.42 * 7**0.5: 6, 1.42 * 3: 6}
    for distance_A, coordination in shells.items():
        near = np.abs(rdf.r_A - distance_A) < 0.05
        assert neighbours[near].sum() == pytest.approx(coordination, rel=0.03)
        assert rdf.counts[0][near].sum() > 0
    assert rdf.counts[0].sum() == sum(rdf.counts[0][np.abs(rdf.r_A - distance_A) < 0.05].sum() for distance_A in shells)


def test_kernel_flattens_the_first_peak():
    rng = np.random.default_rng(13)
    frames = [honeycomb_A(40, 0.08, rng) for _ in range(5)]
    rdf = run(RadialDistribution((0, 0, 40, 40), ("C",)), [atom_table(frames)])
    first_shell = rdf.r_A < 1.9
    assert rdf.g[0, first_shell].max() > 2.4
    assert 1.0 < rdf.g_kde[0, first_shell].max() < 0.75 * rdf.g[0, first_shell].max()


def test_atoms_outside_the_window_and_other_species_are_left_out():
    frame = np.array([[5.0, 5.0], [6.0, 5.0], [7.0, 5.0], [30.0, 5.0]])
    table = atom_table([frame], [np.array(["C", "C", "Cr", "C"])])
    rdf = run(RadialDistribution((0, 0, 20, 20), ("C", "Si"), cutoff_A=4.0, bin_width_A=0.5), [table])
    assert rdf.counts.sum() == 1
    assert rdf.counts[0, 2] == 1
    assert np.isnan(rdf.g[1:]).all()
    assert rdf.species_pairs == (("C", "C"), ("C", "Si"), ("Si", "Si"))


def test_frames_and_movies_are_kept_apart_in_any_order_of_rows():
    rng = np.random.default_rng(14)
    one, two = uniform_table(rng, 3), uniform_table(rng, 3)
    two = two.with_columns(movie=np.full(len(two), "other"))
    both = type(one).concatenate([one, two])
    shuffled = both[rng.permutation(len(both))]
    analysis = RadialDistribution(WINDOW_A)
    apart, together = run(analysis, [one, two]), run(analysis, [shuffled])
    np.testing.assert_array_equal(apart.counts, together.counts)
    np.testing.assert_array_equal(apart.g, together.g)
    assert together.n_frames == 6


def test_a_batch_may_be_a_parquet_file(tmp_path):
    table = uniform_table(np.random.default_rng(15), 2)
    table.write(tmp_path / "chunk.parquet")
    analysis = RadialDistribution(WINDOW_A)
    np.testing.assert_array_equal(run(analysis, [tmp_path / "chunk.parquet"]).g, run(analysis, [table]).g)
    with pytest.raises(AtomTableError, match=r"absent\.parquet"):
        run(analysis, [tmp_path / "absent.parquet"])


def test_an_empty_table_adds_nothing():
    table = uniform_table(np.random.default_rng(16), 2)
    analysis = RadialDistribution(WINDOW_A)
    np.testing.assert_array_equal(run(analysis, [table, table[:0]]).g, run(analysis, [table]).g)


@pytest.mark.parametrize(
    ("settings", "thing"),
    [
        ({"window_A": (0, 0, 0, 10)}, "window"),
        ({"window_A": (0, 0, 7, 30)}, "cut-off"),
        ({"window_A": (0, 0, 30, 30), "bin_width_A": 0}, "bin width"),
        ({"window_A": (0, 0, 30, 30), "bandwidth_A": 0}, "bandwidth"),
        ({"window_A": (0, 0, 30, 30), "species": ("C", "C")}, "species"),
    ],
)
def test_bad_settings_name_the_thing(settings, thing):
    with pytest.raises(StructureError, match=f"^{thing}"):
        RadialDistribution(**settings)
