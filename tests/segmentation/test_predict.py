"""Maps of any frame, and positions that do not depend on how the frame lies or is sampled."""

from dataclasses import replace

import numpy as np
import pytest
from simulated import frames_and_truth

from hpcstem.device import CPU, find_device
from hpcstem.errors import MovieError
from hpcstem.imaging.resample import resampled_length
from hpcstem.segmentation import Ensemble, decode, decode_frame, inference
from hpcstem.segmentation import ensemble as ensemble_files
from hpcstem.segmentation.decoding import decode_frames
from hpcstem.segmentation.inference import predict
from hpcstem.segmentation.score import away_from_edge, match

PIXEL_A = 0.1
EDGE_A = 1.5


@pytest.fixture(scope="module")
def frame():
    return frames_and_truth(1, (300, 420), PIXEL_A, 1000, seed=3)[0][0]


@pytest.fixture(scope="module")
def whole(frame, ensemble):
    return decode_frame(frame, PIXEL_A, ensemble)


def differences_A(positions_A, reference_A, field_A):
    """Differences of pairs well inside the field; every atom well inside must have its partner."""
    pairs = match(positions_A, reference_A)
    inside = away_from_edge(positions_A, field_A, EDGE_A)
    assert inside.sum() > 100
    assert np.isin(np.flatnonzero(inside), pairs[:, 0]).mean() > 0.995
    pairs = pairs[inside[pairs[:, 0]]]
    return positions_A[pairs[:, 0]] - reference_A[pairs[:, 1]]


@pytest.mark.parametrize("shape", [(26, 26), (64, 64), (65, 103), (71, 40)])
def test_maps_of_any_size(ensemble, rng, shape):
    size_A = ensemble.card.pixel_size_A
    maps = predict(rng.poisson(5.0, shape).astype(np.float32), size_A, ensemble)
    assert maps.atom.shape == (len(ensemble.card.members), *shape)
    assert maps.atom.dtype == np.float32
    assert maps.mean.shape == (3, *shape)
    assert maps.spread.shape == shape
    np.testing.assert_allclose(maps.mean.sum(axis=0), 1, atol=1e-5)
    np.testing.assert_allclose(maps.mean[0] + maps.atom.mean(axis=0), 1, atol=1e-5)


@pytest.mark.parametrize("pixel_size_A", [0.06, 0.25])
def test_maps_have_the_pixel_size_of_the_ensemble(ensemble, rng, pixel_size_A):
    maps = predict(rng.poisson(5.0, (150, 130)), pixel_size_A, ensemble)
    size_A = ensemble.card.pixel_size_A
    assert maps.pixel_size_A == size_A
    assert maps.mean.shape[1:] == tuple(resampled_length(n, pixel_size_A, size_A) for n in (150, 130))


def test_gain_and_offset_of_the_detector_change_nothing(frame, ensemble, whole):
    changed = decode_frame(frame * 37.0 + 1000.0, PIXEL_A, ensemble)
    assert len(changed.species) == len(whole.species)
    assert np.abs(changed.positions_A - whole.positions_A).max() < 1e-3


@pytest.mark.parametrize("n_hot", [1, 20])
def test_hot_pixels_cost_no_atom(frame, ensemble, whole, rng, n_hot):
    hot = frame.copy()
    places = rng.integers(30, 270, (n_hot, 2))
    hot[places[:, 0], places[:, 1]] = 1e6
    found = decode_frame(hot, PIXEL_A, ensemble)
    missing = np.setdiff1d(np.arange(len(whole.species)), match(found.positions_A, whole.positions_A)[:, 1])
    near = np.linalg.norm(whole.positions_px[missing][:, None] - places[:, ::-1], axis=2).min(axis=1, initial=np.inf)
    assert (near * PIXEL_A < 1.5).all()


