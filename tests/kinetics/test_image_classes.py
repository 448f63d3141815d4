"""Classes of sub-images under discrete rotations."""

import numpy as np
import pytest
from scipy.ndimage import rotate

from hpcstem.errors import HpcstemError
from hpcstem.imaging.similarity import structural_similarity
from hpcstem.kinetics.image_classes import image_classes

N = 25


def _spots(places: list[tuple[float, float, float]]) -> np.ndarray:
    """Image of Gaussian spots at (x, y) from the middle, with weights."""
    axis = np.arange(N) - (N - 1) / 2
    x, y = np.meshgrid(axis, axis)
    return sum(w * np.exp(-((x - a) ** 2 + (y - b) ** 2) / 6.0) for a, b, w in places)


def _on_circle(angles_deg: list[float], weights: list[float]) -> np.ndarray:
    return _spots(
        [
            (7 * np.cos(np.radians(angle)), 7 * np.sin(np.radians(angle)), weight)
            for angle, weight in zip(angles_deg, weights, strict=True)
        ]
    )


PATTERNS = [
    _on_circle([0, 120, 240], [1, 1, 1]) + _spots([(0, 0, 2.0)]),
    _on_circle([0, 90, 180, 270], [1, 1, 1, 1]) + _spots([(0, 0, 2.0)]),
    _on_circle([0, 60], [2, 1]),
]


@pytest.fixture(scope="module")
def turned() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images, patterns and turns by 60°."""
    rng = np.random.default_rng(40)
    pattern = rng.choice(3, 420, p=[0.5, 0.3, 0.2])
    turn = rng.integers(6, size=420)
    images = np.array(
        [rotate(PATTERNS[p], 60.0 * k, reshape=False, order=3) for p, k in zip(pattern, turn, strict=True)]
    )
    return images + rng.normal(0.0, 0.15, images.shape), pattern, turn


def test_patterns_are_found_however_they_are_turned(turned) -> None:
    images, pattern, _ = turned
    found = image_classes(images, 14, 6, 0.7, np.random.SeedSequence(1))
    assert found.label.max() == 2
    assert np.mean(found.label == pattern) > 0.99
    assert (np.bincount(found.label)[:-1] >= np.bincount(found.label)[1:]).all()
    assert len(found.component_class) > 6


def test_turns_are_those_that_were_made(turned) -> None:
    images, pattern, turn = turned
    found = image_classes(images, 14, 6, 0.7, np.random.SeedSequence(1))
    chosen = pattern == 2
    # The pattern without symmetry: turns are known but for the one of the class's own image.
    offset = (turn[chosen] - found.turn[chosen]) % 6
    assert np.mean(offset == np.bincount(offset).argmax()) > 0.97


def test_without_the_symmetry_turned_patterns_stay_apart(turned) -> None:
    images, _, _ = turned
    found = image_classes(images, 14, 1, 0.7, np.random.SeedSequence(1))
    assert found.label.max() > 5


def test_classes_repeat_with_the_seed(turned) -> None:
    images = turned[0][:100]
    one, other = (image_classes(images, 6, 6, 0.7, np.random.SeedSequence(3)) for _ in range(2))
    assert np.array_equal(one.label, other.label)
    assert np.array_equal(one.similarity, other.similarity)
    assert np.allclose(np.diag(one.similarity), 1.0)
    assert np.allclose(one.similarity, one.similarity.T)


def test_structural_similarity_of_known_pairs() -> None:
    image = PATTERNS[0]
    noisy = image + np.random.default_rng(2).normal(0.0, 0.5, image.shape)
    assert structural_similarity(image, image, 2.0) == pytest.approx(1.0)
    assert structural_similarity(image, noisy, 2.0) == pytest.approx(structural_similarity(noisy, image, 2.0))
    assert structural_similarity(image, noisy, 2.0) < 0.7
    noise = noisy - image
    assert structural_similarity(5.0 + noise, 5.0 - noise, 2.0) < -0.5


@pytest.mark.parametrize(
    ("images", "n_components", "symmetry", "similarity", "about"),
    [
        (np.zeros((5, 4, 3)), 2, 6, 0.7, "shape"),
        (np.full((5, 9, 9), np.nan), 2, 6, 0.7, "finite"),
        (np.zeros((5, 9, 9)), 6, 6, 0.7, "number of images"),
        (np.zeros((5, 9, 9)), 2, 0, 0.7, "symmetry"),
        (np.zeros((5, 9, 9)), 2, 6, 1.5, "similarity"),
    ],
)
def test_what_cannot_be_sorted_is_refused(images, n_components, symmetry, similarity, about) -> None:
    with pytest.raises(HpcstemError, match=about):
        image_classes(images, n_components, symmetry, similarity, np.random.SeedSequence(0))
