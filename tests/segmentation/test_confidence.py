"""The probability of an atom is the chance that it is there."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit

from hpcstem.errors import ModelError
from hpcstem.segmentation import Ensemble, decode_frame
from hpcstem.segmentation.confidence import fit_confidence
from hpcstem.segmentation.held_out import held_out_images


def test_stated_is_observed_on_other_images(ensemble):
    """At doses below those of the recipe, where more atoms are found that are not there."""
    seen = list(held_out_images(ensemble, 40, "other images", (15.0, 60.0)))
    raw, there = (np.concatenate([getattr(one, name) for one in seen]) for name in ("probability", "there"))
    stated = ensemble.card.confidence.chance(raw)
    assert (~there).sum() > 10
    for low, high in ((0, 0.95), (0.95, 0.995), (0.995, 1)):
        part = (stated >= low) & (stated <= high)
        error = np.sqrt((stated * (1 - stated))[part].sum()) / part.sum()
        print(f"{low}-{high}: {part.sum()} atoms, {stated[part].mean():.4f} stated, {there[part].mean():.4f} there")
        assert abs(there[part].mean() - stated[part].mean()) < 3 * error
    modest = raw[stated > 0.95].mean()
    assert there[stated > 0.95].mean() - modest > 0.05, "the networks' own number would not do"


def test_the_function_is_recovered(rng):
    probability = rng.beta(3, 1, 40_000)
    odds = probability / (1 - probability)
    chance = expit(-1.0 + 1.5 * 2 * (np.sqrt(np.minimum(odds, 1e4)) - 1))
    found = fit_confidence(probability, rng.uniform(size=40_000) < chance, 10)
    np.testing.assert_allclose(found.chance(probability), chance, atol=0.03)
    assert (found.n_images, found.n_found) == (10, 40_000)


@pytest.mark.parametrize("there", [True, False])
def test_atoms_that_are_all_alike_leave_it_finite(there):
    found = fit_confidence(np.linspace(0.5, 0.9, 98), np.full(98, there), 1)
    np.testing.assert_allclose(found.chance(np.array([0.0, 0.7, 1.0])), 0.99 if there else 0.01, rtol=0.02)


def test_more_probable_is_never_less_likely(ensemble):
    assert (np.diff(ensemble.card.confidence.chance(np.linspace(0, 1, 101))) >= 0).all()


def test_a_card_without_it_leaves_the_networks_number(ensemble, rng):
    frame = rng.poisson(np.tile(np.kron(np.eye(2), np.ones((9, 9))) * 200 + 20, (3, 3)))
    old = replace(ensemble, card=ensemble.card.model_copy(update={"confidence": None}))
    raw, stated = (decode_frame(frame, 0.16, one, refine=False).probability for one in (old, ensemble))
    assert len(raw)
    np.testing.assert_allclose(stated, ensemble.card.confidence.chance(raw))


def test_cards_of_the_first_format_are_read_and_later_ones_refused(small_folder):
    card = json.loads((small_folder / "ensemble.json").read_text())
    del card["confidence"]
    (small_folder / "ensemble.json").write_text(json.dumps({**card, "format": 1}))
    assert Ensemble.load(small_folder).card.confidence is None
    (small_folder / "ensemble.json").write_text(json.dumps({**card, "format": 3}))
    with pytest.raises(ModelError, match="format"):
        Ensemble.load(small_folder)
