"""Classes of sub-images: a Gaussian mixture, whose components are joined where one is another turned.

As for the edges of graphene in [1]_: a mixture finds a component for every orientation of a configuration; those that a
turn of the lattice's symmetry makes alike, by their structural similarity, are one class.

References
----------
.. [1] M. Ziatdinov et al., Building and exploring libraries of atomic defects in graphene, Science Advances 5, eaaw8989
   (2019), https://doi.org/10.1126/sciadv.aaw8989
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.ndimage import rotate
from scipy.spatial.distance import squareform

from hpcstem.errors import HpcstemError
from hpcstem.imaging.similarity import inner_disc, structural_similarity

_MOST_FEATURES = 16
"""Principal components that the mixture sees."""


@dataclass(frozen=True, eq=False)
class ImageClasses:
    """Classes of sub-images.

    Parameters
    ----------
    label
        Class of each sub-image, most frequent class 0, with shape (n_images,), int64.
    turn
        Turns by 360° over the symmetry that bring the mean image of its class onto the sub-image, counter-clockwise
        as the image is shown, with shape (n_images,), int64.
    probability
        Of its class in the mixture, with shape (n_images,), float64.
    component_class
        Class of each component of the mixture, with shape (n_components,), int64.
    component_image
        Mean of the sub-images, and their turned copies, of each component, with shape (n_components, n, n), float64.
    similarity
        Greatest structural similarity of two components over all turns, with shape (n_components, n_components).
    """

    label: np.ndarray
    turn: np.ndarray
    probability: np.ndarray
    component_class: np.ndarray
    component_image: np.ndarray
    similarity: np.ndarray


def image_classes(
    images: np.ndarray, n_components: int, symmetry: int, min_similarity: float, seed: np.random.SeedSequence
) -> ImageClasses:
    """Sort sub-images into classes that do not depend on how they are turned.

    Parameters
    ----------
    images
        Square sub-images around the things to be sorted, with shape (n_images, n, n). Only the disc inside counts.
    n_components
        Components of the mixture: as many as configurations times orientations, rather more than fewer.
    symmetry
        Order of the rotations that the lattice allows: 6 for graphene around the middle of a hexagon, 3 around an
        atom.
    min_similarity
        Least structural similarity of any two components of one class, 0 to 1.
    seed
        Source of all randomness.

    Raises
    ------
    HpcstemError
        Shapes, numbers or bounds that cannot be used.
    """
    images = np.asarray(images, np.float64)
    if images.ndim != 3 or images.shape[1] != images.shape[2] or not np.isfinite(images).all():
        raise HpcstemError("sub-images", f"shape {images.shape}", "finite values of shape (n_images, n, n)")
    if not 1 <= n_components <= len(images):
        raise HpcstemError("components of the mixture", n_components, f"1 to the number of images, {len(images)}")
    if symmetry < 1 or not 0.0 < min_similarity <= 1.0:
        raise HpcstemError("symmetry and similarity", f"{symmetry}, {min_similarity}", "1 or more, above 0 and up to 1")
    # Every orientation of every configuration is as likely a sight as it is: the mixture learns from all turned copies.
    copies = [images, *(_turned(images, 360.0 * k / symmetry) for k in range(1, symmetry))]
    every = np.concatenate(copies)
    component, probability = _mixture(every, n_components, seed)
    numbers, component = np.unique(component, return_inverse=True)
    means = np.array([every[component == k].mean(axis=0) for k in range(len(numbers))])
    component, probability = component[: len(images)], probability[: len(images)]
    turned = np.array([[_turned(mean, -360.0 * k / symmetry) for k in range(symmetry)] for mean in means])
    span = float(means.max() - means.min()) or 1.0
    scores = np.array([[[structural_similarity(a, b, span) for b in turns] for turns in turned] for a in means])
    # A turned there and b turned back differ by interpolation alone.
    similarity = (scores.max(axis=2) + scores.max(axis=2).T) / 2.0
    np.fill_diagonal(similarity, 1.0)
    group = _joined(similarity, min_similarity)
    sizes = np.bincount(group[component], minlength=group.max() + 1)
    rank = np.empty(len(sizes), np.int64)
    rank[np.argsort(-sizes, kind="stable")] = np.arange(len(sizes))
    component_class = rank[group]
    weight = np.bincount(component, minlength=len(means))
    turn = np.zeros(len(means), np.int64)
    for k in range(len(sizes)):
        members = np.flatnonzero(component_class == k)
        turn[members] = scores[members[weight[members].argmax()], members].argmax(axis=1)
    return ImageClasses(component_class[component], turn[component], probability, component_class, means, similarity)


def _mixture(images: np.ndarray, n_components: int, seed: np.random.SeedSequence) -> tuple[np.ndarray, np.ndarray]:
    """Component of each image and its probability."""
    from sklearn.decomposition import PCA
    from sklearn.mixture import GaussianMixture

    pixels = images[:, inner_disc(images.shape[1])]
    n_features = min(_MOST_FEATURES, *pixels.shape)
    pca_seed, mixture_seed = (int(k) for k in seed.generate_state(2))
    features = PCA(n_features, random_state=pca_seed).fit_transform(pixels)
    mixture = GaussianMixture(
        n_components,
        covariance_type="diag",
        n_init=4,
        reg_covar=1e-6 * float(features.var()),
        random_state=mixture_seed,
    )
    probabilities = mixture.fit(features).predict_proba(features)
    return probabilities.argmax(axis=1), probabilities.max(axis=1)


def _joined(similarity: np.ndarray, least: float) -> np.ndarray:
    """Group of each component: complete linkage, so that no two of a group are less alike than `least`."""
    if len(similarity) < 2:
        return np.zeros(len(similarity), np.int64)
    distance = squareform(np.clip(1.0 - similarity, 0.0, None), checks=False)
    return np.asarray(fcluster(linkage(distance, "complete"), 1.0 - least, "distance"), np.int64) - 1


def _turned(images: np.ndarray, angle_deg: float) -> np.ndarray:
    """Turn images counter-clockwise as they are shown, in their last two axes."""
    return np.asarray(rotate(images, angle_deg, axes=(-1, -2), reshape=False, order=3, mode="nearest"))
