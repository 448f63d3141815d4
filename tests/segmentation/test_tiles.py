"""A frame in parts gives the atoms of the whole."""

import numpy as np
import pytest
from simulated import frames_and_truth

from hpcstem.segmentation.inference import predict_prepared, prepared
from hpcstem.segmentation.locate import locate
from hpcstem.segmentation.tiles import find_blobs

PIXEL_A = 0.16
TOLERANCE_PX = 1e-3
LARGEST_DIFFERENCE = 1e-4
"""Of the probabilities: what rounding leaves."""


@pytest.fixture(scope="module")
def two(ensemble):
    return ensemble.subset(ensemble.card.members[:2])


@pytest.fixture(scope="module")
def image(two):
    return prepared(frames_and_truth(1, (230, 322), PIXEL_A, 300, seed=11)[0], PIXEL_A, two)


@pytest.fixture(scope="module")
def whole(image, two):
    return next(find_blobs(image, two))


def test_no_larger_than_a_tile_is_one_pass(image, two, whole):
    maps = next(predict_prepared(image, two))
    plain = locate(maps, two.card.atom_radius_A)
    np.testing.assert_array_equal(whole[0].positions_px, plain.positions_px)
    np.testing.assert_array_equal(whole[1], maps.spread)


def test_parts_give_the_atoms_of_the_whole(image, two, whole):
    blobs, spread = next(find_blobs(image, two, 128))
    assert np.abs(spread - whole[1]).max() < LARGEST_DIFFERENCE
    assert len(blobs.positions_px) == len(whole[0].positions_px)
    order, wanted = (np.lexsort(b.positions_px.round(1).T) for b in (blobs, whole[0]))
    difference = np.abs(blobs.positions_px[order] - whole[0].positions_px[wanted]).max()
    print(f"{len(order)} atoms, positions within {difference:.1e} px, spread {np.abs(spread - whole[1]).max():.1e}")
    assert difference < TOLERANCE_PX
    np.testing.assert_array_equal(blobs.classes[order], whole[0].classes[wanted])
    np.testing.assert_allclose(blobs.probability[order], whole[0].probability[wanted], atol=LARGEST_DIFFERENCE)
    np.testing.assert_allclose(blobs.spread_px[order], whole[0].spread_px[wanted], atol=TOLERANCE_PX)


def test_atoms_on_a_seam_are_found_once(image, two, whole):
    """Tiles of another size, whose seams other atoms lie on."""
    positions_px = whole[0].positions_px
    blobs, _ = next(find_blobs(image, two, 104))
    on_seam = (np.abs((positions_px + 0.5) % 104 - 52) > 51).any(axis=1)
    assert on_seam.sum() >= 5
    assert len(blobs.positions_px) == len(positions_px)
