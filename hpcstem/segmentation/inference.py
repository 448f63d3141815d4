"""Class probability maps of frames, from every member of an ensemble."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hpcstem.device import find_device
from hpcstem.imaging.resample import resample
from hpcstem.segmentation.ensemble import Ensemble
from hpcstem.segmentation.normalise import normalise


@dataclass(frozen=True)
class ProbabilityMaps:
    """What an ensemble sees in one frame.

    Parameters
    ----------
    mean
        Class probabilities, mean over the members, with shape (n_classes, rows, columns), float32.
    atom
        Each member's probability that there is an atom, with shape (n_members, rows, columns), float32.
    pixel_size_A
        Pixel size of the maps [Å].
    """

    mean: np.ndarray
    atom: np.ndarray
    pixel_size_A: float

    @property
    def spread(self) -> np.ndarray:
        """Standard deviation over members of the probability that there is an atom, (rows, columns), float32."""
        return self.atom.std(axis=0)

    def part(self, rows: slice, columns: slice) -> ProbabilityMaps:
        """Return a part of the maps."""
        return ProbabilityMaps(self.mean[:, rows, columns], self.atom[:, rows, columns], self.pixel_size_A)


def prepared(frames: np.ndarray, pixel_size_A: float, ensemble: Ensemble) -> np.ndarray:
    """Bring frames to the ensemble's pixel size and to its scale of intensity.

    Parameters
    ----------
    frames
        With shape (n, rows, columns), finite.
    pixel_size_A
        Pixel size of the frames [Å].
    ensemble
        The networks.

    Returns
    -------
    numpy.ndarray
        With shape (n, new rows, new columns), float32.
    """
    size_A = ensemble.card.pixel_size_A
    return normalise(resample(frames, pixel_size_A, size_A), size_A)


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
    return next(predict_prepared(prepared(frame[None], pixel_size_A, ensemble), ensemble))


def predict_prepared(images: np.ndarray, ensemble: Ensemble) -> Iterator[ProbabilityMaps]:
    """Run every member on frames that `prepared` returned, or on parts of them.

    Several at once where one is too little work for the device, as on a GPU.

    Parameters
    ----------
    images
        With shape (n, rows, columns), float32.
    ensemble
        The networks.

    Yields
    ------
    ProbabilityMaps
        Of each image in turn.
    """
    import torch

    device, networks = find_device(), ensemble.networks()
    _, rows, columns = images.shape
    step = networks[0].reduction
    padding = [(0, 0), (0, -rows % step), (0, -columns % step)]
    at_once = max(device.pixels_at_once // (rows * columns), 1)
    for first in range(0, len(images), at_once):
        batch = torch.from_numpy(np.pad(images[first : first + at_once], padding, mode="symmetric"))
        layout = torch.channels_last if device.channels_last else torch.contiguous_format
        batch = batch[:, None].to(device.torch_name, getattr(torch, device.inference), memory_format=layout)
        with torch.inference_mode():
            maps = (network(batch).softmax(dim=1, dtype=torch.float32)[..., :rows, :columns] for network in networks)
            total = next(maps)
            atom = [1 - total[:, 0]]
            for one in maps:
                atom.append(1 - one[:, 0])
                total = total + one
            mean, members = (total / len(networks)).cpu().numpy(), torch.stack(atom, dim=1).cpu().numpy()
        for one_mean, one_atom in zip(mean, members, strict=True):
            yield ProbabilityMaps(one_mean, one_atom, ensemble.card.pixel_size_A)
