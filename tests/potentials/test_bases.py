import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpcstem.errors import StructureError
from hpcstem.potentials.bases import GaussianBasis, SplineBasis
from hpcstem.potentials.design import DesignRows
from hpcstem.potentials.pairs import half_pairs

BASES = [
    SplineBasis(1.2, 6.0, 12),
    SplineBasis(1.2, 6.0, 12, repulsion_radius_A=2.0),
    GaussianBasis(1.0, 6.0, 14),
    GaussianBasis(1.0, 6.0, 14, width_A=0.3, repulsion_radius_A=2.5),
]


@pytest.mark.parametrize("basis", BASES, ids=repr)
def test_slopes_and_curvatures_are_the_derivatives(basis):
    r_A = np.linspace(0.7, 5.99, 377)
    step = 1e-5
    slope = (basis.values(r_A + step) - basis.values(r_A - step)) / (2 * step)
    np.testing.assert_allclose(basis.slopes(r_A), slope, atol=1e-7)
    curvature = (basis.slopes(r_A + step) - basis.slopes(r_A - step)) / (2 * step)
    away = np.abs(r_A[:, None] - [basis.low_A, basis.repulsion_radius_A or 0]).min(axis=1) > 1e-3
    np.testing.assert_allclose(basis.curvatures(r_A)[away], curvature[away], atol=1e-5)


@pytest.mark.parametrize("basis", BASES, ids=repr)
def test_the_potential_ends_at_the_cut_off(basis):
    beyond = basis.cutoff_A + np.array([-1e-9, 0.0, 0.5])
    assert np.abs(basis.values(beyond)).max() < 1e-8
    assert not basis.slopes(beyond)[1:].any()


def test_splines_hold_every_cubic_that_vanishes_with_its_slope_and_curvature_at_the_cut_off():
    basis = SplineBasis(1.0, 5.0, 9)
    r_A = np.linspace(1.0, 5.0, 200)
    cubic = (5.0 - r_A) ** 3
    residual = cubic - basis.values(r_A) @ np.linalg.lstsq(basis.values(r_A), cubic, rcond=None)[0]
    assert np.abs(residual).max() < 1e-10


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n_atoms=st.integers(0, 60),
    n_species=st.integers(1, 3),
    periodic=st.booleans(),
    basis=st.sampled_from(BASES),
    n_extra=st.integers(0, 1),
)
def test_matrix_equals_the_sum_over_pairs(seed, n_atoms, n_species, periodic, basis, n_extra):
    rng = np.random.default_rng(seed)
    box_A = (13.0, 12.5)
    positions_A = rng.uniform(0, box_A, (n_atoms, 2))
    species = rng.integers(0, n_species, n_atoms)
    # The last atoms have no row of their own.
    n_slots = max(0, n_atoms - 3)
    slot = np.minimum(rng.permutation(n_atoms), n_slots)
    rows = DesignRows(basis, n_species, n_slots, n_extra)
    memory = rows.empty()
    memory[:] = rng.normal(size=memory.shape)
    histogram = rows.fill(memory, positions_A, species, slot, box_A if periodic else None)
    wanted = np.zeros((n_slots + 1, 2, rows.width))
    pairs = half_pairs(positions_A, basis.cutoff_A, box_A if periodic else None)
    slopes, n = basis.slopes(pairs.distance_A), basis.n_columns
    for i, j, vector_A, r_A, slope in zip(
        pairs.first, pairs.second, pairs.vector_A, pairs.distance_A, slopes, strict=True
    ):
        force = np.outer(vector_A / r_A, slope)
        wanted[slot[i], :, species[j] * n : (species[j] + 1) * n] += force
        wanted[slot[j], :, species[i] * n : (species[i] + 1) * n] -= force
    scale = max(np.abs(wanted).max(), 1.0)
    np.testing.assert_allclose(rows.rows(memory), wanted[:n_slots], atol=1e-6 * scale)
    assert histogram.sum() == len(pairs)


@pytest.mark.parametrize(
    ("make", "thing"),
    [
        (lambda: SplineBasis(2.0, 1.0), "range"),
        (lambda: SplineBasis(0.0, 5.0), "range"),
        (lambda: SplineBasis(1.0, np.nan), "range"),
        (lambda: SplineBasis(1.0, 5.0, 3), "functions"),
        (lambda: GaussianBasis(1.0, 5.0, width_A=0.0), "width"),
        (lambda: GaussianBasis(1.0, 5.0, repulsion_radius_A=9.0), "radius"),
    ],
)
def test_bad_settings_name_the_thing(make, thing):
    with pytest.raises(StructureError, match=f"^{thing}"):
        make()
