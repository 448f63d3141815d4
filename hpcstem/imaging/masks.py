"""Class masks: which pixels belong to an atom, and of which species."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

CLASSES = ("background", "C", "Si")
"""Meaning of the class numbers 0, 1, 2 in masks and in the channels of a network."""


def class_mask(positions_px: np.ndarray, species: np.ndarray, shape: tuple[int, int], radius_px: float) -> np.ndarray:
    """Discs around atoms; a pixel within reach of two atoms belongs to the nearer one.

    Parameters
    ----------
    positions_px
        (x, y) of the atoms [px], with shape (n_atoms, 2).
    species
        'C' or 'Si', with shape (n_atoms,).
    shape
        Rows and columns.
    radius_px
        Radius of the discs [px].

    Returns
    -------
    numpy.ndarray
        Index into `CLASSES`, with shape `shape`, uint8.
    """
    mask = np.zeros(shape, np.uint8)
    if len(positions_px) == 0:
        return mask
    classes = np.array([CLASSES.index(symbol) for symbol in species], np.uint8)
    y, x = np.mgrid[: shape[0], : shape[1]]
    distance, nearest = cKDTree(positions_px).query(
        np.column_stack([x.ravel(), y.ravel()]), distance_upper_bound=radius_px
    )
    found = np.isfinite(distance)
    mask.ravel()[found] = classes[nearest[found]]
    return mask
