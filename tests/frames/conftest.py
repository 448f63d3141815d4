"""Small movies for the tests of frames: not square, so that no axis can be swapped unseen."""

import numpy as np
import pytest

N_FRAMES, ROWS, COLUMNS = 7, 24, 32


@pytest.fixture
def frames() -> np.ndarray:
    """Seven frames of 24×32 random intensities, float32."""
    return np.random.default_rng(np.random.SeedSequence(1)).random((N_FRAMES, ROWS, COLUMNS)).astype(np.float32)
