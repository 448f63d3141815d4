"""HDF5 in the layouts of plain files, Nion, NSID, USID, NCEM and Velox."""

import json

import h5py
import numpy as np
import pytest

from hpcstem.errors import MovieError
from hpcstem.frames import open_movie


@pytest.fixture
def path(tmp_path):
    return tmp_path / "m.h5"


def scaled(file, array, names, units, group="Measurement_000/Channel_000/generic", data_type=None):
    """Write a dataset with dimension scales, as NSID does; steps of 0.01."""
    target = file.create_group(group)
    dataset = target.create_dataset("generic", data=array)
    for axis, (name, unit) in enumerate(zip(names, units, strict=True)):
        scale = target.create_dataset(f"dim_{name}", data=np.arange(array.shape[axis]) * 0.01)
        scale.attrs["name"], scale.attrs["units"] = name, unit
        scale.make_scale(name)
        dataset.dims[axis].label = name
        dataset.dims[axis].attach_scale(scale)
    if data_type:
        dataset.attrs["data_type"] = data_type
    return dataset


def test_plain_file_with_attributes_of_the_file_and_the_dataset(path, frames):
    with h5py.File(path, "w") as file:
        file["entry/stack"] = frames
        file["entry/positions"] = np.zeros((900, 2))
        file["entry/title"] = "text"
        file.attrs["acc voltage"] = "60 kV"
        file["entry/stack"].attrs["pixel_size_nm"] = 0.0104
    movie = open_movie(path)
    assert movie.dataset == "entry/stack"
    assert movie.metadata.pixel_size_A == pytest.approx(0.104)
    assert movie.metadata.voltage_kV == 60
    np.testing.assert_array_equal(movie.read(1, 4), frames[1:4])


def test_two_images_are_listed_and_chosen_by_name(path, frames):
    with h5py.File(path, "w") as file:
        file["a/first"], file["b/second"] = frames, frames[:, ::-1]
    with pytest.raises(MovieError, match=r"a/first \(7, 24, 32\), b/second \(7, 24, 32\)"):
        open_movie(path)
    movie = open_movie(path, dataset="second")
    np.testing.assert_array_equal(movie.read(0, 1), frames[:1, ::-1])
    with pytest.raises(MovieError, match="no such dataset"):
        open_movie(path, dataset="third")


def test_training_images_have_their_scan_size_in_picometres(path, frames):
    with h5py.File(path, "w") as file:
        file["nn_input"] = frames[:1, :, :, None]
        file["nn_input"].attrs["scan size"] = "3200.0"
        file["nn_input"].attrs["metadata"] = json.dumps({"acc voltage": 60.0})
    metadata = open_movie(path).metadata
    assert metadata.pixel_size_A == pytest.approx(1.0)
    assert metadata.voltage_kV == 60


def test_json_metadata_beside_the_image_has_its_scan_size_in_nanometres(path, frames):
    with h5py.File(path, "w") as file:
        file["image_data"] = frames[0]
        file["metadata"] = json.dumps({"acc voltage": "NA", "scan size": "3.2"})
    metadata = open_movie(path).metadata
    assert metadata.pixel_size_A == pytest.approx(1.0)
    assert metadata.voltage_kV is None


@pytest.mark.parametrize("content", [{}, {"x": np.zeros((3, 4, 16, 16))}, {"x": np.zeros(9), "y": np.zeros((9, 2))}])
def test_files_without_images(path, content):
    with h5py.File(path, "w") as file:
        file.update(content)
    with pytest.raises(MovieError, match=r"no image|not a movie"):
        open_movie(path)


@pytest.mark.parametrize("name", ["m.h5", "m.nhdf"])
def test_nion(tmp_path, frames, name):
    steps = [{"offset": 0, "scale": 1, "units": ""}] + [{"offset": 0, "scale": 31, "units": "pm"}] * 2
    instrument = {"high_tension": 100000.0}
    hardware = {"pixel_time_us": 64.0, "exposure": 17.0}
    properties = {
        "is_sequence": True,
        "collection_dimension_count": 0,
        "datum_dimension_count": 2,
        "dimensional_calibrations": steps,
        "metadata": {"instrument": instrument, "hardware_source": hardware},
    }
    with h5py.File(tmp_path / name, "w") as file:
        dataset = file.create_dataset("data" if name == "m.h5" else "data/0f1e", data=frames)
        dataset.attrs["properties"] = json.dumps(properties)
    movie = open_movie(tmp_path / name)
    assert movie.metadata.pixel_size_A == pytest.approx(0.31)
    assert (movie.metadata.voltage_kV, movie.metadata.dwell_time_us, movie.metadata.frame_time_s) == (100, 64, 17)
    np.testing.assert_array_equal(movie.read(0, 7), frames)


