"""A simulated movie and its truth."""

import numpy as np
import pytest
from scipy import ndimage

from hpcstem.imaging import Acquisition, Probe, ideal_image, simulate_movie

PROBE = Probe()
CLEAR = Acquisition(dose_e_per_A2=5e6, row_jitter_A=0.0)
SHAPE, PIXEL_A = (150, 180), 0.12


def movie(n_frames=3, seed=1, acquisition=CLEAR, **options):
    return simulate_movie("m", n_frames, SHAPE, PIXEL_A, PROBE, acquisition, np.random.SeedSequence(seed), **options)


def test_shape_and_truth():
    frames, truth = movie()
    assert frames.shape == (3, *SHAPE)
    assert frames.dtype == np.float32
    assert set(truth.frame) == {0, 1, 2}
    assert set(truth.movie) == {"m"}
    assert (truth.species == "Si").sum() >= 3
    np.testing.assert_allclose(truth.x_A, truth.x_px * PIXEL_A)
    assert ((truth.x_px >= -0.5) & (truth.x_px <= SHAPE[1] - 0.5)).all()
    assert ((truth.y_px >= -0.5) & (truth.y_px <= SHAPE[0] - 0.5)).all()
    density = (truth.frame == 0).sum() / (SHAPE[0] * SHAPE[1] * PIXEL_A**2)
    assert 0.25 < density < 0.39


def test_deterministic():
    (frames, truth), (again, truth_again) = movie(seed=4), movie(seed=4)
    np.testing.assert_array_equal(frames, again)
    np.testing.assert_array_equal(truth.positions_A, truth_again.positions_A)
    assert (movie(seed=5)[0] != frames).any()


def test_truth_is_where_the_image_is():
    """Of all displacements of the image of the truth, in steps of 0.02 Å, the best is none."""
    frames, truth = movie(n_silicon=0)
    inner = slice(12, -12), slice(12, -12)
    shifts = np.arange(-3, 4) * 0.02
    for index, frame in enumerate(frames):
        atoms = truth.in_frame(index)

        def likeness(dx, dy, frame=frame, atoms=atoms):
            image = ideal_image(atoms.positions_A + np.array([dx, dy]), atoms.species, SHAPE, PIXEL_A, PROBE)
            return np.corrcoef(frame[inner].ravel(), image[inner].ravel())[0, 1]

        fit = np.array([[likeness(dx, dy) for dx in shifts] for dy in shifts])
        assert np.unravel_index(fit.argmax(), fit.shape) == (3, 3)
        assert fit.max() > 0.8


def test_silicon_of_the_truth_is_bright():
    frames, truth = movie()
    smooth = ndimage.gaussian_filter(frames[0], 0.3 / PIXEL_A)
    atoms = truth.in_frame(0)
    inside = (np.minimum(atoms.positions_A, np.array(SHAPE[::-1]) * PIXEL_A - atoms.positions_A) > 1).all(axis=1)
    column, row = np.rint(np.array([atoms.x_px, atoms.y_px])[:, inside]).astype(int)
    value, silicon = smooth[row, column], atoms.species[inside] == "Si"
    assert silicon.sum() >= 2
    assert value[silicon].min() > value[~silicon].max()


def test_drift():
    _, truth = movie(4, events_per_frame=0, thermal_A=0, drift_A_per_frame=(0.3, -0.2))
    frames = [truth.in_frame(i).positions_A for i in range(4)]
    middle = np.array(SHAPE[::-1]) * PIXEL_A / 2
    inner = [f[(np.abs(f - middle) < 8).all(axis=1)] for f in frames]
    for index in range(1, 4):
        moved = inner[0] + index * np.array([0.3, -0.2])
        distance = np.abs(frames[index][:, None] - moved).sum(axis=2).min(axis=0)
        assert distance.max() < 1e-9


def test_without_events_nothing_changes_and_with_them_something_does():
    still = movie(3, events_per_frame=0, thermal_A=0)[1]
    np.testing.assert_array_equal(still.in_frame(0).positions_A, still.in_frame(2).positions_A)
    busy = movie(3, events_per_frame=5, thermal_A=0)[1]
    assert not np.array_equal(busy.in_frame(0).positions_A, busy.in_frame(2).positions_A)


def test_thermal_motion_has_the_stated_size():
    still, moving = (movie(1, thermal_A=t, hole_radius_A=0)[1] for t in (0.0, 0.05))
    distance = np.linalg.norm(still.positions_A[:, None] - moving.positions_A, axis=2).min(axis=0)
    away = (np.minimum(moving.positions_A, np.array(SHAPE[::-1]) * PIXEL_A - moving.positions_A) > 0.5).all(axis=1)
    assert np.sqrt((distance[away] ** 2).mean() / 2) == pytest.approx(0.05, rel=0.1)
