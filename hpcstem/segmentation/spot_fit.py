"""Least-squares fit of all atoms of one frame at once, on a smooth background."""

from __future__ import annotations

import math

import numpy as np

from hpcstem.segmentation.background import Background, smooth_part
from hpcstem.segmentation.normalise import quantiles
from hpcstem.segmentation.profile import fit_profile
from hpcstem.segmentation.spots import LANES, draw, sweep

FARTHEST_A = 0.4
"""An atom that strays farther than this from where it was found has been lost [Å]."""
KNOTS_A = 3.0
"""Distance of the knots of a smooth background: no atom follows it, contamination does [Å]."""

_SIDES_A = (2.4, 3.1)  # of the square that an atom is drawn in: the smaller for probes with little beyond it
_EDGE_A = 1.6  # nearer to it, atoms beyond the edge are left over
_TAIL = 0.03  # of the peak, half the smaller side from it
_OUTLIER = 8.0  # standard deviations: beyond what Poisson noise of few counts reaches
_LEAST_VARIANCE = 0.1  # of the mean one: no pixel is all that is known
_LEAST_NOISE = 1e-12  # of images without noise, in units of the contrast squared
_ENOUGH_PIXELS = 2**14  # for a straight line
_CORRELATED_PX = (1, 2)
_HEIGHT_SPREAD_FLOOR = 0.02
_ATOMS_FOR_A_SPREAD = 8
_FAR_OFF = 4.0


