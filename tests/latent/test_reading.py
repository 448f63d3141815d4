"""Reading of latents whose answer is known."""

import numpy as np
import pytest

from hpcstem.errors import HpcstemError
from hpcstem.latent.reading import latent_mixture, manifold, oddness, similarity_matrix

SEED = np.random.SeedSequence(0)


def _images(content: np.ndarray) -> np.ndarray:
    """A bar as wide as the first latent says, as bright as the second."""
    columns = np.arange(16)
    width = 1.0 + np.abs(np.asarray(content)[:, :1, None])
    return np.exp(-(((columns - 7.5) / width) ** 2)) * (2.0 + np.asarray(content)[:, 1:2, None]) * np.ones((16, 1))


@pytest.fixture(scope="module")
def contents() -> np.ndarray:
    """Many at one place, few on two sides of it."""
    rng = np.random.default_rng(1)
    places, counts = [(0.0, 0.0), (4.0, 4.0), (-4.0, -4.0)], (400, 60, 40)
    return np.concatenate([rng.normal(place, 0.3, (n, 2)) for place, n in zip(places, counts, strict=True)])


def test_mixture_finds_the_places_and_orders_them(contents: np.ndarray) -> None:
    found = latent_mixture(contents, _images, 3, SEED)
    assert np.allclose(found.share, [0.8, 0.12, 0.08], atol=0.01)
    assert np.allclose(found.centroids, [[0, 0], [4, 4], [-4, -4]], atol=0.2)
    assert np.allclose(found.images, _images(found.centroids))
    with pytest.raises(HpcstemError, match="components of the mixture"):
        latent_mixture(contents, _images, 501, SEED)


def test_oddness_does_not_depend_on_the_side_or_the_axes(contents: np.ndarray) -> None:
    odd = oddness(contents, latent_mixture(contents, _images, 3, SEED))
    assert odd[400:].min() > odd[:400].max()
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    assert np.allclose(oddness(contents @ turn, latent_mixture(contents @ turn, _images, 3, SEED)), odd, rtol=1e-3)


def test_manifold_goes_right_and_up(contents: np.ndarray) -> None:
    first, second, images = manifold(contents, _images, 5)
    assert images.shape == (5, 5, 16, 16)
    assert np.allclose(images[0, 3], _images(np.array([[first[3], second[-1]]]))[0])
    _, alone, line = manifold(contents[:, :1], lambda content: _images(np.pad(content, ((0, 0), (0, 1)))), 5)
    assert (len(alone), line.shape) == (1, (1, 5, 16, 16))


def test_turned_images_are_alike_after_a_turn() -> None:
    rows, columns = np.indices((24, 24)) - 11.5
    bar = np.exp(-((rows / 2.0) ** 2))
    images = np.stack([bar, np.exp(-((columns / 2.0) ** 2))])
    assert similarity_matrix(images)[0, 1] < 0.5
    assert similarity_matrix(images, 4)[0, 1] > 0.95
