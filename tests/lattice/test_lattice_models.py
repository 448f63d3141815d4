import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from hpcstem.errors import StructureError
from hpcstem.lattice.classes import CLASSES, first_rings, shell_counts
from hpcstem.lattice.kawasaki import Exchanges
from hpcstem.lattice.model import MODELS, many_body, pair_additive
from hpcstem.lattice.triangular import (
    FIRST_SHELL,
    OFFSETS,
    SECOND_SHELL,
    SiteGrid,
    bits_of,
    lattice_vectors,
    neighbour_table,
    surroundings,
)

VECTORS = lattice_vectors(1.0, 0.0)


def image_distances(n_side):
    """Distance of each pair of sites on a periodic lattice, from coordinates alone."""
    sites = np.stack(np.divmod(np.arange(n_side**2), n_side), axis=1)
    shifts = n_side * np.array(list(itertools.product((-1, 0, 1), repeat=2)))
    steps = sites[:, None, None] - sites[None, :, None] + shifts
    return np.linalg.norm(steps @ VECTORS, axis=3).min(axis=2)


def energies_by_hand(species, distances):
    """Unlike bonds of both shells, and triangles with one and two B, from distances alone."""
    flat = species.ravel()
    near = np.isclose(distances, 1.0)
    second = np.isclose(distances, np.sqrt(3))
    unlike = flat[:, None] != flat
    pairs = [(near & unlike).sum() / 2, (second & unlike).sum() / 2]
    triangles = np.einsum("ij,jk,ki->ijk", near.astype(int), near.astype(int), near.astype(int)) > 0
    n_B = flat[:, None, None] + flat[None, :, None] + flat[None, None, :]
    return pairs, [(triangles & (n_B == n)).sum() / 6 for n in (1, 2)]


@st.composite
def periodic_grids(draw):
    n_side = draw(st.integers(5, 8))
    seed = draw(st.integers(0, 2**32 - 1))
    return SiteGrid(np.random.default_rng(seed).integers(0, 2, (n_side, n_side)), periodic=True)


def test_shells_are_in_the_order_of_their_angles():
    for shell, length, start in ((FIRST_SHELL, 1.0, 0.0), (SECOND_SHELL, np.sqrt(3), 30.0)):
        vectors = shell @ VECTORS
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), length)
        angles = np.degrees(np.arctan2(vectors[:, 1], vectors[:, 0])) % 360
        np.testing.assert_allclose(angles, start + 60 * np.arange(6), atol=1e-9)


@given(periodic_grids())
@settings(max_examples=30)
def test_surroundings_are_the_species_of_the_neighbours(grid):
    bits, complete = surroundings(grid)
    assert complete.all()
    neighbours = grid.species.ravel()[neighbour_table(len(grid.species))]
    np.testing.assert_array_equal(bits_of(bits.ravel()), neighbours)


def test_sites_at_an_edge_or_beside_a_gap_are_incomplete():
    species = np.zeros((9, 11), int)
    species[4, 5] = -1
    _, complete = surroundings(SiteGrid(species, periodic=False))
    expected = np.zeros((9, 11), bool)
    expected[2:-2, 2:-2] = True
    expected[4, 5] = False
    for i, j in OFFSETS:
        expected[4 + i, 5 + j] = False
    np.testing.assert_array_equal(complete, expected)


@given(periodic_grids())
@settings(max_examples=15)
def test_energy_terms_count_bonds_and_triangles(grid):
    pairs, triangles = energies_by_hand(grid.species, image_distances(len(grid.species)))
    np.testing.assert_allclose(pair_additive().energy_terms(grid), pairs)
    np.testing.assert_allclose(many_body().energy_terms(grid), triangles)


@pytest.mark.parametrize("name", MODELS)
def test_every_exchange_on_a_small_lattice_costs_what_enumeration_says(name):
    """ΔE of turning A to B and B to A, neighbours or not, against the energies of both configurations."""
    model, weights = MODELS[name](), np.array([0.37, -0.21])
    flip = model.flip_energies(weights)
    for chosen in itertools.combinations(range(25), 2):
        species = np.zeros(25, int)
        species[list(chosen)] = 1
        before = SiteGrid(species.reshape(5, 5), periodic=True)
        bits = surroundings(before)[0].ravel()
        for b, a in itertools.product(chosen, range(25)):
            if species[a] == 1:
                continue
            after = species.copy()
            after[a], after[b] = 1, 0
            with_a = species.copy()
            with_a[a] = 1
            around_b = surroundings(SiteGrid(with_a.reshape(5, 5), periodic=True))[0].ravel()[b]
            terms = model.energy_terms(SiteGrid(after.reshape(5, 5), periodic=True)) - model.energy_terms(before)
            assert flip[bits[a]] - flip[around_b] == pytest.approx(weights @ terms, abs=1e-12)
        if chosen[0] > 0:  # all others are translations of these
            break