@pytest.mark.parametrize("shift", [(16, 0), (1, 0), (5, 3), (8, 16)])
def test_translation_by_whole_pixels(frame, ensemble, whole, shift):
    part = decode_frame(frame[shift[0] :, shift[1] :], PIXEL_A, ensemble)
    origin_A = np.array(shift[::-1]) * PIXEL_A
    field_A = np.array(frame.shape[::-1]) * PIXEL_A - origin_A
    error = differences_A(part.positions_A, whole.positions_A - origin_A, field_A)
    print(f"shift {shift}: rms {error.std():.4f}, largest {np.abs(error).max():.4f} Å")
    assert error.std() < 0.025
    assert np.abs(error).max() < 0.15


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_rotation_by_right_angles(frame, ensemble, whole, turns):
    turned = decode_frame(np.rot90(frame, turns).copy(), PIXEL_A, ensemble)
    position, shape = turned.positions_px, np.rot90(frame, turns).shape
    for _ in range(turns):  # back, a quarter at a time: row r becomes column n_rows - 1 - r
        position, shape = np.column_stack([shape[0] - 1 - position[:, 1], position[:, 0]]), shape[::-1]
    error = differences_A(position * PIXEL_A, whole.positions_A, np.array(frame.shape[::-1]) * PIXEL_A)
    print(f"{turns * 90} degrees: rms {error.std():.4f}, largest {np.abs(error).max():.4f} Å")
    assert np.percentile(np.abs(error), 99) < 0.05
    assert error.std() < 0.025


def test_same_sheet_at_any_pixel_size(ensemble):
    """One sheet, seen at 0.06 to 0.3 Å per pixel: found where it is, no atom more or less."""
    for pixel_size_A in (0.06, 0.08, 0.12, 0.16, 0.2, 0.25, 0.3):
        n = round(24 / pixel_size_A)
        frames, truth = frames_and_truth(1, (n, n), pixel_size_A, 1000, seed=3, thermal_A=0.0)
        found = decode_frame(frames[0], pixel_size_A, ensemble)
        field_A = (n * pixel_size_A,) * 2
        error = differences_A(found.positions_A, truth.positions_A, field_A)
        print(f"{pixel_size_A} Å/px: rms {error.std():.4f}, mean {error.mean(axis=0).round(4)} Å")
        assert error.std() < 0.06
        assert np.abs(error.mean(axis=0)).max() < 0.025
        inside = away_from_edge(truth.positions_A, field_A, EDGE_A)
        assert len(error) == pytest.approx(inside.sum(), abs=2)


def test_table_of_frames(ensemble):
    frames, _ = frames_and_truth(2, (128, 128), 0.12, 1000, seed=5)
    table = decode(frames, 0.12, ensemble, "film", np.array([4, 9]), refine=False)
    assert set(table.frame) == {4, 9}
    assert set(table.movie) == {"film"}
    np.testing.assert_allclose(table.x_A, table.x_px * 0.12)
    second = decode_frame(frames[1], 0.12, ensemble, refine=False)
    np.testing.assert_array_equal(table.in_frame(9).positions_A, second.positions_A)
    assert (table.sigma_A >= np.float32(ensemble.card.sigma_floor_A)).all()
    assert (table.track == -1).all()


def test_no_frames(ensemble):
    assert len(decode(np.empty((0, 64, 64)), 0.1, ensemble)) == 0


def test_field_too_small(ensemble):
    with pytest.raises(MovieError, match="at least 4"):
        decode_frame(np.ones((256, 256)), 0.01, ensemble)


@pytest.mark.skipif(find_device().inference == "float32", reason="the processor has no instructions for bfloat16")
def test_bfloat16_finds_the_same_atoms(frame, whole, monkeypatch):
    for module in (inference, ensemble_files):
        monkeypatch.setattr(module, "find_device", lambda: CPU)
    in_float32 = decode_frame(frame, PIXEL_A, Ensemble.load("graphene-si"))
    np.testing.assert_array_equal(whole.species, in_float32.species)
    np.testing.assert_allclose(whole.positions_A, in_float32.positions_A, atol=2e-3)
    np.testing.assert_allclose(whole.probability, in_float32.probability, atol=0.01)


def test_frames_side_by_side_are_seen_as_each_alone(ensemble, monkeypatch):
    """As on a GPU: three frames in passes of two."""
    frames = frames_and_truth(3, (90, 100), PIXEL_A, 1000, seed=8)[0]
    alone = [decode_frame(frame, PIXEL_A, ensemble) for frame in frames]
    rows, columns = predict(frames[0], PIXEL_A, ensemble).mean.shape[1:]
    several = replace(find_device(), pixels_at_once=2 * rows * columns)
    monkeypatch.setattr(inference, "find_device", lambda: several)
    for one, together in zip(alone, decode_frames(frames, PIXEL_A, ensemble), strict=True):
        np.testing.assert_allclose(together.positions_A, one.positions_A, atol=1e-4)
        np.testing.assert_array_equal(together.species, one.species)
        np.testing.assert_allclose(together.probability, one.probability, atol=1e-5)
