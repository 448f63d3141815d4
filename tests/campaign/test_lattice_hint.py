"""The pixel size that a lattice shows, for the messages of errors."""

import numpy as np
import pytest

from hpcstem.campaign.lattice_hint import lattice_hint, lattice_pixel_size_A
from hpcstem.errors import ConfigError, MovieError, StructureError
from hpcstem.frames import MovieMetadata, open_movie, write_movie
from hpcstem.imaging.acquisition import Acquisition
from hpcstem.imaging.movie import simulate_movie
from hpcstem.imaging.probe import Probe


def sheet(pixel_size_A, seed, shape=(256, 256), electrons_per_A2=1e5, contamination=0.0):
    """One frame of a sheet, turned as the seed says."""
    acquisition = Acquisition(electrons_per_A2, 0.6, contamination, 0.3 if contamination else 0.0)
    frames, _ = simulate_movie(
        "sheet", 1, shape, pixel_size_A, Probe(60.0, 31.0, 0.28), acquisition, np.random.SeedSequence(seed)
    )
    return frames[0]


@pytest.mark.parametrize("pixel_size_A", [0.06, 0.1, 0.16, 0.25])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_sheet_shows_its_pixel_size(pixel_size_A, seed):
    found_A = lattice_pixel_size_A(sheet(pixel_size_A, seed))
    assert found_A == pytest.approx(pixel_size_A, rel=0.1)


def test_a_contaminated_sheet_shows_its_pixel_size():
    assert lattice_pixel_size_A(sheet(0.1, 4, contamination=1.5)) == pytest.approx(0.1, rel=0.1)


@pytest.mark.parametrize("seed", range(5))
def test_noise_shows_nothing(seed):
    rng = np.random.default_rng(seed)
    assert lattice_pixel_size_A(rng.poisson(100, (256, 200)).astype(np.float32)) is None
    assert lattice_pixel_size_A(np.ones((64, 64), np.float32)) is None


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "pixel_size_A"), [("G-Si-2nm", 0.078), ("G-GrainBoundary-4nm", 0.078), ("G-trimSi", 0.039)]
)
def test_a_real_frame_shows_its_pixel_size(shared_data, name, pixel_size_A):
    frame = open_movie(shared_data / "stem" / "graphene-si" / f"{name}.hdf5").read(0, 1)[0]
    assert lattice_pixel_size_A(frame) == pytest.approx(pixel_size_A, rel=0.1)


def test_an_error_gets_a_hint_where_the_lattice_says_something_else(tmp_path):
    for name, frame in (("sheet", sheet(0.1, 1)), ("noise", np.random.default_rng(1).poisson(9, (99, 99)))):
        write_movie(tmp_path / f"{name}.h5", np.asarray([frame], np.float32), MovieMetadata(pixel_size_A=0.1))
    right, noise = open_movie(tmp_path / "sheet.h5"), open_movie(tmp_path / "noise.h5")
    wrong = open_movie(tmp_path / "sheet.h5", pixel_size_A=1.0)
    with pytest.raises(StructureError) as error, lattice_hint([right, wrong, noise]):
        raise StructureError("lengths", "nonsense", "graphene")
    assert (error.value.thing, error.value.got) == ("lengths", "nonsense")
    assert error.value.wanted == "graphene; pixel_size_A: 0.1 instead of 1, if the lattice of movie sheet is graphene"
    with pytest.raises(MovieError, match=r"^lengths; wanted pixel_size_A: 0.1 instead of 1,"), lattice_hint([wrong]):
        raise MovieError("lengths")
    # The atoms of a wrong pixel size lie anywhere: what was found from them is no advice.
    with pytest.raises(ConfigError, match=r"wanted pixel_size_A: 0.1 instead of 1,[^;]*$"), lattice_hint([wrong]):
        raise ConfigError("first peak at 4.9 Å", 1.0, "pixel_size_A: 0.29")
    for movies in ([right], [noise], []):
        with pytest.raises(MovieError, match=r"^lengths; got nonsense; wanted graphene$"), lattice_hint(movies):
            raise MovieError("lengths", "nonsense", "graphene")