def enumerated(model, n_B):
    """Energy terms of every configuration of 5 × 5 sites."""
    terms = []
    for chosen in itertools.combinations(range(25), n_B):
        species = np.zeros(25, int)
        species[list(chosen)] = 1
        terms.append(model.energy_terms(SiteGrid(species.reshape(5, 5), periodic=True)))
    return np.array(terms)


def distance_from_boltzmann(terms, weights, seen):
    """p-value of the energies that were seen under exp(-w·E) over all configurations."""
    levels, number = np.unique(terms, axis=0, return_inverse=True)
    chance = np.exp(-(levels @ weights)) * np.bincount(number.ravel())
    chance /= chance.sum()
    index = {tuple(level): k for k, level in enumerate(levels.tolist())}
    counts = np.bincount([index[tuple(row)] for row in seen.tolist()], minlength=len(levels))
    expected = chance * counts.sum()
    enough = expected > 5
    statistic = ((counts - expected)[enough] ** 2 / expected[enough]).sum()
    return chi2.sf(statistic, enough.sum() - 1)


@pytest.mark.parametrize("name", MODELS)
def test_chain_samples_the_exact_distribution_of_a_small_lattice(name):
    model, weights = MODELS[name](), np.array([0.6, -0.3])
    chain = Exchanges(model, weights, 5, 3, np.random.SeedSequence(8))
    chain.attempt(1000)
    seen = []
    for _ in range(6000):
        chain.attempt(60)
        seen.append(model.energy_terms(chain.grid))
    terms = enumerated(model, 3)
    assert distance_from_boltzmann(terms, weights, np.array(seen)) > 0.01
    assert distance_from_boltzmann(terms, weights * 1.15, np.array(seen)) < 1e-3


@pytest.mark.parametrize("name", MODELS)
def test_chain_keeps_composition_and_surroundings(name):
    chain = Exchanges(MODELS[name](), np.array([0.3, 0.1]), 17, 100, np.random.SeedSequence(1))
    made = chain.attempt(20_000)
    assert 2000 < made < 20_000
    assert (chain.grid.species == 1).sum() == 100
    np.testing.assert_array_equal(surroundings(chain.grid)[0].ravel(), chain.bits)


def test_chains_depend_on_their_seed_alone():
    def run(seed):
        chain = Exchanges(pair_additive(), np.array([0.3, 0.1]), 12, 60, np.random.SeedSequence(seed))
        chain.attempt(5000)
        return chain.species.copy()

    np.testing.assert_array_equal(run(1), run(1))
    assert (run(1) != run(2)).any()


def test_first_rings_do_not_change_under_turns_and_mirrors():
    classes = first_rings()
    assert classes.n_classes == 26
    rings = bits_of(np.arange(64))[:, :6]
    powers = 1 << np.arange(6)
    for moved in (np.roll(rings, 1, axis=1), rings[:, ::-1]):
        np.testing.assert_array_equal(classes.table[:, moved @ powers], classes.table[:, :64])
    by_class = [set(rings[classes.table[0, :64] == k].sum(axis=1)) for k in range(13)]
    assert sorted(n for (n,) in by_class) == [0, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4, 5, 6]


@pytest.mark.parametrize("name", CLASSES)
def test_histograms_count_every_site_and_its_species(name):
    classes = CLASSES[name]()
    grid = SiteGrid(np.random.default_rng(3).integers(0, 2, (13, 13)), periodic=True)
    histogram = classes.histogram(grid)
    assert histogram.sum() == 169
    assert classes.fraction_B(histogram) == pytest.approx(grid.fraction_B)


def test_shell_counts_are_centre_and_two_numbers():
    table = shell_counts().table
    assert table[1, 0b000011_000111] == (7 + 3) * 7 + 2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SiteGrid(np.full((3, 3), 2), periodic=False), "species on a lattice"),
        (lambda: SiteGrid(np.zeros(5), periodic=False), "two axes"),
        (lambda: SiteGrid(np.zeros((4, 9)), periodic=True), "at least 5 per side"),
        (lambda: Exchanges(pair_additive(), np.zeros(2), 4, 3, np.random.SeedSequence(0)), "at least 5"),
        (lambda: Exchanges(pair_additive(), np.zeros(2), 6, 36, np.random.SeedSequence(0)), "1 to 35"),
        (lambda: Exchanges(pair_additive(), np.array([0.1]), 6, 9, np.random.SeedSequence(0)), "weights"),
        (lambda: Exchanges(pair_additive(), np.array([0.1, np.nan]), 6, 9, np.random.SeedSequence(0)), "weights"),
        (lambda: Exchanges(pair_additive(), np.array([0.1, 21.0]), 6, 9, np.random.SeedSequence(0)), "weights"),
    ],
)
def test_mistakes_are_named(make, message):
    with pytest.raises(StructureError, match=message):
        make()
