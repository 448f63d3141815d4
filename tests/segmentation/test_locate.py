"""Atoms from probability maps of known centres."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from known_maps import PIXEL_A, RADIUS_A, disc_maps

from hpcstem.segmentation.inference import ProbabilityMaps
from hpcstem.segmentation.locate import locate

SHAPE = (48, 64)
TOLERANCE_PX = 0.08
"""Of ideal discs, whose pixels show only what share they cover: 0.013 Å."""
EDGE_TOLERANCE_PX = 0.6
"""Of atoms with up to half of their disc beyond the edge: 0.1 Å. Their centre of mass alone is off by 1.1 px."""


def found(maps):
    return locate(maps, RADIUS_A)


def mixed(members):
    """Maps of an ensemble, from those of members that see different things."""
    mean = np.mean([one.mean for one in members], axis=0)
    return ProbabilityMaps(mean, np.concatenate([one.atom for one in members]), PIXEL_A)


def test_sub_pixel_centres_and_classes(rng):
    x, y = np.meshgrid(np.arange(8, 60, 10), np.arange(8, 44, 10))
    centres = np.column_stack([x.ravel(), y.ravel()]) + rng.uniform(-0.5, 0.5, (x.size, 2))
    classes = rng.integers(1, 3, len(centres))
    blobs = found(disc_maps(SHAPE, centres, classes))
    assert len(blobs.positions_px) == len(centres)
    order = np.linalg.norm(centres[:, None] - blobs.positions_px, axis=2).argmin(axis=1)
    assert np.abs(blobs.positions_px[order] - centres).max() < TOLERANCE_PX
    np.testing.assert_array_equal(blobs.classes[order], classes)
    assert blobs.probability.min() > 0.85
    assert (blobs.detection == 1).all()
    assert np.abs(blobs.spread_px).max() == 0


@settings(max_examples=30, deadline=None)
@given(st.floats(10, 50), st.floats(10, 38), st.floats(0.6, 1.0))
def test_one_atom_anywhere(x, y, height):
    blobs = found(disc_maps(SHAPE, [(x, y)], [1], height))
    assert len(blobs.positions_px) == 1
    assert np.abs(blobs.positions_px[0] - (x, y)).max() < TOLERANCE_PX
    assert 0.8 * height < blobs.probability[0] <= height


def test_nothing_there():
    blobs = found(disc_maps(SHAPE, [], [], n_members=3))
    assert blobs.positions_px.shape == (0, 2)
    for values in (blobs.classes, blobs.probability, blobs.detection, blobs.spread_px):
        assert values.shape == (0,)


def test_too_faint_or_too_small_is_no_atom():
    assert len(found(disc_maps(SHAPE, [(20, 20)], [1], 0.4)).positions_px) == 0
    for side, n_atoms in ((1, 0), (3, 0), (5, 1)):  # 9 pixels of certainty are less than 35 % of a disc's 28
        speck = disc_maps(SHAPE, [], [])
        speck.mean[:, 20 : 20 + side, 20 : 20 + side] = np.array([0, 1, 0])[:, None, None]
        assert len(found(speck).positions_px) == n_atoms


@pytest.mark.parametrize("n_saw", [2, 3])
def test_atoms_missed_by_a_member_stay_with_lower_detection(n_saw):
    both = disc_maps(SHAPE, [(20, 20), (40, 25)], [1, 2])
    one = disc_maps(SHAPE, [(40, 25)], [2])
    blobs = found(mixed([both] * n_saw + [one] * (3 - n_saw)))
    assert len(blobs.positions_px) == 2
    carbon = blobs.classes == 1
    assert blobs.detection[carbon] == pytest.approx(n_saw / 3)
    assert blobs.detection[~carbon] == 1
    assert blobs.probability[carbon] == pytest.approx(n_saw / 3 * blobs.probability[~carbon], rel=0.05)


def test_spread_of_members():
    blobs = found(mixed([disc_maps(SHAPE, [(20 + d, 20)], [1]) for d in (-0.3, 0.0, 0.3)]))
    assert blobs.positions_px[0] == pytest.approx([20, 20], abs=0.02)
    # Along x 0.3 px, along y none; per axis 0.3 / √2. A member's window stays at the common centre and sees less.
    assert 0.4 * 0.3 / np.sqrt(2) < blobs.spread_px[0] < 1.1 * 0.3 / np.sqrt(2)


def test_plateau_is_one_atom():
    """A probability of exactly one over a square wider than a peak: all its pixels are equal maxima."""
    maps = disc_maps(SHAPE, [], [])
    maps.mean[:, 18:23, 30:35] = np.array([0, 1, 0])[:, None, None]
    blobs = found(maps)
    assert blobs.positions_px == pytest.approx(np.array([[32, 20]]), abs=1e-3)


@pytest.mark.parametrize("distance_A", [1.3, 1.42, 2.2])
@pytest.mark.parametrize("angle_deg", [0, 20, 45])
def test_neighbours_stay_apart(distance_A, angle_deg):
    half = distance_A / PIXEL_A / 2 * np.array([np.cos(np.deg2rad(angle_deg)), np.sin(np.deg2rad(angle_deg))])
    centres = np.array([30.2, 24.4]) + np.array([-half, half])
    blobs = found(disc_maps(SHAPE, centres, [1, 2]))
    assert len(blobs.positions_px) == 2
    from_left = blobs.positions_px[:, 0].argsort()
    np.testing.assert_allclose(blobs.positions_px[from_left], centres, atol=TOLERANCE_PX)
    np.testing.assert_array_equal(blobs.classes[from_left], [1, 2])


def test_peaks_of_one_atom_become_one():
    """A broad blob with two faint summits less than 0.6 Å apart after centring."""
    maps = disc_maps(SHAPE, [(28.6, 20), (32.4, 20)], [1, 1], [0.8, 1.0])
    blobs = found(maps)
    assert len(blobs.positions_px) == 1


def corner_or_edge_centres(inwards_px):
    """Centres `inwards_px` from the outer edge at each side of a frame of `SHAPE`."""
    low, right, bottom = inwards_px - 0.5, SHAPE[1] - 0.5 - inwards_px, SHAPE[0] - 0.5 - inwards_px
    return [(low, 20.3), (right, 20.3), (30.3, low), (30.3, bottom)]


@pytest.mark.parametrize("inwards_px", [0.5, 1.0, 2.0, 2.9])
@pytest.mark.parametrize("side", range(4))
def test_atom_cut_by_the_edge_is_found_where_it_is(inwards_px, side):
    centre = corner_or_edge_centres(inwards_px)[side]
    blobs = found(disc_maps(SHAPE, [centre], [1]))
    assert len(blobs.positions_px) == 1
    assert np.abs(blobs.positions_px[0] - centre).max() < EDGE_TOLERANCE_PX


@pytest.mark.parametrize("outwards_px", [1.0, 2.0, 2.9])
@pytest.mark.parametrize("side", range(4))
def test_atom_beyond_the_edge_is_not_of_this_frame(outwards_px, side):
    centre = corner_or_edge_centres(-outwards_px)[side]
    assert len(found(disc_maps(SHAPE, [centre], [1])).positions_px) == 0


def test_row_of_atoms_along_the_edge_is_not_doubled():
    x = np.arange(4, 62, 9.0)
    for y in (-1.5, 0.5, 2.5):
        blobs = found(disc_maps(SHAPE, np.column_stack([x, np.full(len(x), y)]), np.ones(len(x), int)))
        assert len(blobs.positions_px) == (0 if y < -0.5 else len(x))


@pytest.mark.parametrize("corner", [(0.2, 0.1), (-2.0, -2.0)])
def test_corner(corner):
    """A quarter of a disc is not enough."""
    assert len(found(disc_maps(SHAPE, [corner], [1])).positions_px) == 0


def test_many_maps_of_noise_give_atoms_apart(rng):
    for _ in range(20):
        logits = rng.normal(0, 4, (2, 3, *SHAPE)).astype(np.float32)
        maps = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        blobs = found(ProbabilityMaps(maps.mean(axis=0), 1 - maps[:, 0], PIXEL_A))
        assert np.isfinite(blobs.positions_px).all()
        distance = np.linalg.norm(blobs.positions_px[:, None] - blobs.positions_px, axis=2)
        np.fill_diagonal(distance, np.inf)
        assert distance.min(initial=np.inf) * PIXEL_A >= 0.6
        assert ((blobs.detection >= 0) & (blobs.detection <= 1)).all()
        assert ((blobs.probability >= 0) & (blobs.probability <= 1)).all()
