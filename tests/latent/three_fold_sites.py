"""Simulated sub-images of sites with three neighbours at known random angles."""

import numpy as np

BOND_PX = 9.5
SIGMA_PX = 2.4


def sites(
    n: int,
    rng: np.random.Generator,
    n_pixels: int = 24,
    bright: np.ndarray | None = None,
    shift_px: float = 0.5,
    electrons: float = 60.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Images (n, n_pixels, n_pixels) of an atom and its neighbours, and the angle of one of them, as shown [rad]."""
    angle = rng.uniform(-np.pi, np.pi, n)
    middle = (n_pixels - 1) / 2.0 + rng.normal(0.0, shift_px, (n, 2))
    rows, columns = np.indices((n_pixels, n_pixels))
    images = np.full((n, n_pixels, n_pixels), 0.15)
    height = np.ones(n) if bright is None else bright
    spots = [(middle, height)]
    for third in range(3):
        turned = angle + third * 2.0 * np.pi / 3.0
        offset = BOND_PX * np.column_stack([-np.sin(turned), np.cos(turned)])
        spots.append((middle + offset + rng.normal(0.0, 0.3, (n, 2)), np.ones(n)))
    for place, amplitude in spots:
        distance = (rows - place[:, :1, None]) ** 2 + (columns - place[:, 1:, None]) ** 2
        images += amplitude[:, None, None] * np.exp(-distance / (2.0 * SIGMA_PX**2))
    return (rng.poisson(images * electrons) / electrons).astype(np.float32), angle
