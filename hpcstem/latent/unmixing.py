"""Linear unmixing of sub-images, a batch at a time: principal and independent components, factors, mixtures.

None of these knows of turns: a configuration at another angle is another component.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from hpcstem.errors import HpcstemError
from hpcstem.latent.sub_images import SubImages, batches

Method = Literal["pca", "ica", "nmf", "gmm"]
_BATCH = 2000
_MOST_SCORES = 16
"""Principal components that independent components and mixtures see."""
_PASSES = 5
"""Times that non-negative factors see each image."""


@dataclass(frozen=True, eq=False)
class Unmixed:
    """What sub-images are made of.

    Parameters
    ----------
    method
        How they were unmixed.
    components
        Images, for a mixture the means of its components, with shape (n_components, n_pixels, n_pixels), float64.
    weights
        How much of each is in each image, for a mixture its probability, with shape (n_images, n_components), float64.
    """

    method: Method
    components: np.ndarray
    weights: np.ndarray


def unmix(images: SubImages, method: Method, n_components: int, seed: np.random.SeedSequence) -> Unmixed:
    """Unmix sub-images by scikit-learn.

    Parameters
    ----------
    images
        Read in order, a batch at a time; principal components, factors and scores are kept, never all images.
    method
        `pca`, `ica`, `nmf` of the values above the least one, or `gmm`.
    n_components
        Number of components.
    seed
        Source of all randomness.

    Raises
    ------
    HpcstemError
        More components than images or pixels.
    """
    most = min(len(images), images.n_pixels**2, _BATCH)
    if not 1 <= n_components <= most:
        raise HpcstemError("components to unmix", n_components, f"1 to {most}")
    random = int(seed.generate_state(1)[0])
    if method == "nmf":
        components, weights = _nmf(images, n_components, random)
    else:
        components, weights = _by_scores(images, method, n_components, random)
    return Unmixed(method, components.reshape(-1, images.n_pixels, images.n_pixels), weights)


def _by_scores(images: SubImages, method: Method, n_components: int, random: int) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.decomposition import FastICA, IncrementalPCA
    from sklearn.mixture import GaussianMixture

    n_scores = n_components if method == "pca" else max(n_components, _MOST_SCORES)
    pca = IncrementalPCA(min(n_scores, len(images), images.n_pixels**2))
    for batch in _flat_batches(images, pca.n_components):
        pca.partial_fit(batch)
    scores = np.concatenate([pca.transform(batch) for batch in _flat_batches(images, 1)])
    if method == "pca":
        return pca.components_, scores
    if method == "ica":
        ica = FastICA(n_components, whiten="unit-variance", random_state=random, max_iter=500)
        weights = ica.fit_transform(scores)
        return ica.mixing_.T @ pca.components_, weights
    mixture = GaussianMixture(
        n_components,
        covariance_type="diag",
        n_init=4,
        reg_covar=1e-6 * float(scores.var()),
        random_state=random,
    )
    weights = mixture.fit(scores).predict_proba(scores)
    return pca.inverse_transform(mixture.means_), weights


def _nmf(images: SubImages, n_components: int, random: int) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.decomposition import MiniBatchNMF

    least = min(float(batch.min()) for batch in batches(images))
    nmf = MiniBatchNMF(n_components, random_state=random, forget_factor=1.0)
    for _ in range(_PASSES):
        for batch in _flat_batches(images, n_components):
            nmf.partial_fit(batch - least)
    weights = np.concatenate([nmf.transform(batch - least) for batch in _flat_batches(images, 1)])
    return nmf.components_, weights


def _flat_batches(images: SubImages, least: int):  # type: ignore[no-untyped-def]
    """Batches of flat images; what is left at the end goes with the one before it where it is less than `least`."""
    n, starts = len(images), list(range(0, len(images), _BATCH))
    if len(starts) > 1 and n - starts[-1] < least:
        starts.pop()
    for begin, end in zip(starts, [*starts[1:], n], strict=True):
        yield images.read(np.arange(begin, end)).reshape(end - begin, -1).astype(np.float64)
