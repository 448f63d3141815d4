"""Atoms and their species from brightness alone: a first set of labels for real frames, without any network [1]_.

Spots are local maxima of the smoothed frame's negative Laplacian; a mixture of Gaussians over its height there parts
noise, carbon and silicon. It needs carbon to be the most frequent species and brightness to be even over the frame;
where that holds, its masks are training data for a network, which then does better.

References
----------
.. [1] M. Ziatdinov et al., ACS Nano 11 (2017) 12742. doi:10.1021/acsnano.7b07504
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase.data import atomic_numbers
from scipy import ndimage

from hpcstem.errors import ConfigError, ModelError
from hpcstem.imaging.masks import CLASSES
from hpcstem.imaging.probe import relative_contrast

_SPOT_SIGMA_A = 0.35
_LEAST_DISTANCE_A = 0.9
_MOST_COMPONENTS = 4
_LEAST_WIDTH = 0.1
"""Of a component, as a share of the median brightness: a single bright spot is no line of its own."""
_LEAST_BRIGHTNESS = 0.5
"""Of an atom, as a share of carbon's."""
_LEAST_SPOTS = 10


@dataclass(frozen=True)
class IntensityLabels:
    """Atoms of one frame, by brightness.

    Parameters
    ----------
    positions_px
        (x, y) [px], with shape (n_atoms, 2), float64.
    species
        With shape (n_atoms,), str.
    brightness
        Negative Laplacian at each, as a multiple of carbon's, with shape (n_atoms,), float64.
    components
        Brightness of each Gaussian of the mixture, likewise, and the share of the spots in it; ascending.
    """

    positions_px: np.ndarray
    species: np.ndarray
    brightness: np.ndarray
    components: tuple[tuple[float, float], ...]


def intensity_labels(frame: np.ndarray, pixel_size_A: float) -> IntensityLabels:
    """Label the atoms of a frame by brightness.

    Parameters
    ----------
    frame
        With shape (rows, columns), finite.
    pixel_size_A
        Pixel size [Å].

    Raises
    ------
    ModelError
        Fewer than ten spots.
    ConfigError
        scikit-learn is not installed.
    """
    positions_px, brightness = _spots(np.asarray(frame, float), pixel_size_A)
    if len(brightness) < _LEAST_SPOTS:
        raise ModelError("bright spots in the frame", len(brightness), f"at least {_LEAST_SPOTS}")
    scaled = brightness / np.median(brightness)
    means, weights, component = _mixture(scaled)
    carbon = means[weights.argmax()]
    contrast = {symbol: float(relative_contrast(np.array(atomic_numbers[symbol]))) for symbol in CLASSES[1:]}
    symbols = np.array(list(contrast))
    nearest = [
        symbols[np.abs(np.log(max(mean / carbon, 1e-9) / np.array(list(contrast.values())))).argmin()] for mean in means
    ]
    is_atom = means[component] >= _LEAST_BRIGHTNESS * carbon
    return IntensityLabels(
        positions_px[is_atom],
        np.array(nearest)[component][is_atom],
        scaled[is_atom] / carbon,
        tuple((float(mean / carbon), float(weight)) for mean, weight in zip(means, weights, strict=True)),
    )


def _spots(frame: np.ndarray, pixel_size_A: float) -> tuple[np.ndarray, np.ndarray]:
    """Local maxima (x, y) of the negative Laplacian, to a part of a pixel, and their heights."""
    # The negative Laplacian parts neighbours that a smoothed frame only shows as one ridge.
    smooth = -ndimage.gaussian_laplace(frame, _SPOT_SIGMA_A / pixel_size_A)
    reach = int(np.ceil(_LEAST_DISTANCE_A / pixel_size_A))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc = np.hypot(x, y) * pixel_size_A <= _LEAST_DISTANCE_A
    highest = (smooth == ndimage.maximum_filter(smooth, footprint=disc)) & (smooth > 0)
    highest[[0, -1]] = highest[:, [0, -1]] = False
    rows, columns = np.nonzero(highest)
    centre = smooth[rows, columns]
    shift = []
    for before, after in (
        (smooth[rows, columns - 1], smooth[rows, columns + 1]),
        (smooth[rows - 1, columns], smooth[rows + 1, columns]),
    ):
        curvature = np.minimum(before - 2 * centre + after, -np.finfo(float).tiny)
        shift.append(np.clip(0.5 * (before - after) / curvature, -0.5, 0.5))
    return np.column_stack([columns + shift[0], rows + shift[1]]), centre


def _mixture(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Means and weights, ascending, of the mixture with the lowest Bayes criterion; and the component of each value."""
    try:
        from sklearn.mixture import GaussianMixture
    except ImportError as error:
        raise ConfigError(
            "labels by intensity", "scikit-learn is not installed", "pip install 'hpcstem[kinetics]'"
        ) from error
    fits = [
        GaussianMixture(n, reg_covar=_LEAST_WIDTH**2, n_init=4, random_state=0).fit(values[:, None])
        for n in range(1, _MOST_COMPONENTS + 1)
    ]
    best = min(fits, key=lambda fit: fit.bic(values[:, None]))
    order = np.argsort(best.means_[:, 0])
    rank = np.argsort(order)
    return best.means_[order, 0], best.weights_[order], rank[best.predict(values[:, None])]
