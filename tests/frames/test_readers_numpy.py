"""NPY, NPZ and Nion .ndata."""

import json
import zipfile

import numpy as np
import pytest

from hpcstem.errors import MovieError
from hpcstem.frames import open_movie
from hpcstem.frames.readers.choice import choose
from hpcstem.frames.readers.layout import layout_of

F4 = np.dtype(np.float32)


@pytest.mark.parametrize(
    ("shape", "movie_shape"),
    [
        ((24, 32), (1, 24, 32)),
        ((5, 24, 32), (5, 24, 32)),
        ((1, 24, 32, 1), (1, 24, 32)),
        ((5, 24, 32, 1), (5, 24, 32)),
        ((24, 32, 1), (1, 24, 32)),
        ((1, 5, 24, 32), (5, 24, 32)),
        ((5, 1, 1, 24, 32), (5, 24, 32)),
    ],
)
def test_axes_of_length_one(tmp_path, shape, movie_shape):
    array = np.random.default_rng(1).random(shape).astype(np.float32)
    np.save(tmp_path / "m.npy", array)
    movie = open_movie(tmp_path / "m.npy")
    assert (movie.n_frames, *movie.shape) == movie_shape
    np.testing.assert_array_equal(movie.read(0, movie.n_frames), array.reshape(movie_shape))


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.zeros((3, 4, 16, 16)), "4D-STEM"),
        (np.zeros(16), "list or a spectrum"),
        (np.zeros((0, 16, 16)), "no frames"),
        (np.zeros((16, 16), complex), "real numbers"),
        (np.zeros((16, 16), bool), "real numbers"),
        (np.zeros((16, 16, 3), np.uint8), "colour"),
        (np.zeros((600, 3)), "600×3"),
        (np.array([{"a": 1}] * 4), "pickled"),
    ],
)
def test_what_is_no_movie(tmp_path, array, reason):
    np.save(tmp_path / "m.npy", array)
    with pytest.raises(MovieError, match=reason):
        open_movie(tmp_path / "m.npy")


def test_names_of_axes_turn_frames_that_keep_x_first():
    layout = layout_of((32, 24, 5), F4, "file", ("X", "Y", "time"))
    assert layout.shape == (5, 24, 32)
    array = np.random.default_rng(1).random((32, 24, 5))
    np.testing.assert_array_equal(layout.arrange(array[layout.index(1, 3)]), array.transpose(2, 1, 0)[1:3])


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["<f4", ">f8", "<u2", ">i4"])
def test_byte_order_and_fortran_order(tmp_path, frames, order, dtype):
    array = np.asarray(frames * 100, dtype, order=order)
    np.save(tmp_path / "m.npy", array)
    np.testing.assert_array_equal(open_movie(tmp_path / "m.npy").read(2, 6), array[2:6].astype(np.float32))


def test_an_npy_cut_in_its_first_frame_is_refused(tmp_path, frames):
    for order in ("C", "F"):
        np.save(tmp_path / "m.npy", np.asarray(frames, order=order))
        data = (tmp_path / "m.npy").read_bytes()
        (tmp_path / "m.npy").write_bytes(data[: 1000 if order == "C" else -100])
        with pytest.raises(MovieError, match="truncated"):
            open_movie(tmp_path / "m.npy")


def test_json_beside_an_npy(tmp_path, frames):
    np.save(tmp_path / "m.npy", frames[0])
    space = {"field_of_view_x": 3.2, "field_of_view_y": 2.4, "field_of_view_units": "nm"}
    details = {"voltage": "60 kV", "probe_current": "30 pA", "spatial_info": space}
    (tmp_path / "m.json").write_text(json.dumps({"experimental_details": details}))
    metadata = open_movie(tmp_path / "m.npy").metadata
    assert metadata.pixel_size_A == pytest.approx(1.0)
    assert (metadata.voltage_kV, metadata.beam_current_pA) == (60, 30)
    (tmp_path / "m.json").write_text("{")
    with pytest.raises(MovieError, match=r"m\.json cannot be read"):
        open_movie(tmp_path / "m.npy")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz(tmp_path, frames, save):
    save(tmp_path / "m.npz", frames=frames, labels=frames[0], pixel_size_angstrom=0.1, positions=np.zeros((9, 2)))
    movie = open_movie(tmp_path / "m.npz")
    assert movie.dataset == "frames"
    assert movie.metadata.pixel_size_A == 0.1
    np.testing.assert_array_equal(movie.read(2, 5), frames[2:5])
    labels = open_movie(tmp_path / "m.npz", dataset="labels")
    np.testing.assert_array_equal(labels.read(0, 1), frames[:1])


