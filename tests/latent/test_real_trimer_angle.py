"""The real movie of a silicon trimer that hops between the two sublattices: its angle flips by 60° at each hop."""

from pathlib import Path

import numpy as np
import pytest
import torch

from hpcstem.imaging.windows import cut_windows
from hpcstem.kinetics.image_classes import image_classes
from hpcstem.latent.measures import misorientation_rad, resultant
from hpcstem.latent.rotational import RotationalVAE
from hpcstem.latent.settings import RotationalConfig, TrainingConfig
from hpcstem.latent.sub_images import ImagesInMemory
from hpcstem.latent.training import train
from hpcstem.segmentation.normalise import normalise

MOVIE = "stem/graphene-si/Si3C6_trimer_movie.npz"
N_PIXELS = 24
HALF_WIDTH_A = 2.6


@pytest.fixture(scope="module")
def trimer(shared_data: Path) -> tuple[np.ndarray, np.ndarray]:
    """Images around the trimer, and the angle of its triangle, modulo 120° [rad]."""
    path = shared_data / MOVIE
    if not path.is_file():
        pytest.skip(f"no {MOVIE} in {shared_data}")
    with np.load(path) as movie:
        pixel_A = float(movie["pixel_size_angstrom"])
        frames = normalise(movie["frames"], pixel_A)
        silicon_px = movie["si_xy"]
    middle_px = silicon_px.mean(axis=1, keepdims=True)
    step_px = 2.0 * HALF_WIDTH_A / (N_PIXELS - 1) / pixel_A
    images = np.concatenate(
        [cut_windows(frame, centre, N_PIXELS, step_px) for frame, centre in zip(frames, middle_px, strict=True)]
    )
    x_px, y_px = np.moveaxis(silicon_px - middle_px, -1, 0)
    return images, np.angle(np.exp(3j * np.arctan2(-y_px, x_px)).mean(axis=1)) / 3.0


@pytest.mark.real
def test_angle_follows_the_trimer(trimer: tuple[np.ndarray, np.ndarray]) -> None:
    images, truth_rad = trimer
    torch.manual_seed(0)
    model = RotationalVAE(N_PIXELS, RotationalConfig(n_content=1))
    config = TrainingConfig(epochs=100, batch_size=11, learning_rate=1e-3)
    train(model, ImagesInMemory(images), config, seed=0)
    found_rad = model.encode(torch.from_numpy(images)).angle_rad

    off_deg = np.degrees(misorientation_rad(found_rad, truth_rad, 3))
    assert resultant(found_rad, truth_rad, 3) > 0.95
    assert np.median(np.abs(off_deg)) < 5.0
    # The two orientations are 60° apart, and every hop between them is seen.
    true_side = np.cos(3.0 * (truth_rad - truth_rad[0])) > 0
    offset_rad = np.angle(np.exp(3j * (found_rad - truth_rad)).mean()) / 3.0
    assert (np.diff(true_side.astype(int)) != 0).sum() >= 5
    assert np.array_equal(np.cos(3.0 * (found_rad - offset_rad - truth_rad[0])) > 0, true_side)


@pytest.mark.real
def test_trimer_is_one_class_of_images_in_two_orientations(trimer: tuple[np.ndarray, np.ndarray]) -> None:
    images, truth_rad = trimer
    found = image_classes(images, 4, 6, 0.9, np.random.SeedSequence(0))
    true_side = np.cos(3.0 * (truth_rad - truth_rad[0])) > 0
    assert (found.label == 0).all()
    assert len({(side, turn % 2) for side, turn in zip(true_side, found.turn, strict=True)}) == 2
