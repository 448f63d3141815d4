"""The linear model against multislice by abTEM."""

import sys

import numpy as np
import pytest

from hpcstem.errors import ConfigError
from hpcstem.imaging.linear import ideal_image
from hpcstem.imaging.multislice import multislice_image
from hpcstem.imaging.probe import Probe
from hpcstem.imaging.training import TrainingRecipe, training_sample

PAIR_A = np.array([[1.6, 2.0], [3.4, 2.4]])
SPECIES = np.array(["C", "Si"])


def centre_px(image, columns):
    part = image[:, columns]
    row, column = (np.indices(part.shape).reshape(2, -1) @ part.ravel()) / part.sum()
    return np.array([column, row])


@pytest.fixture(scope="module")
def both():
    pytest.importorskip("abtem", reason="abTEM is not installed: pip install 'hpcstem[multislice]'")
    probe = Probe(convergence_mrad=20.0, source_sigma_A=0.3, coma_A=600.0)
    arguments = (PAIR_A, SPECIES, (22, 30), 0.16, probe)
    return multislice_image(*arguments), ideal_image(*arguments)


def test_both_models_show_the_same(both):
    multislice, linear = both
    correlation = np.corrcoef(multislice.ravel(), linear.ravel())[0, 1]
    print(f"correlation {correlation:.4f}")
    assert multislice.shape == linear.shape
    assert correlation > 0.97


def test_atoms_are_in_the_same_place_under_coma(both):
    multislice, linear = both
    for columns in (slice(0, 15), slice(15, 30)):
        distance_A = 0.16 * np.abs(centre_px(multislice, columns) - centre_px(linear, columns)).max()
        assert distance_A < 0.06


def test_without_abtem_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "abtem", None)
    recipe = TrainingRecipe(n_pixels=32, image_model="multislice")
    with pytest.raises(ConfigError, match=r"hpcstem\[multislice\]"):
        training_sample(recipe, np.random.SeedSequence(1))
