"""Probability maps with atoms at known places."""

import numpy as np

from hpcstem.segmentation.inference import ProbabilityMaps

PIXEL_A = 0.16
RADIUS_A = 0.48


def disc_maps(shape, centres_px, classes, heights=1.0, n_members=1):
    """Maps of all members alike: discs of `RADIUS_A` around (x, y), each pixel with the share that it covers.

    `heights` is the probability inside each disc; a disc may lie partly or wholly outside.
    """
    sub = 8
    y, x = (np.arange(n * sub) / sub - 0.5 + 0.5 / sub for n in shape)
    probabilities = np.zeros((3, *shape), np.float32)
    for (cx, cy), klass, height in zip(centres_px, classes, np.broadcast_to(heights, len(centres_px)), strict=True):
        fine = ((x[None, :] - cx) ** 2 + (y[:, None] - cy) ** 2 <= (RADIUS_A / PIXEL_A) ** 2).astype(np.float32)
        covered = fine.reshape(shape[0], sub, shape[1], sub).mean(axis=(1, 3))
        probabilities[klass] = np.maximum(probabilities[klass], height * covered)
    probabilities[0] = 1 - probabilities[1:].sum(axis=0)
    return ProbabilityMaps(probabilities, np.repeat(1 - probabilities[:1], n_members, axis=0), PIXEL_A)
