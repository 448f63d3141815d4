"""TIFF stacks, whole and cut."""

import numpy as np
import pytest
import tifffile

from hpcstem.errors import MovieError
from hpcstem.frames import FaultKind, open_movie

PIXELS_PER_CM = 1e8 / 0.104


@pytest.fixture
def path(tmp_path):
    return tmp_path / "m.tif"


@pytest.fixture
def stack(frames) -> np.ndarray:
    return (frames * 60000).astype(np.uint16)


def write_pages(path, stack, **options):
    with tifffile.TiffWriter(path) as file:
        for frame in stack:
            file.write(frame, contiguous=False, metadata=None, **options)


def write_imagej(path, stack):
    metadata = {"unit": "nm", "axes": "TYX"}
    tifffile.imwrite(path, stack, imagej=True, resolution=(1 / 0.0104, 1 / 0.0104), metadata=metadata)


def write_ome(path, stack):
    sizes = {"PhysicalSizeX": 10.4, "PhysicalSizeXUnit": "pm", "PhysicalSizeY": 10.4, "PhysicalSizeYUnit": "pm"}
    tifffile.imwrite(path, stack, ome=True, metadata={"axes": "TYX"} | sizes)


def write_centimetres(path, stack):
    tifffile.imwrite(path, stack, resolution=(PIXELS_PER_CM, PIXELS_PER_CM), resolutionunit="CENTIMETER")


WRITERS = {
    "plain": tifffile.imwrite,
    "zlib": lambda path, stack: tifffile.imwrite(path, stack, compression="zlib"),
    "pages": write_pages,
    "zlib pages": lambda path, stack: write_pages(path, stack, compression="zlib"),
    "big": lambda path, stack: tifffile.imwrite(path, stack, bigtiff=True),
    "big-endian": lambda path, stack: tifffile.imwrite(path, stack, byteorder=">"),
    "ImageJ": write_imagej,
    "OME": write_ome,
    "centimetres": write_centimetres,
}
CALIBRATED = {"ImageJ", "OME", "centimetres"}


@pytest.mark.parametrize("kind", WRITERS)
def test_stacks(path, stack, kind):
    WRITERS[kind](path, stack)
    movie = open_movie(path)
    assert (movie.n_frames, movie.shape) == (7, (24, 32))
    np.testing.assert_array_equal(movie.read(2, 6), stack[2:6])
    size = movie.metadata.pixel_size_A
    assert size == (pytest.approx(0.104, rel=1e-6) if kind in CALIBRATED else None)


@pytest.mark.parametrize("kind", WRITERS)
def test_frames_before_the_cut_are_read_and_lost_ones_named(path, stack, kind):
    WRITERS[kind](path, stack)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * 0.6)])
    movie = open_movie(path)
    good, indices, faults = movie.read_checked(0, movie.n_frames)
    assert len(good) >= 1
    assert faults
    assert {fault.kind for fault in faults} == {FaultKind.TRUNCATED}
    assert sorted([*indices, *(fault.frame for fault in faults)]) == list(range(movie.n_frames))
    np.testing.assert_array_equal(good, stack[indices])


def test_one_image(path, stack):
    tifffile.imwrite(path, stack[0])
    movie = open_movie(path)
    np.testing.assert_array_equal(movie.read(0, 1), stack[:1])


def test_dots_per_inch_are_no_pixel_size(path, stack):
    tifffile.imwrite(path, stack, resolution=(72, 72), resolutionunit="INCH")
    assert open_movie(path).metadata.pixel_size_A is None


def test_pixels_that_are_not_square(path, stack):
    tifffile.imwrite(path, stack, resolution=(PIXELS_PER_CM, 2 * PIXELS_PER_CM), resolutionunit="CENTIMETER")
    with pytest.raises(MovieError, match=r"0\.052 Å along the rows' axis .* 0\.104 Å along the columns'"):
        open_movie(path)


def test_what_is_no_movie(path, stack):
    tifffile.imwrite(path, np.zeros((24, 32, 3), np.uint8), photometric="rgb")
    with pytest.raises(MovieError, match="colour"):
        open_movie(path)
    tifffile.imwrite(path, np.zeros((2, 5, 24, 32), np.float32), photometric="minisblack")
    with pytest.raises(MovieError, match="4D-STEM"):
        open_movie(path)


def test_two_series_are_listed_and_chosen_by_index(path, stack):
    with tifffile.TiffWriter(path) as file:
        file.write(stack[0], metadata=None)
        file.write(stack[0, :16], metadata=None)
    with pytest.raises(MovieError, match=r"0 \(24, 32\), 1 \(16, 32\)"):
        open_movie(path)
    np.testing.assert_array_equal(open_movie(path, dataset="1").read(0, 1), stack[:1, :16])
