"""Real frames are within what the training images of the wide recipe look like."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from hpcstem.frames import open_movie
from hpcstem.imaging.resample import resample
from hpcstem.imaging.training import TrainingRecipe, training_samples

pytestmark = pytest.mark.real

WORKFLOW = Path(__file__).parents[2] / "workflows" / "train-defects-256.yaml"
FRAMES = {"G-GrainBoundary-4nm": 0.078125, "G-Si-2nm": 0.078125, "G-trimSi": 0.039}
TARGET_A = 0.16
N_IMAGES = 60


def spectral_features(image):
    """Logarithms of the power in three bands of frequency, over that of the first reflections of graphene.

    Beyond any lattice (noise), at the second reflections (sharpness), below the first (contamination, silicon, edges).
    """
    window = np.hanning(image.shape[0])[:, None] * np.hanning(image.shape[1])
    power = np.abs(np.fft.fft2((image - image.mean()) * window)) ** 2
    frequency = np.hypot(*np.meshgrid(*(np.fft.fftfreq(n, TARGET_A) for n in image.shape), indexing="ij"))
    bands = [(0.40, 0.54), (2.0, 3.0), (0.75, 0.9), (0.05, 0.3)]
    lattice, *others = [power[(frequency > low) & (frequency < high)].mean() for low, high in bands]
    return np.log(np.array(others) / lattice)


def test_real_frames_lie_inside(shared_data):
    recipe = TrainingRecipe(**{**yaml.safe_load(WORKFLOW.read_text())["recipe"], "n_pixels": 120})
    training = [spectral_features(s.image) for s in training_samples(recipe, N_IMAGES, np.random.SeedSequence(1))]
    for name, pixel_size_A in FRAMES.items():
        frame = open_movie(shared_data / "stem" / "graphene-si" / f"{name}.hdf5", pixel_size_A=pixel_size_A).read(0, 1)
        features = spectral_features(resample(frame[0], pixel_size_A, TARGET_A)[:120, :120])
        percentiles = (np.array(training) < features).mean(axis=0)
        print(f"{name}: noise, sharpness, large scales at {percentiles.round(2)} of the training images")
        assert ((percentiles > 0.02) & (percentiles < 0.98)).all()
