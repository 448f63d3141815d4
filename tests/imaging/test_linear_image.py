"""The linear image: how much, where, and how bright."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from hpcstem.imaging.linear import ideal_image
from hpcstem.imaging.probe import Probe

PROBE = Probe()


def one_atom(position_A, shape, pixel_size_A, probe=PROBE, species="C", offset=None):
    return ideal_image(np.array([position_A]), np.array([species]), shape, pixel_size_A, probe, offset)


def centre_A(image, pixel_size_A, radius_A=1.2):
    """(x, y) by centre of mass in a round, soft window that follows the centre."""
    y, x = np.mgrid[: image.shape[0], : image.shape[1]] * pixel_size_A
    row, column = np.unravel_index(image.argmax(), image.shape)
    centre = np.array([column, row]) * pixel_size_A
    for _ in range(40):
        weight = image * np.exp(-((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / radius_A**2)
        centre = np.array([(weight * x).sum(), (weight * y).sum()]) / weight.sum()
    return centre


@pytest.mark.parametrize("pixel_size_A", [0.05, 0.1, 0.25])
@pytest.mark.parametrize("half_field_A", [4.0, 8.0])
def test_integral_is_the_part_of_the_airy_pattern_in_the_field(pixel_size_A, half_field_A):
    """The part of an Airy pattern within radius r is 1 - J0² - J1²; the square lies between two circles."""
    n = 2 * round(half_field_A / pixel_size_A) + 1
    middle = (n - 1) / 2 * pixel_size_A
    total = one_atom((middle, middle), (n, n), pixel_size_A).sum() * pixel_size_A**2
    radius = 2 * np.pi * 0.031 / PROBE.wavelength_A * half_field_A * np.array([1, np.sqrt(2)])
    inner, outer = 1 - special.j0(radius) ** 2 - special.j1(radius) ** 2
    assert inner - 0.005 < total < outer + 0.01


def test_integral_counts_the_atoms_inside():
    rng = np.random.default_rng(1)
    inside, outside = rng.uniform(8, 32, (50, 2)), rng.uniform(60, 80, (20, 2))
    image = ideal_image(np.concatenate([inside, outside]), np.full(70, "C"), (400, 400), 0.1, PROBE)
    assert image.sum() * 0.1**2 == pytest.approx(50, rel=0.03)


def test_atoms_just_outside_add_their_tails():
    image = one_atom((-0.3, 5.0), (100, 100), 0.1)
    assert image[50, 0] > 0.3 * one_atom((5.0, 5.0), (100, 100), 0.1).max()
    assert image[50, 0] > 50 * abs(image[50, 99])


@settings(max_examples=15)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.06, 0.1, 0.21]))
def test_superposition(seed, pixel_size_A):
    rng = np.random.default_rng(seed)
    shape = (48, 64)
    positions = rng.uniform(-1, 1.05, (12, 2)) * np.array(shape[::-1]) * pixel_size_A
    species = rng.choice(["C", "Si"], 12)
    whole = ideal_image(positions, species, shape, pixel_size_A, PROBE)
    parts = sum(ideal_image(positions[i::3], species[i::3], shape, pixel_size_A, PROBE) for i in range(3))
    np.testing.assert_allclose(whole, parts, atol=1e-10)


@pytest.mark.parametrize("pixel_size_A", [0.05, 0.078125, 0.11, 0.16, 0.25])
@pytest.mark.parametrize("probe", [PROBE, Probe(astigmatism_A=20, astigmatism_rad=0.4)], ids=["round", "astigmatic"])
def test_sub_pixel_position(pixel_size_A, probe):
    rng = np.random.default_rng(2)
    n = round(9 / pixel_size_A)
    for _ in range(6):
        position = 4.5 + rng.uniform(-0.5, 0.5, 2)
        error = centre_A(one_atom(position, (n, n + 3), pixel_size_A, probe), pixel_size_A) - position
        assert np.abs(error).max() < 0.005


def test_x_is_the_column():
    image = one_atom((7.0, 3.0), (60, 100), 0.1)
    assert np.unravel_index(image.argmax(), image.shape) == (30, 70)


def test_silicon_is_brighter():
    carbon, silicon = (one_atom((3, 3), (60, 60), 0.1, species=s) for s in ("C", "Si"))
    np.testing.assert_allclose(silicon, carbon * (14 / 6) ** 1.7, rtol=1e-12, atol=1e-12)


def test_no_atoms():
    assert np.abs(ideal_image(np.empty((0, 2)), np.empty(0, str), (20, 30), 0.1, PROBE)).max() == 0


def test_common_scan_offset_moves_the_image():
    """A beam that is off by (0.2, -0.1) Å looks at what lies there."""
    moved = one_atom((4, 4), (80, 80), 0.1, offset=np.tile([0.2, -0.1], (80, 1)))
    shifted = one_atom((3.8, 4.1), (80, 80), 0.1)
    np.testing.assert_allclose(moved, shifted, atol=0.01 * shifted.max())


def test_scan_offset_of_one_row_moves_that_row_only():
    offset = np.zeros((80, 2))
    offset[41] = [0.5, 0]
    still = one_atom((4, 4), (80, 80), 0.1, offset=np.zeros((80, 2)))
    moved = one_atom((4, 4), (80, 80), 0.1, offset=offset)
    changed = np.flatnonzero((moved != still).any(axis=1))
    np.testing.assert_array_equal(changed, [41])
    np.testing.assert_allclose(moved[41, :75], still[41, 5:], atol=1e-9)
    np.testing.assert_allclose(still, one_atom((4, 4), (80, 80), 0.1), atol=1e-12)
