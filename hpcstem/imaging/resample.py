"""Frames at one pixel size brought to another, by area average or linear interpolation."""

from __future__ import annotations

from functools import lru_cache

import numpy as np


def resampled_length(n_pixels: int, pixel_size_A: float, target_pixel_size_A: float) -> int:
    """Pixels along one axis after resampling; the part of a pixel left over at the end is dropped."""
    return max(int(n_pixels * pixel_size_A / target_pixel_size_A + 1e-9), 1)


def resample(frames: np.ndarray, pixel_size_A: float, target_pixel_size_A: float) -> np.ndarray:
    """Resample frames to another pixel size, keeping the mean.

    To coarser pixels each new pixel is the area average of the old ones that it covers, which keeps white noise
    white for whole ratios and nearly so between them, where neighbours share an old pixel; to finer pixels, linear
    interpolation. The outer edge of the first pixel stays where it is, so that
    a position p [px] becomes (p + 0.5) * pixel_size_A / target_pixel_size_A - 0.5.

    Parameters
    ----------
    frames
        With shape (..., rows, columns), real.
    pixel_size_A, target_pixel_size_A
        Pixel sizes [Å].

    Returns
    -------
    numpy.ndarray
        With shape (..., new rows, new columns), float32.
    """
    rows, columns = frames.shape[-2:]
    if pixel_size_A == target_pixel_size_A:
        return np.ascontiguousarray(frames, np.float32)
    ratio = target_pixel_size_A / pixel_size_A
    along_rows = _weights(rows, resampled_length(rows, pixel_size_A, target_pixel_size_A), ratio)
    along_columns = _weights(columns, resampled_length(columns, pixel_size_A, target_pixel_size_A), ratio)
    return along_rows @ np.asarray(frames, np.float32) @ along_columns.T


def to_pixels(position_px: np.ndarray, pixel_size_A: float, target_pixel_size_A: float) -> np.ndarray:
    """Pixel coordinates of the same points after `resample` from `pixel_size_A` to `target_pixel_size_A`."""
    return (np.asarray(position_px) + 0.5) * (pixel_size_A / target_pixel_size_A) - 0.5


@lru_cache(maxsize=32)
def _weights(n_old: int, n_new: int, ratio: float) -> np.ndarray:
    """Weights with shape (n_new, n_old), rows summing to 1; `ratio` old pixels make one new pixel."""
    new = np.arange(n_new)[:, None]
    old = np.arange(n_old)[None, :]
    if ratio >= 1:
        overlap = np.minimum(old + 1, (new + 1) * ratio) - np.maximum(old, new * ratio)
        weights = np.clip(overlap, 0, None)
    else:
        centre = np.clip((new + 0.5) * ratio - 0.5, 0, n_old - 1)
        weights = np.clip(1 - np.abs(old - centre), 0, None)
    weights = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    weights.setflags(write=False)
    return weights
