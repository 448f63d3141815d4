"""Kernels that read images within a disc around each of many points, its rim weighted by how much it covers of a pixel.

Points are (row, column) in pixels; images are float32.
"""

from __future__ import annotations

import math

import numba
import numpy as np

_LEAST_MASS = 1e-6

_fast = numba.njit(cache=True, error_model="numpy")


@_fast
def peaks(smooth: np.ndarray, atom: np.ndarray, reach_px: float, least: float, threshold: float) -> np.ndarray:
    """Mark pixels that no other within reach is above, and that have a pixel of an atom beside them.

    Parameters
    ----------
    smooth
        Image whose maxima are looked for, with shape (rows, columns), float32.
    atom
        Image that has to reach `threshold` in one of nine pixels, with shape (rows, columns), float32.
    reach_px
        Distance within which a maximum is the highest [px].
    least
        What a maximum is above, in `smooth`.
    threshold
        In `atom`.

    Returns
    -------
    numpy.ndarray
        With shape (rows, columns), bool.
    """
    rows, columns = smooth.shape
    reach = math.ceil(reach_px)
    found = np.zeros(smooth.shape, np.bool_)
    for r in range(rows):
        for c in range(columns):
            height = smooth[r, c]
            if not height > least:
                continue
            found[r, c] = _highest(smooth, r, c, 1, 1.5) and _highest(smooth, r, c, reach, reach_px)
            if found[r, c]:
                around = atom[max(r - 1, 0) : r + 2, max(c - 1, 0) : c + 2]
                found[r, c] = around.max() >= threshold
    return found


@_fast
def _highest(image: np.ndarray, row: int, column: int, reach: int, reach_px: float) -> bool:
    height = image[row, column]
    for r in range(max(row - reach, 0), min(row + reach + 1, image.shape[0])):
        for c in range(max(column - reach, 0), min(column + reach + 1, image.shape[1])):
            if image[r, c] > height and (r - row) ** 2 + (c - column) ** 2 <= reach_px**2:
                return False
    return True


@_fast
def moments(image: np.ndarray, centre: np.ndarray, radius_px: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sums of an image over discs.

    Parameters
    ----------
    image
        With shape (rows, columns), float32.
    centre
        Of the discs [px], with shape (n, 2), float64.
    radius_px
        Of the discs [px].

    Returns
    -------
    mass : numpy.ndarray
        Sum of the image, with shape (n,), float64.
    area : numpy.ndarray
        Pixels of the disc that lie in the image, with shape (n,), float64.
    displacement : numpy.ndarray
        Centre of mass of the image, less that of the part of the disc in the image [px], with shape (n, 2), float64;
        0 where there is no mass.
    """
    mass, area, displacement = np.zeros(len(centre)), np.zeros(len(centre)), np.zeros((len(centre), 2))
    for i in range(len(centre)):
        top, bottom, left, right = _window(centre[i], radius_px, image.shape)
        seen_row, seen_column, area_row, area_column = 0.0, 0.0, 0.0, 0.0
        for r in range(top, bottom):
            for c in range(left, right):
                from_row, from_column = r - centre[i, 0], c - centre[i, 1]
                weight = _weight(from_row, from_column, radius_px)
                part = weight * image[r, c]
                mass[i] += part
                area[i] += weight
                seen_row += part * from_row
                seen_column += part * from_column
                area_row += weight * from_row
                area_column += weight * from_column
        if mass[i] > _LEAST_MASS:
            least_area = max(area[i], _LEAST_MASS)
            displacement[i, 0] = seen_row / mass[i] - area_row / least_area
            displacement[i, 1] = seen_column / mass[i] - area_column / least_area
    return mass, area, displacement


@_fast
def highest(image: np.ndarray, centre: np.ndarray, radius_px: float) -> np.ndarray:
    """Largest value of an image in each disc, 0 at least, with shape (n,), float64; arguments as for `moments`."""
    found = np.zeros(len(centre))
    for i in range(len(centre)):
        top, bottom, left, right = _window(centre[i], radius_px, image.shape)
        for r in range(top, bottom):
            for c in range(left, right):
                if image[r, c] > found[i] and _weight(r - centre[i, 0], c - centre[i, 1], radius_px) > 0:
                    found[i] = image[r, c]
    return found


@_fast
def squared_distance(shape: tuple[int, int], centre: np.ndarray, reach_px: float) -> np.ndarray:
    """Squared distance of each pixel of an image to the nearest of some points [px²], as far as it matters.

    Parameters
    ----------
    shape
        Rows and columns of the image.
    centre
        The points [px], with shape (n, 2), float64.
    reach_px
        Distance beyond which it does not matter [px].

    Returns
    -------
    numpy.ndarray
        With shape `shape`, float64; at least right where it is below the square of `reach_px`, infinite far away.
    """
    squared = np.full(shape, np.inf)
    for i in range(len(centre)):
        top, bottom, left, right = _window(centre[i], reach_px, shape)
        for r in range(top, bottom):
            for c in range(left, right):
                from_row, from_column = r - centre[i, 0], c - centre[i, 1]
                squared[r, c] = min(squared[r, c], from_row * from_row + from_column * from_column)
    return squared


@_fast
def _window(centre: np.ndarray, radius_px: float, shape: tuple[int, int]) -> tuple[int, int, int, int]:
    """Rows and columns of the image that a disc may touch."""
    reach = math.ceil(radius_px) + 1
    row, column = int(np.rint(centre[0])), int(np.rint(centre[1]))
    top, bottom = min(max(row - reach, 0), shape[0]), max(min(row + reach + 1, shape[0]), 0)
    return top, bottom, min(max(column - reach, 0), shape[1]), max(min(column + reach + 1, shape[1]), 0)


@_fast
def _weight(from_row: float, from_column: float, radius_px: float) -> float:
    """Share of a pixel that a disc covers."""
    return min(max(radius_px + 0.5 - math.sqrt(from_row * from_row + from_column * from_column), 0.0), 1.0)
