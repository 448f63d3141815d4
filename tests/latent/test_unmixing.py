"""Linear unmixing, and the plain autoencoder, of images that are mixtures of known parts."""

import numpy as np
import pytest
import torch

from hpcstem.errors import HpcstemError
from hpcstem.latent import unmixing
from hpcstem.latent.autoencoder import ConvolutionalAutoencoder
from hpcstem.latent.settings import AutoencoderConfig, TrainingConfig
from hpcstem.latent.sub_images import ImagesInMemory, batches
from hpcstem.latent.training import train
from hpcstem.latent.unmixing import unmix

N_PIXELS = 12
SEED = np.random.SeedSequence(0)


def _parts() -> np.ndarray:
    """Three images that do not overlap much."""
    rows, columns = np.indices((N_PIXELS, N_PIXELS))
    places = [(3, 3), (8, 3), (5, 9)]
    return np.array([np.exp(-((rows - r) ** 2 + (columns - c) ** 2) / 6.0) for r, c in places])


@pytest.fixture(scope="module")
def mixed() -> tuple[np.ndarray, np.ndarray, ImagesInMemory]:
    rng = np.random.default_rng(1)
    weights = rng.exponential(1.0, (600, 3))
    images = np.einsum("ik,krc->irc", weights, _parts()) + rng.normal(0.0, 0.02, (600, N_PIXELS, N_PIXELS))
    return _parts(), weights, ImagesInMemory(images)


def _best_match(found: np.ndarray, parts: np.ndarray) -> np.ndarray:
    both = np.corrcoef(np.concatenate([found.reshape(len(found), -1), parts.reshape(len(parts), -1)]))
    return np.abs(both[: len(found), len(found) :]).max(axis=0)


@pytest.mark.parametrize("method", ["ica", "nmf"])
def test_parts_are_found(mixed, method: unmixing.Method) -> None:
    parts, weights, images = mixed
    found = unmix(images, method, 3, SEED)
    assert found.weights.shape == (600, 3)
    assert (_best_match(found.components, parts) > 0.9).all()
    assert (_best_match(found.weights.T, weights.T) > 0.9).all()


def test_principal_components_span_the_parts(mixed) -> None:
    parts, _, images = mixed
    basis = unmix(images, "pca", 3, SEED).components.reshape(3, -1)
    flat = parts.reshape(3, -1)
    assert np.linalg.norm(flat - flat @ basis.T @ basis) < 0.1 * np.linalg.norm(flat)


def test_mixture_sorts_pure_images(mixed) -> None:
    parts, _, _ = mixed
    rng = np.random.default_rng(2)
    kind = rng.integers(3, size=300)
    images = ImagesInMemory(parts[kind] + rng.normal(0.0, 0.05, (300, N_PIXELS, N_PIXELS)))
    found = unmix(images, "gmm", 3, SEED)
    label = found.weights.argmax(axis=1)
    assert all(len(np.unique(label[kind == k])) == 1 for k in range(3))
    assert (_best_match(found.components, parts) > 0.99).all()


def test_batches_change_nothing_that_matters(mixed, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = unmix(mixed[2], "pca", 2, SEED)
    monkeypatch.setattr(unmixing, "_BATCH", 199)
    parts = unmix(mixed[2], "pca", 2, SEED)
    overlap = whole.components.reshape(2, -1) @ parts.components.reshape(2, -1).T
    assert np.allclose(np.abs(np.linalg.det(overlap)), 1.0, atol=0.01)
    assert sum(len(batch) for batch in batches(mixed[2], 7)) == 600


@pytest.mark.parametrize("n_components", [0, 601])
def test_components_have_bounds(mixed, n_components: int) -> None:
    with pytest.raises(HpcstemError, match="components to unmix"):
        unmix(mixed[2], "pca", n_components, SEED)


@pytest.mark.parametrize("variational", [False, True])
def test_autoencoder_explains_most_of_the_images(mixed, variational: bool) -> None:
    images = mixed[2]
    torch.manual_seed(0)
    model = ConvolutionalAutoencoder(N_PIXELS, AutoencoderConfig(n_content=3, variational=variational, noise=0.3))
    train(model, images, TrainingConfig(epochs=25, batch_size=25, learning_rate=3e-3), seed=0)
    original = torch.from_numpy(images.images)
    content = model.encode(original)
    drawn = model.decode(torch.from_numpy(content)).numpy()
    left = ((drawn - images.images) ** 2).mean() / images.images.var()
    assert left < 0.25
    if variational:
        # The prior is what the latents spread to.
        assert 0.5 < content.std(axis=0).mean() < 1.5
