"""Class masks."""

import numpy as np
import pytest

from hpcstem.imaging.masks import CLASSES, class_mask


def test_radius_and_class():
    mask = class_mask(np.array([[20.0, 10.0]]), np.array(["Si"]), (32, 40), 4.0)
    y, x = np.mgrid[:32, :40]
    inside = (x - 20) ** 2 + (y - 10) ** 2 < 16
    on_rim = (x - 20) ** 2 + (y - 10) ** 2 == 16
    assert (mask[inside] == CLASSES.index("Si")).all()
    assert (mask[~inside & ~on_rim] == 0).all()
    assert mask.dtype == np.uint8


def test_the_nearer_atom_wins():
    mask = class_mask(np.array([[10.0, 10.0], [15.0, 10.0]]), np.array(["C", "Si"]), (20, 30), 4.0)
    np.testing.assert_array_equal(mask[10, 6:20], [0, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 0])


def test_atoms_outside_show_their_part():
    mask = class_mask(np.array([[-2.0, 10.0], [50.0, 50.0]]), np.array(["C", "C"]), (20, 20), 4.0)
    assert mask[10, 0] == 1
    assert mask[10, 1] == 1
    assert mask[:, 2:].sum() == 0


def test_area():
    mask = class_mask(np.array([[50.3, 49.8]]), np.array(["C"]), (100, 100), 30.0)
    assert (mask == 1).sum() == pytest.approx(np.pi * 900, rel=0.01)


def test_no_atoms():
    assert class_mask(np.empty((0, 2)), np.empty(0, str), (5, 6), 2.0).sum() == 0