@pytest.mark.parametrize("name", ["frames", "image", "data", "anything"])
def test_npz_names(tmp_path, frames, name):
    np.savez(tmp_path / "m.npz", **{name: frames}, table=np.zeros((9, 2)), sampling=0.2)
    movie = open_movie(tmp_path / "m.npz")
    assert (movie.dataset, movie.metadata.pixel_size_A) == (name, 0.2)


def test_npz_with_several_images_lists_them(tmp_path, frames):
    np.savez(tmp_path / "m.npz", a=frames, b=frames[0])
    with pytest.raises(MovieError, match=r"holds 2 images.*a \(7, 24, 32\), b \(24, 32\)"):
        open_movie(tmp_path / "m.npz")
    with pytest.raises(MovieError, match=r"no such dataset.*a \(7, 24, 32\)"):
        open_movie(tmp_path / "m.npz", dataset="c")


def test_pickled_and_truncated_npz(tmp_path, frames):
    np.savez(tmp_path / "m.npz", frames=np.array([{}] * 9))
    with pytest.raises(MovieError, match="pickled"):
        open_movie(tmp_path / "m.npz")
    np.savez(tmp_path / "m.npz", frames=frames)
    (tmp_path / "m.npz").write_bytes((tmp_path / "m.npz").read_bytes()[:5000])
    with pytest.raises(MovieError, match="cannot be opened"):
        open_movie(tmp_path / "m.npz")


def test_datasets_are_chosen_by_the_end_of_their_path_where_it_is_unique():
    candidates = {"a/data": ((16, 16), F4), "b/data": ((16, 16), F4), "c/other": ((16, 16), F4)}
    assert choose(candidates, "other", "file") == "c/other"
    assert choose(candidates, "/a/data", "file") == "a/data"
    with pytest.raises(MovieError, match="several of this name"):
        choose(candidates, "data", "file")
    with pytest.raises(MovieError, match="holds 2 images"):
        choose(candidates, None, "file")


def nion_properties(**changes) -> dict:
    steps = [{"offset": 0, "scale": 1, "units": ""}] + [{"offset": -1.6, "scale": 0.0104, "units": "nm"}] * 2
    hardware = {"pixel_time_us": 64.0, "exposure": 17.0, "autostem": {"ImageScanned:EHT": 60010.0}}
    return {
        "is_sequence": True,
        "collection_dimension_count": 0,
        "datum_dimension_count": 2,
        "dimensional_calibrations": steps,
        "metadata": {"hardware_source": hardware},
    } | changes


def write_ndata(path, frames, properties, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        with archive.open("data.npy", "w") as stream:
            np.save(stream, frames)
        archive.writestr("metadata.json", json.dumps(properties))


def test_ndata(tmp_path, frames):
    write_ndata(tmp_path / "m.ndata", frames, nion_properties())
    movie = open_movie(tmp_path / "m.ndata")
    np.testing.assert_array_equal(movie.read(3, 6), frames[3:6])
    metadata = movie.metadata
    assert metadata.pixel_size_A == pytest.approx(0.104)
    assert (metadata.dwell_time_us, metadata.frame_time_s, metadata.voltage_kV) == (64, 17, pytest.approx(60.01))


def test_ndata_of_the_first_versions(tmp_path, frames):
    steps = [{"offset": 0, "scale": 0.0104, "units": "nm"}] * 2
    write_ndata(tmp_path / "m.ndata", frames[0], {"data_source": {"spatial_calibrations": steps}})
    assert open_movie(tmp_path / "m.ndata").metadata.pixel_size_A == pytest.approx(0.104)


def test_ndata_of_a_spectrum_image_or_a_diffraction_pattern(tmp_path, frames):
    properties = nion_properties(is_sequence=False, collection_dimension_count=2, datum_dimension_count=1)
    write_ndata(tmp_path / "m.ndata", frames, properties)
    with pytest.raises(MovieError, match="spectrum image"):
        open_movie(tmp_path / "m.ndata")
    steps = [{"scale": 1, "units": ""}] + [{"scale": 0.1, "units": "mrad"}] * 2
    write_ndata(tmp_path / "m.ndata", frames, nion_properties(dimensional_calibrations=steps))
    with pytest.raises(MovieError, match="diffraction"):
        open_movie(tmp_path / "m.ndata")


def test_ndata_that_nion_did_not_write(tmp_path, frames):
    write_ndata(tmp_path / "m.ndata", frames, nion_properties(), zipfile.ZIP_DEFLATED)
    with pytest.raises(MovieError, match="compressed"):
        open_movie(tmp_path / "m.ndata")
    with zipfile.ZipFile(tmp_path / "m.ndata", "w") as archive:
        archive.writestr("other", "x")
    with pytest.raises(MovieError, match=r"data\.npy"):
        open_movie(tmp_path / "m.ndata")