@pytest.mark.parametrize(
    ("names", "order"),
    [(("time", "y", "x"), (0, 1, 2)), (("x", "y", "time"), (2, 1, 0)), (("time", "x", "y"), (0, 2, 1))],
)
def test_nsid_in_any_order_of_axes(path, frames, names, order):
    units = ["s" if name == "time" else "nm" for name in names]
    with h5py.File(path, "w") as file:
        scaled(file, frames.transpose(order), names, units, data_type="IMAGE_STACK")
    movie = open_movie(path)
    assert movie.shape == (24, 32)
    assert movie.metadata.pixel_size_A == pytest.approx(0.1)
    assert movie.metadata.frame_time_s == pytest.approx(0.01)
    np.testing.assert_array_equal(movie.read(2, 6), frames[2:6])


@pytest.mark.parametrize(
    ("units", "data_type", "reason"),
    [
        (("nm", "nm", "eV"), None, "spectrum image"),
        (("nm", "nm", "nm"), "SPECTRAL_IMAGE", "SPECTRAL_IMAGE"),
        (("1/nm", "1/nm", "s"), None, "diffraction"),
    ],
)
def test_nsid_that_is_no_movie(path, frames, units, data_type, reason):
    with h5py.File(path, "w") as file:
        scaled(file, frames.transpose(2, 1, 0), ("x", "y", "third"), units, data_type=data_type)
    with pytest.raises(MovieError, match=reason):
        open_movie(path)


def usid(file, frames, names, pixels_first=True, third=("Time", "s")):
    """Write frames as USID; the first name is the dimension that runs fastest; steps of 0.01."""
    n_frames, rows, columns = frames.shape
    row, column = (index.ravel() for index in np.mgrid[:rows, :columns])
    first_is_x = names[0].lower().startswith("x")
    if not first_is_x:
        order = np.lexsort((row, column))
        row, column = row[order], column[order]
    pixels = np.column_stack([column, row] if first_is_x else [row, column])
    times = np.arange(n_frames)[:, None]
    group = file.create_group("Measurement_000/Channel_000")
    table = frames[:, row, column]
    main = group.create_dataset("Raw_Data", data=table.T if pixels_first else table)
    sides = {
        "Position": (pixels, names, "nm") if pixels_first else (times, third[:1], third[1]),
        "Spectroscopic": (times.T, third[:1], third[1]) if pixels_first else (pixels.T, names, "nm"),
    }
    for side, (indices, labels, unit) in sides.items():
        for kind, values in (("Indices", indices), ("Values", indices * 0.01)):
            dataset = group.create_dataset(f"{side}_{kind}", data=values)
            dataset.attrs["labels"] = list(labels)
            dataset.attrs["units"] = [unit] * len(labels)
            main.attrs[f"{side}_{kind}"] = dataset.ref


@pytest.mark.parametrize("names", [("X", "Y"), ("Y", "X"), ("x axis", "y axis")])
@pytest.mark.parametrize("pixels_first", [True, False])
def test_usid(path, frames, names, pixels_first):
    with h5py.File(path, "w") as file:
        usid(file, frames, names, pixels_first)
    movie = open_movie(path)
    assert (movie.n_frames, movie.shape) == (7, (24, 32))
    assert movie.metadata.pixel_size_A == pytest.approx(0.1)
    assert movie.metadata.frame_time_s == pytest.approx(0.01)
    np.testing.assert_array_equal(movie.read(2, 6), frames[2:6])


def test_usid_with_one_frame(path, frames):
    with h5py.File(path, "w") as file:
        usid(file, frames[:1], ("X", "Y"))
    np.testing.assert_array_equal(open_movie(path).read(0, 1), frames[:1])


def test_usid_spectroscopy_is_refused(path, frames):
    with h5py.File(path, "w") as file:
        usid(file, frames, ("X", "Y"), third=("Bias", "V"))
    with pytest.raises(MovieError, match="spectrum image"):
        open_movie(path)


