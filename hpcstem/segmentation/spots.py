"""Kernels that draw atoms into a frame and improve them one by one, each against what the others leave over.

An atom is drawn as height * sum over k of shares[k] * exp(-d² / (2 variances[k])), within a square. Sums of Gaussians
take any radial profile, and are sums of products of a factor along x and one along y, which makes them fast. All images
are float32 and all lengths in pixels.
"""

from __future__ import annotations

import numba
import numpy as np

GAUSSIANS = 4
"""Gaussians that make up a profile; the kernels name each of them."""
LANES = 4
"""Numbers that any processor works on at once: sides of squares are multiples of it."""

_LEAST_HEIGHT = 0.02
_LEAST_PIVOT = 1e-12
_HALVINGS = 5  # exp(x) as exp(x / 32), a polynomial, squared so many times: the compiler vectorises no other

# Loops count from 0 within a window: only then does the compiler know that no index is negative, and vectorise.
_fast = numba.njit(cache=True, fastmath=True, error_model="numpy")
# Called, and not inlined, a part would be another compilation of it in the process that compiled the kernels than in
# those that find them compiled, with other last digits.
_part = numba.njit(fastmath=True, error_model="numpy", forceinline=True)


@_fast
def draw(
    image: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    height: np.ndarray,
    variances: np.ndarray,
    shares: np.ndarray,
    side: int,
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
    side
        Of the square that an atom is drawn in [px]; where the edge of the image cuts it, it is moved inwards.
    """
    along_x, along_y, unused = _buffers(side)
    for a in range(len(x)):
        left, columns = _window(x[a], side, image.shape[1])
        top, rows = _window(y[a], side, image.shape[0])
        _factors(left, columns, x[a], variances, along_x, unused)
        _factors(top, rows, y[a], variances, along_y, unused)
        for r in range(rows):
            line = image[top + r, left : left + columns]
            f0, f1, f2, f3 = _in_row(np.float32(height[a]), shares, along_y, r)
            for c in range(columns):
                line[c] += f0 * along_x[0, c] + f1 * along_x[1, c] + f2 * along_x[2, c] + f3 * along_x[3, c]


@_fast
def draw_each(
    images: np.ndarray, x: np.ndarray, y: np.ndarray, height: np.ndarray, variances: np.ndarray, side: int
) -> None:
    """Add atoms to one image per Gaussian, each as that Gaussian alone, in place.

    Parameters
    ----------
    images
        With shape (n_gaussians, rows, columns), float32.
    x, y, height, variances, side
        As in `draw`.
    """
    along_x, along_y, unused = _buffers(side)
    for a in range(len(x)):
        left, columns = _window(x[a], side, images.shape[2])
        top, rows = _window(y[a], side, images.shape[1])
        _factors(left, columns, x[a], variances, along_x, unused)
        _factors(top, rows, y[a], variances, along_y, unused)
        for k in range(GAUSSIANS):
            for r in range(rows):
                line, factor = images[k, top + r, left : left + columns], np.float32(height[a]) * along_y[k, r]
                for c in range(columns):
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
    side: int,
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
    variances, shares, side
        As in `draw`.
    information
        Fisher information of (height, x, y) of each atom, others known, without the prior, with shape (n, 3, 3).
    """
    along_x, along_y, slope_x = _buffers(side)
    slope_y, _, _ = _buffers(side)
    shape = min(side, residual.shape[0]), min(side, residual.shape[1])
    left_over, weights, profile = np.empty(shape, np.float32), np.empty(shape, np.float32), np.empty(shape, np.float32)
    by_x, by_y = np.empty(shape, np.float32), np.empty(shape, np.float32)
    flat = left_over.ravel(), weights.ravel(), profile.ravel(), by_x.ravel(), by_y.ravel()
    sums = np.empty(9)
    for a in range(len(x)):
        left, columns = _window(x[a], side, residual.shape[1])
        top, rows = _window(y[a], side, residual.shape[0])
        _factors(left, columns, x[a], variances, along_x, slope_x)
        _factors(top, rows, y[a], variances, along_y, slope_y)
        _shape(shares, along_x, along_y, slope_x, slope_y, profile, by_x, by_y)
        _copy(residual, top, left, left_over)
        _copy(weight, top, left, weights)
        _project(*flat, sums)
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
        before, height[a] = height[a], max(height[a] + taller, _LEAST_HEIGHT)
        _factors(left, columns, x[a], variances, along_x, slope_x)
        _factors(top, rows, y[a], variances, along_y, slope_y)
        _exchange(residual, top, left, before, profile, height[a], shares, along_x, along_y)


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
def row_couplings(
    gradient: np.ndarray,
    weight: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    height: np.ndarray,
    variances: np.ndarray,
    shares: np.ndarray,
    side: int,
    rows_per_band: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Fisher information that a shift of each atom along x shares with a shift of each band of rows.

    Parameters
    ----------
    gradient
        Derivative of the whole model image along x, with shape (rows, columns), float32.
    weight, x, y, height, variances, shares, side
        As in `sweep`.
    rows_per_band
        Rows that are shifted together.

    Returns
    -------
    couplings : numpy.ndarray
        With as many successive bands as an atom may touch, with shape (n_atoms, n_touched), float64.
    first_band : numpy.ndarray
        The first of them, with shape (n_atoms,), int64.
    """
    along_x, along_y, slope_x = _buffers(side)
    couplings = np.zeros((len(x), (side - 1) // rows_per_band + 2))
    first_band = np.empty(len(x), np.int64)
    for a in range(len(x)):
        left, columns = _window(x[a], side, gradient.shape[1])
        top, rows = _window(y[a], side, gradient.shape[0])
        _factors(top, rows, y[a], variances, along_y, slope_x)
        _factors(left, columns, x[a], variances, along_x, slope_x)
        first_band[a] = top // rows_per_band
        for r in range(rows):
            line, weights = gradient[top + r, left : left + columns], weight[top + r, left : left + columns]
            f0, f1, f2, f3 = _in_row(np.float32(height[a]), shares, along_y, r)
            shared = np.float32(0)
            for c in range(columns):
                by_x = f0 * slope_x[0, c] + f1 * slope_x[1, c] + f2 * slope_x[2, c] + f3 * slope_x[3, c]
                # The slope is by the atom's centre, which is minus the derivative along x.
                shared -= weights[c] * by_x * line[c]
            couplings[a, (top + r) // rows_per_band - first_band[a]] += shared
    return couplings, first_band


@_part
def _buffers(side: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    shape = (GAUSSIANS, side)
    return np.empty(shape, np.float32), np.empty(shape, np.float32), np.empty(shape, np.float32)


@_part
def _window(centre: float, side: int, n: int) -> tuple[int, int]:
    """First of the pixels around a centre, and how many: the nearest ones that lie in the image."""
    first = int(np.floor(centre)) - side // 2 + 1
    return max(min(first, n - side), 0), min(side, n)


@_part
def _factors(first: int, n: int, centre: float, variances: np.ndarray, value: np.ndarray, slope: np.ndarray) -> None:
    """Factors of each Gaussian along one axis at n pixels from `first` on, and their derivatives by the centre."""
    offset = np.float32(first - centre)
    for k in range(GAUSSIANS):
        inverse = np.float32(1) / variances[k]
        part = np.float32(-0.5 / 2**_HALVINGS) * inverse
        for i in range(n):
            distance = np.float32(i) + offset
            # Beyond -2 nothing of the factor is left, and the polynomial no longer holds.
            e = max(part * distance * distance, np.float32(-2))
            power = np.float32(1) + e * (
                np.float32(1)
                + e * (np.float32(1 / 2) + e * (np.float32(1 / 6) + e * (np.float32(1 / 24) + e * np.float32(1 / 120))))
            )
            for _ in range(_HALVINGS):
                power *= power
            value[k, i] = power
            slope[k, i] = power * distance * inverse


@_part
def _in_row(height: np.float32, shares: np.ndarray, along_y: np.ndarray, row: int) -> tuple[float, float, float, float]:
    """What each Gaussian's factor along x is to be multiplied by in one row."""
    return (
        height * shares[0] * along_y[0, row],
        height * shares[1] * along_y[1, row],
        height * shares[2] * along_y[2, row],
        height * shares[3] * along_y[3, row],
    )


@_part
def _shape(
    shares: np.ndarray,
    along_x: np.ndarray,
    along_y: np.ndarray,
    slope_x: np.ndarray,
    slope_y: np.ndarray,
    profile: np.ndarray,
    by_x: np.ndarray,
    by_y: np.ndarray,
) -> None:
    """Fill a window with an atom of unit height, and with its derivatives by x and y of the centre."""
    one = np.float32(1)
    rows, columns = profile.shape
    for r in range(rows):
        value, right, down = profile[r], by_x[r], by_y[r]
        f0, f1, f2, f3 = _in_row(one, shares, along_y, r)
        g0, g1, g2, g3 = _in_row(one, shares, slope_y, r)
        for c in range(columns):
            value[c] = f0 * along_x[0, c] + f1 * along_x[1, c] + f2 * along_x[2, c] + f3 * along_x[3, c]
            right[c] = f0 * slope_x[0, c] + f1 * slope_x[1, c] + f2 * slope_x[2, c] + f3 * slope_x[3, c]
            down[c] = g0 * along_x[0, c] + g1 * along_x[1, c] + g2 * along_x[2, c] + g3 * along_x[3, c]


@_part
def _exchange(
    image: np.ndarray,
    top: int,
    left: int,
    old_height: float,
    profile: np.ndarray,
    height: float,
    shares: np.ndarray,
    along_x: np.ndarray,
    along_y: np.ndarray,
) -> None:
    """Put an atom that was taken out of a window back as it was, and take it out as it is now."""
    rows, columns = profile.shape
    before, now = np.float32(old_height), np.float32(height)
    for r in range(rows):
        line, old = image[top + r, left : left + columns], profile[r]
        f0, f1, f2, f3 = _in_row(now, shares, along_y, r)
        for c in range(columns):
            new = f0 * along_x[0, c] + f1 * along_x[1, c] + f2 * along_x[2, c] + f3 * along_x[3, c]
            line[c] += before * old[c] - new


@_part
def _copy(image: np.ndarray, top: int, left: int, window: np.ndarray) -> None:
    """Copy a window of an image, so that sums over it run through memory in one go."""
    rows, columns = window.shape
    for r in range(rows):
        line, out = image[top + r, left : left + columns], window[r]
        for c in range(columns):
            out[c] = line[c]


@_part
def _project(
    left_over: np.ndarray,
    weight: np.ndarray,
    profile: np.ndarray,
    by_x: np.ndarray,
    by_y: np.ndarray,
    sums: np.ndarray,
) -> None:
    """Weighted sums over a window: residual on the profile and its slopes (3), then these on each other (6)."""
    force, force_x, force_y = np.float32(0), np.float32(0), np.float32(0)
    hh, hx, hy = np.float32(0), np.float32(0), np.float32(0)
    xx, xy, yy = np.float32(0), np.float32(0), np.float32(0)
    for i in range(len(profile)):
        wp, wx, wy = weight[i] * profile[i], weight[i] * by_x[i], weight[i] * by_y[i]
        force += wp * left_over[i]
        force_x += wx * left_over[i]
        force_y += wy * left_over[i]
        hh += wp * profile[i]
        hx += wp * by_x[i]
        hy += wp * by_y[i]
        xx += wx * by_x[i]
        xy += wx * by_y[i]
        yy += wy * by_y[i]
    sums[0], sums[1], sums[2] = force, force_x, force_y
    sums[3], sums[4], sums[5], sums[6], sums[7], sums[8] = hh, hx, hy, xx, xy, yy


@_part
def _information(sums: np.ndarray, height: float, information: np.ndarray) -> None:
    """Information of height, x and y from the sums of `_project`."""
    information[0, 0] = sums[3]
    information[0, 1] = information[1, 0] = height * sums[4]
    information[0, 2] = information[2, 0] = height * sums[5]
    information[1, 1] = height * height * sums[6]
    information[1, 2] = information[2, 1] = height * height * sums[7]
    information[2, 2] = height * height * sums[8]


@_part
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
