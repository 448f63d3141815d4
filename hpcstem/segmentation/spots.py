"""Kernels that draw atoms into a frame and improve them one by one, each against what the others leave over.

An atom is drawn as height * sum over k of shares[k] * exp(-d² / (2 variances[k])), within a square. Sums of Gaussians
take any radial profile, and are sums of products of a factor along x and one along y, which makes them fast. All images
are float32 and all lengths in pixels.
"""

from __future__ import annotations

import numba
import numpy as np

GAUSSIANS = 4
"""Gaussians that make up a profile; a constant, so that the compiler can unroll the sums over them."""

_LEAST_HEIGHT = 0.02
_LEAST_PIVOT = 1e-12

# Loops count from 0 within a window: only then does the compiler know that no index is negative, and vectorise.
_fast = numba.njit(cache=True, fastmath=True, error_model="numpy")


@_fast
def draw(
    image: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    height: np.ndarray,
    variances: np.ndarray,
    shares: np.ndarray,
    radius: int,
) -> None:
    """Add atoms to an image, in place.

    Parameters
    ----------
    image
        With shape (rows, columns), float32.
    x, y, height
        Column and row of the atoms [px] and their heights, with shape (n,), float64.
    variances, shares
        The profile, with shape (n_gaussians,), float32.
    radius
        Half the side of the square that an atom is drawn in [px].
    """
    along_x, along_y, unused = _buffers(len(variances), radius)
    for a in range(len(x)):
        left, right = _window(x[a], radius, image.shape[1])
        top, bottom = _window(y[a], radius, image.shape[0])
        _factors(left, right - left, x[a], variances, along_x, unused)
        _factors(top, bottom - top, y[a], variances, along_y, unused)
        _add(image, (top, bottom, left, right), height[a], along_x, along_y, shares)


@_fast
def draw_each(
    images: np.ndarray, x: np.ndarray, y: np.ndarray, height: np.ndarray, variances: np.ndarray, radius: int
) -> None:
    """Add atoms to one image per Gaussian, each as that Gaussian alone, in place.

    Parameters
    ----------
    images
        With shape (n_gaussians, rows, columns), float32.
    x, y, height, variances, radius
        As in `draw`.
    """
    along_x, along_y, unused = _buffers(len(variances), radius)
    for a in range(len(x)):
        left, right = _window(x[a], radius, images.shape[2])
        top, bottom = _window(y[a], radius, images.shape[1])
        _factors(left, right - left, x[a], variances, along_x, unused)
        _factors(top, bottom - top, y[a], variances, along_y, unused)
        for k in range(len(variances)):
            for r in range(bottom - top):
                line, factor = images[k, top + r, left:right], np.float32(height[a]) * along_y[k, r]
                for c in range(right - left):
                    line[c] += factor * along_x[k, c]


@_fast
def sweep(
    residual: np.ndarray,
    weight: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    height: np.ndarray,
    free: np.ndarray,
    start: np.ndarray,
    farthest: float,
    expected_height: np.ndarray,
    pull: np.ndarray,
    variances: np.ndarray,
    shares: np.ndarray,
    radius: int,
    information: np.ndarray,
) -> None:
    """One Gauss-Newton step of height, x and y for each atom in turn, all others where they are; in place.

    An atom that would leave the circle of radius `farthest` around its start goes back there, and only its height is
    free from then on.

    Parameters
    ----------
    residual
        Frame less background and atoms, with shape (rows, columns), float32; kept up to date.
    weight
        Inverse variance of each pixel, with shape (rows, columns), float32.
    x, y, height
        Columns, rows [px] and heights, with shape (n,), float64.
    free
        Whether an atom may move, with shape (n,), bool.
    start, farthest
        Starts (x, y), with shape (n, 2), and the radius around them [px].
    expected_height, pull
        Mean and inverse variance of each height's Gaussian prior, with shape (n,), float64.
    variances, shares, radius
        As in `draw`.
    information
        Fisher information of (height, x, y) of each atom, others known, without the prior, with shape (n, 3, 3).
    """
    along_x, along_y, slope_x = _buffers(len(variances), radius)
    slope_y, _, _ = _buffers(len(variances), radius)
    sums = np.empty(9)
    for a in range(len(x)):
        left, right = _window(x[a], radius, residual.shape[1])
        top, bottom = _window(y[a], radius, residual.shape[0])
        _factors(left, right - left, x[a], variances, along_x, slope_x)
        _factors(top, bottom - top, y[a], variances, along_y, slope_y)
        window = top, bottom, left, right
        _project(residual, weight, window, along_x, along_y, slope_x, slope_y, shares, sums)
        _add(residual, window, height[a], along_x, along_y, shares)
        _information(sums, height[a], information[a])
        force = sums[0] + pull[a] * (expected_height[a] - height[a])
        taller, step_x, step_y = _step(information[a], force, height[a] * sums[1], height[a] * sums[2], pull[a])
        if free[a] and (x[a] + step_x - start[a, 0]) ** 2 + (y[a] + step_y - start[a, 1]) ** 2 > farthest**2:
            free[a], x[a], y[a], taller = False, start[a, 0], start[a, 1], 0.0
        elif free[a]:
            x[a] += step_x
            y[a] += step_y
        else:
            taller = force / max(sums[3] + pull[a], _LEAST_PIVOT)
        height[a] = max(height[a] + taller, _LEAST_HEIGHT)
        _factors(left, right - left, x[a], variances, along_x, slope_x)
        _factors(top, bottom - top, y[a], variances, along_y, slope_y)
        _add(residual, window, -height[a], along_x, along_y, shares)