def test_usid_that_was_stopped_within_the_image(path, frames):
    with h5py.File(path, "w") as file:
        usid(file, frames, ("X", "Y"))
        group = file["Measurement_000/Channel_000"]
        for name in ("Position_Indices", "Position_Values", "Raw_Data"):
            attributes = dict(group[name].attrs)
            data = group[name][:-5]
            del group[name]
            group[name] = data
            group[name].attrs.update(attributes)
        for name in ("Position_Indices", "Position_Values"):
            group["Raw_Data"].attrs[name] = group[name].ref
    with pytest.raises(MovieError, match="763 pixels"):
        open_movie(path)


def test_usid_with_a_pixel_twice(path, frames):
    with h5py.File(path, "w") as file:
        usid(file, frames, ("X", "Y"))
        indices = file["Measurement_000/Channel_000/Position_Indices"]
        indices[-2] = indices[-1]
    with pytest.raises(MovieError, match="767 pixels"):
        open_movie(path)


def test_ncem(tmp_path, frames):
    with h5py.File(tmp_path / "m.emd", "w") as file:
        group = file.create_group("data/stack")
        group.attrs["emd_group_type"] = 1
        group["data"] = frames
        file["data/other"] = frames
        for axis, (name, unit) in enumerate([("time", "s"), ("Y", "n_m"), ("X", "n_m")]):
            dimension = group.create_dataset(f"dim{axis + 1}", data=np.arange(frames.shape[axis]) * 0.01)
            dimension.attrs["name"], dimension.attrs["units"] = name, unit
        microscope = file.create_group("microscope")
        microscope.attrs.update({"high tension": 200000.0, "dwell time": 1e-6, "convergence angle": 0.025})
    movie = open_movie(tmp_path / "m.emd")
    metadata = movie.metadata
    assert movie.dataset == "data/stack/data"
    assert metadata.pixel_size_A == pytest.approx(0.1)
    assert (metadata.voltage_kV, metadata.frame_time_s) == (200, pytest.approx(0.01))
    assert (metadata.dwell_time_us, metadata.convergence_angle_mrad) == (pytest.approx(1), pytest.approx(25))
    np.testing.assert_array_equal(movie.read(2, 6), frames[2:6])


def velox(file, name, detector, frames, unit="m"):
    group = file.create_group(f"Data/Image/{name}")
    group.create_dataset("Data", data=frames.transpose(1, 2, 0), chunks=(*frames.shape[1:], 1))
    size = {"width": "1.04e-11", "height": "1.04e-11"}
    result = {"Detector": detector, "PixelSize": size, "PixelUnitX": unit, "PixelUnitY": unit}
    scan = {"DwellTime": "2e-05", "FrameTime": "22.5"}
    text = json.dumps({"BinaryResult": result, "Scan": scan, "Optics": {"AccelerationVoltage": "60000"}}).encode()
    metadata = np.zeros((2000, len(frames)), np.uint8)
    metadata[: len(text)] = np.frombuffer(text, np.uint8)[:, None]
    group["Metadata"] = metadata


def test_velox(tmp_path, frames):
    with h5py.File(tmp_path / "m.emd", "w") as file:
        velox(file, "0a", "HAADF", frames)
    movie = open_movie(tmp_path / "m.emd")
    metadata = movie.metadata
    assert (movie.n_frames, movie.shape, movie.dataset) == (7, (24, 32), "HAADF")
    assert metadata.pixel_size_A == pytest.approx(0.104)
    assert (metadata.dwell_time_us, metadata.frame_time_s, metadata.voltage_kV) == (pytest.approx(20), 22.5, 60)
    np.testing.assert_array_equal(movie.read(2, 6), frames[2:6])


def test_velox_with_two_detectors(tmp_path, frames):
    with h5py.File(tmp_path / "m.emd", "w") as file:
        velox(file, "0a", "HAADF", frames[:2])
        velox(file, "0b", "BF", frames[:2, ::-1])
    with pytest.raises(MovieError, match=r"holds 2 images.*HAADF.*BF"):
        open_movie(tmp_path / "m.emd")
    movie = open_movie(tmp_path / "m.emd", dataset="BF")
    np.testing.assert_array_equal(movie.read(0, 2), frames[:2, ::-1])


def test_velox_diffraction(tmp_path, frames):
    with h5py.File(tmp_path / "m.emd", "w") as file:
        velox(file, "0a", "Ceta", frames, unit="1/m")
    with pytest.raises(MovieError, match="diffraction"):
        open_movie(tmp_path / "m.emd")


def test_a_file_that_is_open_elsewhere_in_this_process(path, frames):
    with h5py.File(path, "w") as file:
        file["frames"] = frames
    with h5py.File(path, "r"):
        np.testing.assert_array_equal(open_movie(path).read(0, 7), frames)
