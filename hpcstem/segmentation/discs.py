"""Kernels that read images within a disc around each of many points, its rim weighted by how much it covers of a pixel.

Points are (row, column) in pixels; images are float32.
"""

from __future__ import annotations

import math

import numba
import numpy as np

_LEAST_MASS = 1e-6

_fast = numba.njit(cache=True, fastmath=True, error_model="numpy")
_part = numba.njit(fastmath=True, error_model="numpy", forceinline=True)  # see `hpcstem.segmentation.spots`


@_fast
def peaks(smooth: np.ndarray, atom: np.ndarray, reach_px: float, least: float, threshold: float) -> np.ndarray:
    """Find pixels that no other within reach is above, and that have a pixel of an atom beside them.

    Parameters
    ----------
    smooth
        Image whose maxima are looked for, with shape (rows, columns), float32.
    atom
        Image that has to reach `threshold` in one of nine pixels, with shape (rows, columns), float32.
    reach_px
        Distance within which a maximum is the highest [px]; of equal ones, it is the first.
    least
        What a maximum is above, in `smooth`.
    threshold
        In `atom`.

    Returns
    -------
    numpy.ndarray
        Their rows and columns, with shape (n, 2), float64.
    """
    rows, columns = smooth.shape
    reach = math.ceil(reach_px)
    found = []
    for r in range(rows):
        for c in range(columns):
            if not smooth[r, c] > least:
                continue
            if _highest(smooth, r, c, 1, 1.5) and _highest(smooth, r, c, reach, reach_px):
                around = atom[max(r - 1, 0) : r + 2, max(c - 1, 0) : c + 2]
                if around.max() >= threshold:
                    found.append((r, c))
    out = np.empty((len(found), 2))
    for i in range(len(found)):
        out[i, 0], out[i, 1] = found[i]
    return out


@_part
def _highest(image: np.ndarray, row: int, column: int, reach: int, reach_px: float) -> bool:
    height = image[row, column]
    for r in range(max(row - reach, 0), min(row + reach + 1, image.shape[0])):
        for c in range(max(column - reach, 0), min(column + reach + 1, image.shape[1])):
            earlier = r < row or (r == row and c < column)
            above = image[r, c] > height or (earlier and image[r, c] == height)
            if above and (r - row) ** 2 + (c - column) ** 2 <= reach_px**2:
                return False
    return True


@_fast
def moments(
    images: np.ndarray, centre: np.ndarray, radius_px: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Sums of images over discs.

    Parameters
    ----------
    images
        With shape (n_images, rows, columns), float32.
    centre
        Of the discs [px], with shape (n, 2), float64.
    radius_px
        Of the discs [px].

    Returns
    -------
    area : numpy.ndarray
        Pixels of the disc that lie in the images, with shape (n,), float64.
    mass : numpy.ndarray
        Sum of each image, with shape (n_images, n), float64.
    displacement : numpy.ndarray
        Centre of mass of each image, less that of the part of the disc in the images [px], with shape
        (n_images, n, 2), float64; 0 where there is no mass.
    highest : numpy.ndarray
        Largest value of each image, 0 at least, with shape (n_images, n), float64.
    """
    n_images, n = len(images), len(centre)
    area, mass = np.zeros(n), np.zeros((n_images, n))
    displacement, highest = np.zeros((n_images, n, 2)), np.zeros((n_images, n))
    reach = math.floor(2 * radius_px) + 3
    weight, from_row, from_column, value = np.empty((4, reach * reach))
    for i in range(n):
        top, bottom, left, right = _window(centre[i], radius_px, images.shape[1:])
        n_pixels, columns = (bottom - top) * (right - left), right - left
        for r in range(bottom - top):
            for c in range(columns):
                pixel = r * columns + c
                from_row[pixel], from_column[pixel] = top + r - centre[i, 0], left + c - centre[i, 1]
        all_seen, area_row, area_column = 0.0, 0.0, 0.0
        for pixel in range(n_pixels):
            distance = math.sqrt(from_row[pixel] * from_row[pixel] + from_column[pixel] * from_column[pixel])
            # Share of the pixel that the disc covers.
            share = min(max(radius_px + 0.5 - distance, 0.0), 1.0)
            weight[pixel] = share
            all_seen += share
            area_row += share * from_row[pixel]
            area_column += share * from_column[pixel]
        area[i], least_area = all_seen, max(all_seen, _LEAST_MASS)
        for k in range(n_images):
            for r in range(bottom - top):
                line = images[k, top + r, left:right]
                for c in range(columns):
                    value[r * columns + c] = line[c]
            total, row, column, most = 0.0, 0.0, 0.0, 0.0
            for pixel in range(n_pixels):
                part = weight[pixel] * value[pixel]
                total += part
                row += part * from_row[pixel]
                column += part * from_column[pixel]
                most = max(most, value[pixel] if weight[pixel] > 0 else 0.0)
            mass[k, i], highest[k, i] = total, most
            if total > _LEAST_MASS:
                displacement[k, i, 0] = row / total - area_row / least_area
                displacement[k, i, 1] = column / total - area_column / least_area
    return area, mass, displacement, highest


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


@_part
def _window(centre: np.ndarray, radius_px: float, shape: tuple[int, int]) -> tuple[int, int, int, int]:
    """Rows and columns of the image that a disc touches."""
    row, column, reach = centre[0], centre[1], radius_px + 0.5
    top, bottom = min(max(math.ceil(row - reach), 0), shape[0]), max(min(math.floor(row + reach) + 1, shape[0]), 0)
    left, right = (
        min(max(math.ceil(column - reach), 0), shape[1]),
        max(min(math.floor(column + reach) + 1, shape[1]), 0),
    )
    return top, max(bottom, top), left, max(right, left)
