"""Class probability maps of frames, from every member of an ensemble."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hpcstem.imaging.resample import resample
from hpcstem.segmentation.ensemble import Ensemble
from hpcstem.segmentation.normalise import normalise


@dataclass(frozen=True)
class ProbabilityMaps:
    """What an ensemble sees in one frame.

    Parameters
    ----------
    members
        Class probabilities of each member, with shape (n_members, n_classes, rows, columns), float32.
    pixel_size_A
        Pixel size of the maps [Å].
    """

    members: np.ndarray
    pixel_size_A: float

    @property
    def mean(self) -> np.ndarray:
        """Mean probabilities, with shape (n_classes, rows, columns), float32."""
        return self.members.mean(axis=0)

    @property
    def spread(self) -> np.ndarray:
        """Standard deviation over members of the probability that there is an atom, (rows, columns), float32."""
        return self.members[:, 0].std(axis=0)

    def part(self, rows: slice, columns: slice) -> ProbabilityMaps:
        """Return a part of the maps."""
        return ProbabilityMaps(self.members[:, :, rows, columns], self.pixel_size_A)


def prepared(frame: np.ndarray, pixel_size_A: float, ensemble: Ensemble) -> np.ndarray:
    """Bring a frame to the ensemble's pixel size and to its scale of intensity.

    Parameters
    ----------
    frame
        With shape (rows, columns), finite.
    pixel_size_A
        Pixel size of the frame [Å].
    ensemble
        The networks.

    Returns
    -------
    numpy.ndarray
        With shape (new rows, new columns), float32.
    """
    size_A = ensemble.card.pixel_size_A
    return normalise(resample(frame[None], pixel_size_A, size_A), size_A)[0]


def predict(frame: np.ndarray, pixel_size_A: float, ensemble: Ensemble) -> ProbabilityMaps:
    """Run every member on one frame.

    The frame is brought to the ensemble's pixel size, normalised, and padded by reflection to the size that the
    network's poolings need.

    Parameters
    ----------
    frame
        With shape (rows, columns), finite.
    pixel_size_A
        Pixel size of the frame [Å].
    ensemble
        The networks.
    """
    return predict_prepared(prepared(frame, pixel_size_A, ensemble), ensemble)


def predict_prepared(image: np.ndarray, ensemble: Ensemble) -> ProbabilityMaps:
    """Run every member on what `prepared` returns, or on a part of it."""
    import torch

    rows, columns = image.shape
    networks = ensemble.networks()
    step = networks[0].reduction
    padded = torch.from_numpy(np.pad(image, [(0, -rows % step), (0, -columns % step)], mode="symmetric"))[None, None]
    with torch.inference_mode():
        maps = torch.cat([network(padded).softmax(dim=1) for network in networks])
    return ProbabilityMaps(maps[..., :rows, :columns].numpy(), ensemble.card.pixel_size_A)
