"""Measures of what latents say."""

import numpy as np
import pytest

from hpcstem.errors import HpcstemError
from hpcstem.latent.measures import misorientation_rad, mutual_information, ranking, resultant

SEED = np.random.SeedSequence(0)


def test_resultant_forgives_the_symmetry_and_an_offset_only() -> None:
    rng = np.random.default_rng(0)
    truth = rng.uniform(-np.pi, np.pi, 4000)
    turned = truth + 0.7 + rng.integers(3, size=4000) * 2.0 * np.pi / 3.0
    assert resultant(turned, truth, 3) == pytest.approx(1.0)
    assert resultant(turned, truth, 1) < 0.1
    assert resultant(truth[::-1], truth, 3) < 0.1
    assert np.abs(misorientation_rad(turned, truth, 3)).max() < 1e-9


def test_information_is_zero_without_relation_and_grows_with_it() -> None:
    rng = np.random.default_rng(1)
    angle = rng.uniform(-np.pi, np.pi, 4000)
    none = mutual_information(rng.normal(size=4000), angle, 3, SEED)
    assert abs(none.nats) < 4.0 * none.shuffled_deviation
    some = mutual_information(np.cos(3 * angle) + rng.normal(0, 1, 4000), angle, 3, SEED)
    much = mutual_information(np.cos(3 * angle) + rng.normal(0, 0.1, 4000), angle, 3, SEED)
    assert 10 * none.shuffled_deviation < some.nats < much.nats
    assert mutual_information(np.cos(angle), angle, 1, SEED).nats > 1.0
    with pytest.raises(HpcstemError, match="images for the mutual information"):
        mutual_information(angle[:100], angle[:100], 3, SEED)


def test_ranking_is_the_chance_of_the_right_order() -> None:
    scores, positive = np.array([3.0, 1.0, 2.0, 0.0]), np.array([True, False, False, True])
    assert ranking(scores, positive) == pytest.approx(0.5)
    assert ranking(scores, scores > 1.5) == 1.0
    with pytest.raises(HpcstemError, match="positives to rank"):
        ranking(scores, np.ones(4, bool))
