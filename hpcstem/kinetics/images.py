"""Images of defects, cut from frames around their centres."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from hpcstem.errors import HpcstemError
from hpcstem.imaging.windows import cut_windows
from hpcstem.kinetics.sightings import Sighting

PIXEL_SIZE_A = 0.2
"""Pixel size of the images [Å]."""


def with_images(
    seen: Sequence[Sighting], frame: Callable[[int], np.ndarray], pixel_size_A: float, half_width_A: float
) -> list[Sighting]:
    """Return the sightings with their images, at `PIXEL_SIZE_A`, in units of the spread of their frame.

    Parameters
    ----------
    seen
        Defects of one movie.
    frame
        Gives the frame of a number, with shape (rows, columns); asked only for those with defects, each once.
    pixel_size_A
        Pixel size of the frames [Å].
    half_width_A
        Half the width that a mean image shall have [Å]. Images are cut larger, so that they can be turned; beyond
        the edge of the frame they go on with its median.

    Raises
    ------
    HpcstemError
        A frame is constant.
    """
    n = int(np.ceil(2.0 * np.sqrt(2.0) * half_width_A / PIXEL_SIZE_A)) + 1
    with_image = []
    last, values = -1, np.empty((0, 0))
    for sighting in seen:
        if sighting.frame != last:
            last = sighting.frame
            values = np.asarray(frame(last), np.float64)
            if not values.std() > 0:
                raise HpcstemError(f"frame {last} of {sighting.movie}", "one value throughout", "an image")
            values = (values - np.median(values)) / values.std()
        image = cut_windows(values, sighting.centre_A[None] / pixel_size_A, n, PIXEL_SIZE_A / pixel_size_A)[0]
        with_image.append(replace(sighting, image=image))
    return with_image
