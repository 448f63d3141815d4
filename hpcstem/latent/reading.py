"""Reading latents: the manifold that the decoder draws, mixtures of the latents, and how alike images are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import rotate

from hpcstem.errors import HpcstemError
from hpcstem.imaging.similarity import structural_similarity

Decode = Callable[[np.ndarray], np.ndarray]
"""From contents (n, n_content) to images (n, n_pixels, n_pixels)."""


@dataclass(frozen=True, eq=False)
class LatentMixture:
    """A Gaussian mixture of contents.

    Parameters
    ----------
    label
        Component of each image, most frequent component 0, with shape (n_images,), int64.
    share
        Share of the images in each, with shape (n_components,), float64.
    centroids
        Contents in the middle of each, with shape (n_components, n_content), float64.
    images
        What the decoder draws there, with shape (n_components, n_pixels, n_pixels).
    """

    label: np.ndarray
    share: np.ndarray
    centroids: np.ndarray
    images: np.ndarray


def manifold(content: np.ndarray, decode: Decode, n_side: int = 7) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw the first two latents over where most images are, the others at their medians.

    Parameters
    ----------
    content
        Contents of all images, with shape (n_images, n_content).
    decode
        The decoder.
    n_side
        Images along each of the two.

    Returns
    -------
    first, second : numpy.ndarray
        Values of the two, with shape (n_side,), float64: evenly spaced from the 2nd to the 98th percentile. With one
        latent `second` is a single 0.
    images : numpy.ndarray
        With shape (len(second), n_side, n_pixels, n_pixels); the first latent goes right, the second up.
    """
    low, high = np.percentile(content, [2, 98], axis=0)
    first = np.linspace(low[0], high[0], n_side)
    second = np.linspace(low[1], high[1], n_side) if content.shape[1] > 1 else np.zeros(1)
    points = np.tile(np.median(content, axis=0), (len(second) * n_side, 1))
    points[:, 0] = np.tile(first, len(second))
    if content.shape[1] > 1:
        points[:, 1] = np.repeat(second[::-1], n_side)
    images = decode(points)
    return first, second, images.reshape(len(second), n_side, *images.shape[1:])


def latent_mixture(
    content: np.ndarray, decode: Decode, n_components: int, seed: np.random.SeedSequence
) -> LatentMixture:
    """Sort images by a Gaussian mixture of their contents, and draw the middles.

    Parameters
    ----------
    content
        Contents of all images, with shape (n_images, n_content).
    decode
        The decoder.
    n_components
        Components.
    seed
        Source of all randomness.

    Raises
    ------
    HpcstemError
        More components than images.
    """
    from sklearn.mixture import GaussianMixture

    if not 1 <= n_components <= len(content):
        raise HpcstemError("components of the mixture", n_components, f"1 to the number of images, {len(content)}")
    values = np.asarray(content, np.float64)
    mixture = GaussianMixture(
        n_components, n_init=3, reg_covar=1e-6 * float(values.var()), random_state=int(seed.generate_state(1)[0])
    ).fit(values)
    label = mixture.predict(values)
    counts = np.bincount(label, minlength=n_components)
    order = np.argsort(-counts, kind="stable")
    rank = np.empty(n_components, np.int64)
    rank[order] = np.arange(n_components)
    centroids = mixture.means_[order]
    return LatentMixture(rank[label], counts[order] / len(label), centroids, decode(centroids))


def oddness(content: np.ndarray, mixture: LatentMixture) -> np.ndarray:
    """Distance of each content from the most frequent component of its mixture, in that component's deviations.

    Edges and defects lie on different sides of what is common, so that no single latent need put all of them at one
    end; and which axes a latent space has is arbitrary. This distance does not depend on them.

    Parameters
    ----------
    content
        With shape (n_images, n_content).
    mixture
        Of these contents.

    Returns
    -------
    numpy.ndarray
        Mahalanobis distance, with shape (n_images,), float64.
    """
    values = np.asarray(content, np.float64)
    common = values[mixture.label == 0]
    covariance = np.atleast_2d(np.cov(common.T)) + 1e-9 * values.var() * np.eye(values.shape[1])
    off = values - common.mean(axis=0)
    return np.asarray(np.sqrt(np.einsum("ij,ji->i", off, np.linalg.solve(covariance, off.T))))


def similarity_matrix(images: np.ndarray, n_turns: int = 1) -> np.ndarray:
    """Structural similarity of each two images, the greatest over some turns of one of them.

    Parameters
    ----------
    images
        With shape (n, n_pixels, n_pixels).
    n_turns
        Evenly spaced turns; with 1 none is turned.

    Returns
    -------
    numpy.ndarray
        With shape (n, n), float64, symmetric, 1 on the diagonal.
    """
    images = np.asarray(images, np.float64)
    span = float(np.ptp(images)) or 1.0
    angles_deg = 360.0 * np.arange(n_turns) / n_turns
    turned = [[rotate(image, a, reshape=False, order=1, mode="nearest") for a in angles_deg] for image in images]
    scores = np.eye(len(images))
    for i, j in zip(*np.triu_indices(len(images), 1), strict=True):
        ways = [structural_similarity(images[i], other, span) for other in turned[j]]
        scores[i, j] = scores[j, i] = max(ways)
    return scores