class SpotFit:
    """Positions and heights of atoms, in place: each step leaves a better fit behind.

    Parameters
    ----------
    image
        With shape (rows, columns), float32.
    pixel_size_A
        Pixel size [Å].
    positions_px
        Where to start, (x, y) [px], with shape (n, 2).
    height
        Relative heights to start from, with shape (n,).

    Attributes
    ----------
    x, y, height
        Columns, rows [px] and heights, with shape (n,), float64.
    free
        Whether an atom is still within reach of its start, with shape (n,), bool.
    residual
        Image less atoms and background, with shape (rows, columns), float32.
    weight
        Inverse variance of each pixel, with shape (rows, columns), float32; 1 until `weigh_pixels`.
    information
        Fisher information of (height, x, y) of each atom with all others known, at the last sweep, (n, 3, 3).
    pull
        Inverse variance of the prior on each height, with shape (n,), float64; 0 until `expect_equal_heights`.
    profile
        What an atom looks like, fitted to the start.
    """

    def __init__(self, image: np.ndarray, pixel_size_A: float, positions_px: np.ndarray, height: np.ndarray) -> None:
        self.pixel_size_A = pixel_size_A
        self._image = image
        self._start = np.array(positions_px, float)
        self.x, self.y = self._start[:, 0].copy(), self._start[:, 1].copy()
        self.height = np.array(height, float)
        self.free = np.ones(len(self.x), bool)
        self.weight = np.ones_like(image)
        self.information = np.zeros((len(self.x), 3, 3))
        self._expected_height, self.pull = self.height.copy(), np.zeros(len(self.x))
        for side_A in _SIDES_A:
            side = LANES * math.ceil(side_A / pixel_size_A / LANES)
            self.profile = fit_profile(image, self.x, self.y, self.height, pixel_size_A, side, KNOTS_A)
            peak, tail = np.abs(self.profile.at(np.array([0, side_A / 2 / pixel_size_A])))
            if tail <= _TAIL * peak:
                break
        self._background = Background(image.shape, pixel_size_A, KNOTS_A)
        self._coefficients = self._background.coefficients(np.zeros_like(image))
        self.residual = image.copy()
        draw(self.residual, self.x, self.y, -self.height, *self.profile.arrays)
        self._fit_background()

    @property
    def model(self) -> np.ndarray:
        """Atoms and background, with shape (rows, columns), float32."""
        return self._image - self.residual

    def background(self, step: int) -> np.ndarray:
        """What is smooth in the model, in the middle pixel of each square of `step` rows and columns, float32."""
        return self._background.image(self._coefficients, step)

    def sweep(self, times: int) -> None:
        """Improve each atom in turn and then the background, so many times."""
        for _ in range(times):
            sweep(
                self.residual,
                self.weight,
                self.x,
                self.y,
                self.height,
                self.free,
                self._start,
                FARTHEST_A / self.pixel_size_A,
                self._expected_height,
                self.pull,
                *self.profile.arrays,
                self.information,
            )
            self._fit_background()

    def weigh_pixels(self) -> None:
        """Weigh pixels by their inverse variance, a straight line in the model; those far off the model not at all."""
        model = self.model
        some = (slice(None, None, max(round(math.sqrt(model.size / _ENOUGH_PIXELS)), 1)),) * 2
        dark, gain, mean = _noise_line(model[some].ravel(), self.residual[some].ravel() ** 2)
        variance = np.maximum(dark + gain * model, _LEAST_VARIANCE * mean)
        # The fit has taken its own share of the noise out of the residual.
        noise_left = 1 - 3 * len(self.x) / self._image.size
        within = self.residual**2 < _OUTLIER**2 * variance
        self.weight = np.where(within, noise_left / variance, 0).astype(np.float32)
        self.information *= float(self.weight.mean())

    def expect_equal_heights(self, species: np.ndarray) -> None:
        """Expect atoms of one species to be as tall as each other, within the spread that the frame itself shows.

        What the noise adds to the heights is taken off their spread. Species of few atoms stay free, and so do atoms
        far off the others: they may not be there.
        """
        noise = 1 / np.maximum(self.information[:, 0, 0], np.finfo(float).tiny)
        for symbol in np.unique(species):
            of = species == symbol
            if of.sum() < _ATOMS_FOR_A_SPREAD:
                continue
            middle = np.median(self.height[of])
            deviation = np.abs(self.height - middle)
            spread = 1.4826 * np.median(deviation[of])
            of &= deviation <= _FAR_OFF * spread
            variance = max(spread**2 - np.median(noise[of]), (_HEIGHT_SPREAD_FLOOR * middle) ** 2)
            self._expected_height[of], self.pull[of] = middle, 1 / variance

    def shift_rows(self, gradient: np.ndarray, shift_px: np.ndarray) -> None:
        """Take out of the residual that row r was scanned `shift_px[r]` to the right of where it should be.

        Parameters
        ----------
        gradient
            Derivative of the model along x, with shape (rows, columns), float32.
        shift_px
            With shape (rows,), float32.
        """
        self.residual -= gradient * shift_px[:, None]

    def share_of_background(self) -> float:
        """Share of the information on an atom's position that goes into the background's freedom, 0 to 1."""
        middle = 2 * self.profile.side
        slope = np.zeros((2 * middle, 2 * middle), np.float32)
        x, y = np.array([middle - 0.5, middle + 0.5]), np.full(2, float(middle))
        draw(slope, x, y, np.array([-1.0, 1.0]), *self.profile.arrays)
        smooth = smooth_part(slope, self.pixel_size_A, KNOTS_A)
        return float((smooth**2).sum() / (slope**2).sum())

    def noise_correlation(self) -> float:
        """Variance of the noise summed over a few pixels, as a multiple of what independent pixels would have.

        Above 1 in frames that were resampled or smoothed, and where the detector is slower than the scan.
        """
        # What is left over of atoms beyond the edge is no noise.
        edge = min(math.ceil(_EDGE_A / self.pixel_size_A), min(self._image.shape) // 4)
        inner = slice(edge, -edge), slice(edge, -edge)
        noise = self.residual[inner] * np.sqrt(self.weight[inner])
        along_x, along_y = (
            1 + 2 * sum(float((rows[:, :-lag] * rows[:, lag:]).mean()) for lag in _CORRELATED_PX) / (rows**2).mean()
            for rows in (noise[::4], noise.T[::4])
        )
        return float(max(along_x, 1.0) * max(along_y, 1.0))

    def _fit_background(self) -> None:
        more = self._background.coefficients(self.residual)
        self._coefficients = self._coefficients + more
        self.residual -= self._background.image(more)


def _noise_line(model: np.ndarray, squares: np.ndarray) -> tuple[float, float, float]:
    """Dark noise, gain and mean of a variance that is a straight line in the model, from squared residuals."""
    # Half of the squares of Gaussian numbers are below 0.455 of their mean, whatever the outliers.
    mean = max(float(quantiles(np.sort(squares), [0.5])[0]) / 0.455, _LEAST_NOISE)
    within = squares < _OUTLIER**2 * mean
    terms, squares = np.stack([np.ones(within.sum()), model[within]]), squares[within].astype(float)
    dark, gain = mean, 0.0
    for _ in range(3):
        weighted = terms / np.maximum(dark + gain * terms[1], _LEAST_VARIANCE * mean) ** 2
        normal = weighted @ terms.T
        dark, gain = np.linalg.solve(normal + 1e-9 * np.trace(normal) * np.eye(2), weighted @ squares)
    return float(dark), float(gain), mean
