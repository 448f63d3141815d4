"""Dose against figures of published movies."""

import numpy as np
import pytest

from hpcstem.errors import MovieError
from hpcstem.frames import (
    MovieMetadata,
    accumulated_dose,
    dose_per_frame,
    electrons_per_frame,
    frame_time_s,
    open_movie,
    write_movie,
)


@pytest.fixture
def movie(tmp_path, frames):
    write_movie(tmp_path / "m.h5", frames, MovieMetadata())
    return open_movie(tmp_path / "m.h5")


def test_electrons_of_a_published_movie(movie):
    published = movie.with_metadata(beam_current_pA=20, frame_time_s=33.5)
    assert electrons_per_frame(published) == pytest.approx(4.2e9, rel=0.01)


def test_frame_time_from_dwell_time():
    # 16 nm field at 31 pm per pixel is 512 pixels; 64 µs on each of 512² is the published 17 s within the rounding.
    assert frame_time_s(MovieMetadata(dwell_time_us=64), (512, 512)) == pytest.approx(16.78, abs=0.01)
    assert frame_time_s(MovieMetadata(dwell_time_us=64, frame_time_s=17), (512, 512)) == 17
    assert frame_time_s(MovieMetadata(), (512, 512)) is None


def test_dose_is_electrons_by_area(movie):
    known = movie.with_metadata(beam_current_pA=20, frame_time_s=33.5, pixel_size_A=0.104)
    area_A2 = 24 * 32 * 0.104**2
    assert dose_per_frame(known) * area_A2 == pytest.approx(electrons_per_frame(known))
    by_hand = 20e-12 * 33.5 / 1.602176634e-19 / (896 * 0.104) ** 2
    assert by_hand == pytest.approx(4.816e5, rel=1e-3)
    assert dose_per_frame(known) == pytest.approx(by_hand * 896**2 / (24 * 32))


def test_accumulated_dose_grows_by_one_frame_each(movie):
    known = movie.with_metadata(beam_current_pA=20, dwell_time_us=10, pixel_size_A=0.1)
    dose = accumulated_dose(known)
    assert dose.shape == (movie.n_frames,)
    np.testing.assert_allclose(np.diff(dose, prepend=0.0), dose_per_frame(known))


@pytest.mark.parametrize(
    ("known", "lacks"),
    [
        ({"frame_time_s": 1, "pixel_size_A": 1}, "beam_current_pA"),
        ({"beam_current_pA": 1, "pixel_size_A": 1}, "frame_time_s or dwell_time_us"),
        ({"beam_current_pA": 1, "frame_time_s": 1}, "--pixel-size-A"),
    ],
)
def test_what_is_unknown_is_named(movie, known, lacks):
    with pytest.raises(MovieError, match=lacks):
        dose_per_frame(movie.with_metadata(**known))
