"""A shift of the two sublattices against each other, told from positions alone."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

from hpcstem.segmentation.sublattice_bias import sublattice_bias
from hpcstem.structure.graphene import graphene_sheet


@pytest.mark.parametrize(("shift_A", "noise_A"), [(0.0, 0.06), (0.04, 0.06), (0.04, 0.02)])
def test_a_shift_of_the_sublattices_is_told_from_noise(shift_A, noise_A, rng):
    sheet = graphene_sheet(40.0, 40.0).positions[:, :2]
    neighbours = cKDTree(sheet).query(sheet, k=2)[1][:, 1]
    one_side = np.sin(3 * np.arctan2(*(sheet[neighbours] - sheet).T[::-1])) > 0
    bent = sheet @ np.array([[1.02, 0.03], [0.0, 0.98]]) + rng.normal(0, noise_A, sheet.shape)
    bent[:, 0] += np.where(one_side, shift_A, -shift_A)
    assert sublattice_bias(bent) == pytest.approx(shift_A**2 / 2, rel=0.25)


def test_other_lattices_have_no_such_shift(rng):
    square = np.stack(np.meshgrid(np.arange(30.0), np.arange(30.0)), axis=-1).reshape(-1, 2)
    for positions in (square, rng.uniform(0, 30, (600, 2)), square[:20], np.zeros((0, 2))):
        assert sublattice_bias(positions) == 0.0
