import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from hpcstem.errors import StructureError
from hpcstem.potentials import half_pairs, pair_histogram, species_pairs

N_BINS = 64


def brute_force(positions_A, species, n_species, cutoff_A, n_bins, box_A=None):
    """Histogram over all pairs, one after another, with the nearest image."""
    histogram = {pair: np.zeros(n_bins, int) for pair in species_pairs(n_species)}
    for i in range(len(positions_A)):
        vector = positions_A[i + 1 :] - positions_A[i]
        if box_A is not None:
            vector = vector - box_A * np.round(vector / box_A)
        bins = np.floor(np.sqrt((vector**2).sum(axis=1)) * (n_bins / cutoff_A)).astype(int)
        for bin_index, other in zip(bins, species[i + 1 :], strict=True):
            if bin_index < n_bins:
                histogram[min(species[i], other), max(species[i], other)][bin_index] += 1
    return np.array(list(histogram.values()))


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n_atoms=st.integers(0, 80),
    sides_A=st.tuples(st.floats(0.01, 60), st.floats(0.01, 60)),
    cutoff_A=st.floats(0.05, 30),
    n_species=st.integers(1, 3),
    periodic=st.booleans(),
)
def test_histogram_equals_brute_force(seed, n_atoms, sides_A, cutoff_A, n_species, periodic):
    rng = np.random.default_rng(seed)
    positions_A = rng.uniform(0, sides_A, (n_atoms, 2))
    species = rng.integers(0, n_species, n_atoms)
    box_A = sides_A if periodic else None
    if periodic:
        cutoff_A = min(cutoff_A, min(sides_A) / 2)
    got = pair_histogram(positions_A, species, n_species, cutoff_A, N_BINS, box_A)
    wanted = brute_force(positions_A, species, n_species, cutoff_A, N_BINS, box_A)
    np.testing.assert_array_equal(got, wanted)


@settings(max_examples=100, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n_atoms=st.integers(0, 120),
    cutoff_A=st.floats(0.05, 30),
    scale_A=st.sampled_from([1e-3, 1.0, 50.0, 1e7]),
)
def test_half_pairs_equal_scipy_however_far_apart_the_atoms(seed, n_atoms, cutoff_A, scale_A):
    positions_A = np.random.default_rng(seed).uniform(-1, 1, (n_atoms, 2)) * scale_A
    pairs = half_pairs(positions_A, cutoff_A)
    got = {frozenset(pair) for pair in zip(pairs.first.tolist(), pairs.second.tolist(), strict=True)}
    assert len(got) == len(pairs)
    oracle = cKDTree(positions_A).query_pairs(cutoff_A) if n_atoms else set()
    assert got == {frozenset(pair) for pair in oracle}
    vector_A = positions_A[pairs.second] - positions_A[pairs.first]
    np.testing.assert_array_equal(pairs.vector_A, vector_A)
    np.testing.assert_allclose(pairs.distance_A, np.hypot(*vector_A.T), rtol=1e-15)


def test_counts_equal_vesin_in_a_periodic_box():
    vesin = pytest.importorskip("vesin", reason="vesin, the oracle for periodic boxes, is not installed")
    box_A, cutoff_A = (71.0, 64.0), 8.0
    positions_A = np.random.default_rng(5).uniform(0, box_A, (2000, 2))
    neighbours = vesin.NeighborList(cutoff=cutoff_A, full_list=False)
    first, second, distance_A = neighbours.compute(
        points=np.column_stack([positions_A, np.zeros(2000)]),
        box=np.diag([*box_A, 40.0]),
        periodic=True,
        quantities="ijd",
    )
    got = pair_histogram(positions_A, np.zeros(2000, int), 1, cutoff_A, 400, box_A)[0]
    wanted = np.bincount(np.floor(distance_A * (400 / cutoff_A)).astype(int), minlength=400)
    np.testing.assert_array_equal(got, wanted)
    pairs = half_pairs(positions_A, cutoff_A, box_A)
    as_set = {frozenset(pair) for pair in zip(pairs.first.tolist(), pairs.second.tolist(), strict=True)}
    assert as_set == {frozenset(pair) for pair in zip(first.tolist(), second.tolist(), strict=True)}
    # Each vector must lead to an image of its second atom.
    jump = positions_A[pairs.second] - positions_A[pairs.first] - pairs.vector_A
    np.testing.assert_allclose(jump / box_A, np.round(jump / box_A), atol=1e-12)


def test_positions_outside_a_periodic_box_are_wrapped():
    rng = np.random.default_rng(6)
    box_A = np.array([20.0, 30.0])
    positions_A = rng.uniform(0, box_A, (200, 2))
    moved_A = positions_A + rng.integers(-3, 4, (200, 2)) * box_A
    wanted = half_pairs(positions_A, 5.0, tuple(box_A))
    got = half_pairs(moved_A, 5.0, tuple(box_A))
    np.testing.assert_allclose(np.sort(got.distance_A), np.sort(wanted.distance_A), atol=1e-12)


def test_coincident_atoms_are_a_pair():
    np.testing.assert_array_equal(pair_histogram(np.zeros((3, 2)), np.zeros(3, int), 1, 1.0, 4), [[3, 0, 0, 0]])


@pytest.mark.parametrize(
    ("positions_A", "species", "cutoff_A", "box_A", "thing"),
    [
        (np.zeros((3, 3)), np.zeros(3, int), 1.0, None, "positions"),
        (np.array([[0, np.nan]]), np.zeros(1, int), 1.0, None, "positions"),
        (np.zeros((3, 2)), np.zeros(2, int), 1.0, None, "species"),
        (np.zeros((3, 2)), np.array([0, 1, 2]), 1.0, None, "species"),
        (np.zeros((3, 2)), np.zeros(3, int), 0.0, None, "cut-off"),
        (np.zeros((3, 2)), np.zeros(3, int), 6.0, (10.0, 40.0), "cut-off in a periodic box"),
    ],
)
def test_bad_input_names_the_thing(positions_A, species, cutoff_A, box_A, thing):
    with pytest.raises(StructureError) as error:
        pair_histogram(positions_A, species, 2, cutoff_A, 10, box_A)
    assert str(error.value).startswith(thing)