@_fast
def without_spikes(image: np.ndarray, height: float) -> np.ndarray:
    """Return an image whose single pixels that stand out of all four neighbours are replaced by the neighbours' mean.

    Parameters
    ----------
    image
        With shape (rows, columns), float32, at least two of each; it is mirrored at its edge pixels.
    height
        How far a pixel has to stand out.
    """
    out, least = image.copy(), np.float32(height)
    rows, columns = image.shape
    for r in range(rows):
        above, below = image[abs(r - 1)], image[r + 1 if r + 1 < rows else rows - 2]
        for c in range(columns):
            left, right = image[r, abs(c - 1)], image[r, c + 1 if c + 1 < columns else columns - 2]
            highest, lowest = max(above[c], below[c], left, right), min(above[c], below[c], left, right)
            if image[r, c] > highest + least or image[r, c] < lowest - least:
                out[r, c] = np.float32(0.25) * (above[c] + below[c] + left + right)
    return out


@_fast
def _buffers(gaussians: int, radius: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    shape = (gaussians, 2 * radius + 1)
    return np.empty(shape, np.float32), np.empty(shape, np.float32), np.empty(shape, np.float32)


@_fast
def _window(centre: float, radius: int, n: int) -> tuple[int, int]:
    """First pixel within the radius of a centre, and the one after the last."""
    middle = int(np.rint(centre))
    return min(max(middle - radius, 0), n), max(min(middle + radius + 1, n), 0)


@_fast
def _factors(first: int, n: int, centre: float, variances: np.ndarray, value: np.ndarray, slope: np.ndarray) -> None:
    """Factors of each Gaussian along one axis at n pixels from `first` on, and their derivatives by the centre."""
    for k in range(len(variances)):
        inverse = np.float32(1) / variances[k]
        for i in range(n):
            distance = np.float32(first + i - centre)
            value[k, i] = np.exp(np.float32(-0.5) * distance * distance * inverse)
            slope[k, i] = value[k, i] * distance * inverse


@_fast
def _add(
    image: np.ndarray,
    window: tuple[int, int, int, int],
    height: float,
    along_x: np.ndarray,
    along_y: np.ndarray,
    shares: np.ndarray,
) -> None:
    """Add one atom to its window."""
    top, bottom, left, right = window
    factor = np.empty(GAUSSIANS, np.float32)
    for r in range(bottom - top):
        line = image[top + r, left:right]
        for k in range(GAUSSIANS):
            factor[k] = np.float32(height) * shares[k] * along_y[k, r]
        for c in range(right - left):
            value = np.float32(0)
            for k in range(GAUSSIANS):
                value += factor[k] * along_x[k, c]
            line[c] += value


@_fast
def _project(
    residual: np.ndarray,
    weight: np.ndarray,
    window: tuple[int, int, int, int],
    along_x: np.ndarray,
    along_y: np.ndarray,
    slope_x: np.ndarray,
    slope_y: np.ndarray,
    shares: np.ndarray,
    sums: np.ndarray,
) -> None:
    """Weighted sums over a window: residual on the profile and its slopes (3), then these on each other (6)."""
    top, bottom, left, right = window
    factor, factor_y = np.empty(GAUSSIANS, np.float32), np.empty(GAUSSIANS, np.float32)
    force, force_x, force_y = np.float32(0), np.float32(0), np.float32(0)
    hh, hx, hy = np.float32(0), np.float32(0), np.float32(0)
    xx, xy, yy = np.float32(0), np.float32(0), np.float32(0)
    for r in range(bottom - top):
        line, weights = residual[top + r, left:right], weight[top + r, left:right]
        for k in range(GAUSSIANS):
            factor[k], factor_y[k] = shares[k] * along_y[k, r], shares[k] * slope_y[k, r]
        for c in range(right - left):
            profile, by_x, by_y = np.float32(0), np.float32(0), np.float32(0)
            for k in range(GAUSSIANS):
                profile += factor[k] * along_x[k, c]
                by_x += factor[k] * slope_x[k, c]
                by_y += factor_y[k] * along_x[k, c]
            w, left_over = weights[c], line[c]
            wp, wx, wy = w * profile, w * by_x, w * by_y
            force += wp * left_over
            force_x += wx * left_over
            force_y += wy * left_over
            hh += wp * profile
            hx += wp * by_x
            hy += wp * by_y
            xx += wx * by_x
            xy += wx * by_y
            yy += wy * by_y
    sums[0], sums[1], sums[2] = force, force_x, force_y
    sums[3], sums[4], sums[5], sums[6], sums[7], sums[8] = hh, hx, hy, xx, xy, yy


@_fast
def _information(sums: np.ndarray, height: float, information: np.ndarray) -> None:
    """Information of height, x and y from the sums of `_project`."""
    information[0, 0] = sums[3]
    information[0, 1] = information[1, 0] = height * sums[4]
    information[0, 2] = information[2, 0] = height * sums[5]
    information[1, 1] = height * height * sums[6]
    information[1, 2] = information[2, 1] = height * height * sums[7]
    information[2, 2] = height * height * sums[8]


@_fast
def _step(
    information: np.ndarray, force: float, force_x: float, force_y: float, pull: float
) -> tuple[float, float, float]:
    """Step of height, x and y by elimination; `pull` is the information of the height's prior."""
    hh, hx, hy = max(information[0, 0] + pull, _LEAST_PIVOT), information[0, 1], information[0, 2]
    xx = max(information[1, 1] - hx * hx / hh, _LEAST_PIVOT)
    xy = information[1, 2] - hx * hy / hh
    yy = max(information[2, 2] - hy * hy / hh - xy * xy / xx, _LEAST_PIVOT)
    reduced_x = force_x - hx * force / hh
    step_y = (force_y - hy * force / hh - xy * reduced_x / xx) / yy
    step_x = (reduced_x - xy * step_y) / xx
    return (force - hx * step_x - hy * step_y) / hh, step_x, step_y


@_fast
def row_couplings(
    gradient: np.ndarray,
    weight: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    height: np.ndarray,
    variances: np.ndarray,
    shares: np.ndarray,
    radius: int,
    rows_per_band: int,
    couplings: np.ndarray,
) -> None:
    """Fisher information that a shift of each atom along x shares with a shift of each band of rows.

    Parameters
    ----------
    gradient
        Derivative of the whole model image along x, with shape (rows, columns), float32.
    weight, x, y, height, variances, shares, radius
        As in `sweep`.
    rows_per_band
        Rows that are shifted together.
    couplings
        Filled here, with shape (n_atoms, n_bands), float32.
    """
    along_x, along_y, slope_x = _buffers(len(variances), radius)
    factor = np.empty(GAUSSIANS, np.float32)
    couplings[:] = 0
    for a in range(len(x)):
        left, right = _window(x[a], radius, gradient.shape[1])
        top, bottom = _window(y[a], radius, gradient.shape[0])
        _factors(top, bottom - top, y[a], variances, along_y, slope_x)
        _factors(left, right - left, x[a], variances, along_x, slope_x)
        for r in range(bottom - top):
            line, weights = gradient[top + r, left:right], weight[top + r, left:right]
            for k in range(GAUSSIANS):
                factor[k] = np.float32(height[a]) * shares[k] * along_y[k, r]
            shared = np.float32(0)
            for c in range(right - left):
                by_x = np.float32(0)
                for k in range(GAUSSIANS):
                    by_x += factor[k] * slope_x[k, c]
                # The slope is by the atom's centre, which is minus the derivative along x.
                shared -= weights[c] * by_x * line[c]
            couplings[a, (top + r) // rows_per_band] += shared
