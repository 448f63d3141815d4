import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sheets import perfect_sheet

from hpcstem.errors import StructureError
from hpcstem.structure.comparison import compare
from hpcstem.structure.graphene import rotation


@given(angle_rad=st.floats(-3.1, 3.1), x=st.floats(-50, 50), y=st.floats(-50, 50), scale=st.floats(0.9, 1.1))
@settings(max_examples=40)
def test_rotation_shift_and_scale_are_found(angle_rad, x, y, scale):
    sheet = perfect_sheet(15.0)
    decoded_A = (sheet.positions_A @ rotation(-angle_rad).T + [x, y]) / scale
    comparison = compare(decoded_A, sheet.positions_A, sheet.edges)
    assert np.cos(comparison.rotation_rad - angle_rad) == pytest.approx(1.0, abs=1e-9)
    assert comparison.scale == pytest.approx(scale)
    # The scale is not applied: it is an error of the decoded coordinates.
    expected = 100.0 * abs(1.0 / scale - 1.0)
    assert comparison.bond_error_percent == pytest.approx((expected, expected), abs=1e-6)


def test_noise_gives_the_errors_it_must():
    sheet, rng = perfect_sheet(30.0), np.random.default_rng(0)
    noise_A = rng.normal(0.0, 0.1, sheet.positions_A.shape)
    comparison = compare(sheet.positions_A + noise_A, sheet.positions_A, sheet.edges)
    assert comparison.rms_A == pytest.approx(0.1 * np.sqrt(2.0), rel=0.05)
    np.testing.assert_allclose(comparison.displacements_A, -noise_A, atol=0.03)
    # mean |N(0, σ)| = σ √(2/π), over a mean coordinate of half the extent of 30 Å
    expected = 100.0 * 0.1 * np.sqrt(2.0 / np.pi) / 15.0
    assert comparison.coordinate_error_percent == pytest.approx((expected, expected), rel=0.15)
    assert max(comparison.coordinate_error_percent) < 5.0 < min(comparison.bond_error_percent)


def test_heights_come_from_the_mean_plane():
    sheet = perfect_sheet(12.0)
    relaxed_A = np.column_stack([sheet.positions_A, np.full(len(sheet), 7.0)])
    relaxed_A[0, 2] += 1.0
    comparison = compare(sheet.positions_A, relaxed_A, sheet.edges)
    assert comparison.heights_A[0] == pytest.approx(1.0 - 1.0 / len(sheet))
    assert comparison.rms_A == pytest.approx(0.0, abs=1e-9)
    assert np.isnan(compare(sheet.positions_A, relaxed_A, np.empty((0, 2), int)).bond_error_percent).all()


def test_shapes_that_do_not_fit_are_named():
    with pytest.raises(StructureError, match="coordinates"):
        compare(np.zeros((3, 2)), np.zeros((4, 2)), np.empty((0, 2), int))
