"""Files that microscopes wrote, in the folder of shared data."""

import h5py
import numpy as np
import pytest

from hpcstem.errors import MovieError
from hpcstem.frames import open_movie

pytestmark = pytest.mark.real

# name, frames, rows, columns, pixel size [Å], other metadata
OPENED = [
    ("readers/Acquisition_18.emd", 1, 1024, 1024, 0.122465, {"voltage_kV": 200, "dwell_time_us": 1}),
    ("readers/STEM HAADF Diffraction Micro.emd", 1, 128, 128, 873.708, {"voltage_kV": 300, "dwell_time_us": 10}),
    ("readers/WS2.emd", 1, 1024, 1024, 0.106223, {"voltage_kV": 60, "frame_time_s": 22.58944}),
    ("readers/fei_example_tem_stack.emd", 2, 3, 3, 0.0817288, {"voltage_kV": 300}),
    ("readers/WS2_Janus_12.tif", 1, 512, 512, 0.078125, {}),
    ("readers/stem_abf_data_imagestack.hspy", 5, 512, 512, 0.0920240, {}),
    ("readers/temp.mrc", 3, 128, 128, 2.0, {}),
    ("readers/test_STEM_image.dm3", 1, 68, 68, 2.48538, {"voltage_kV": 200, "dwell_time_us": 3.5}),
    ("stem/graphene-si/G-Si-2nm.hdf5", 1, 256, 256, 0.078125, {"voltage_kV": 60}),
    ("stem/graphene-si/G-GrainBoundary-4nm.hdf5", 1, 512, 512, 0.078125, {"voltage_kV": 60}),
    ("stem/graphene-si/G-trimSi.hdf5", 1, 512, 512, None, {"voltage_kV": None}),
    ("stem/graphene-si/Si3C6_trimer_movie.npz", 44, 256, 256, 0.078125, {}),
    ("stem/mos2/MoS2_stem_Exp-000-2.npy", 1, 512, 512, 0.17578125, {"voltage_kV": 60, "beam_current_pA": 30}),
    ("stem/mos2/MoS2_stem_Exp-001-5.npy", 1, 512, 512, 0.13671875, {"voltage_kV": 60, "beam_current_pA": 30}),
    ("stem/simulated/graphene_contaminated_1.npz", 1, 512, 512, 0.078125, {}),
    ("stem/simulated/graphene_d150.npz", 1, 192, 192, None, {}),
]
REFUSED = [
    ("readers/08_carbon.dm3", "1×2048 pixels"),
    ("readers/EELS_SI.dm4", "eV"),
    ("readers/dmTest_3D_int16_64,65,66.dm3", r"30 Å .* 0\.02 Å"),
    ("readers/dmTest_float32_nonSquare_diffPixelSize.dm3", "2 Å .* 10 Å"),
    ("stem/graphene-si/G-Si-2nm-coord.npy", "140×3"),
    ("stem/mos2/MoS2_stem_Exp-000-2.json", "suffix"),
]
NEEDS_ROSETTASCIIO = (".dm3", ".dm4", ".mrc", ".hspy")


def real(shared_data, name):
    if name.endswith(NEEDS_ROSETTASCIIO):
        pytest.importorskip("rsciio", reason="pip install 'hpcstem[formats]'")
    return shared_data / name


@pytest.mark.parametrize(("name", "n_frames", "rows", "columns", "pixel_size_A", "known"), OPENED)
def test_opened(shared_data, name, n_frames, rows, columns, pixel_size_A, known):
    movie = open_movie(real(shared_data, name))
    assert (movie.n_frames, *movie.shape) == (n_frames, rows, columns)
    assert movie.metadata.pixel_size_A == (None if pixel_size_A is None else pytest.approx(pixel_size_A, rel=1e-5))
    for field, value in known.items():
        assert getattr(movie.metadata, field) == (None if value is None else pytest.approx(value))
    assert movie.read(0, n_frames).shape == (n_frames, rows, columns)


@pytest.mark.parametrize(("name", "reason"), REFUSED)
def test_refused(shared_data, name, reason):
    with pytest.raises(MovieError, match=reason):
        open_movie(real(shared_data, name))


def test_a_pixel_size_given_opens_what_is_not_square(shared_data):
    movie = open_movie(real(shared_data, "readers/dmTest_3D_int16_64,65,66.dm3"), pixel_size_A=0.1)
    assert (movie.n_frames, movie.shape) == (66, (65, 64))


@pytest.mark.parametrize("name", ["stem_abf_data_imagestack.hspy", "fei_example_tem_stack.emd", "Acquisition_18.emd"])
def test_pixels_are_those_in_the_file(shared_data, name):
    path = real(shared_data, f"readers/{name}")
    movie = open_movie(path)
    with h5py.File(path) as file:
        stored = {
            "stem_abf_data_imagestack.hspy": lambda: file["Experiments/004_ABF_movie_21/data"][:],
            "fei_example_tem_stack.emd": lambda: np.moveaxis(next(iter(file["Data/Image"].values()))["Data"][:], 2, 0),
            "Acquisition_18.emd": lambda: file["data/single/data"][:][None],
        }[name]()
    last = movie.n_frames - 1
    np.testing.assert_array_equal(movie.read(last, last + 1), stored[last:])


def test_velox_agrees_with_rosettasciio(shared_data):
    emd = pytest.importorskip("rsciio.emd", reason="pip install 'hpcstem[formats]'")
    path = shared_data / "readers" / "WS2.emd"
    signal = emd.file_reader(str(path))[0]
    movie = open_movie(path)
    np.testing.assert_array_equal(movie.read(0, 1)[0], signal["data"])
    assert movie.metadata.pixel_size_A == pytest.approx(signal["axes"][0]["scale"] * 10)


def test_every_defect_image(shared_data):
    paths = sorted((shared_data / "stem" / "graphene-si" / "defects").glob("*/*.hdf5"))
    assert paths
    for path in paths:
        movie = open_movie(path)
        assert movie.dataset == "nn_input"
        assert movie.read(0, 1).shape == (1, *movie.shape)


def test_pixel_sizes_give_the_length_of_the_bond_between_silicon_and_carbon(shared_data):
    """Si–C in graphene is 1.6 to 1.9 Å; the coordinates are detections, good to a tenth or two of that."""
    lengths_A = []
    for path in sorted((shared_data / "stem" / "graphene-si" / "defects" / "Si1C3").glob("*.hdf5")):
        with h5py.File(path) as file:
            rows = next(file[name][:] for name in file if name.startswith("defect_coord"))
        xy, species = rows[:, :2].astype(float), rows[:, 2]
        distances_px = np.sort(np.hypot(*(xy - xy[species == b"Si"][0]).T))[1:4]
        lengths_A.append(distances_px.mean() * open_movie(path).require_pixel_size())
    assert min(lengths_A) > 1.4
    assert max(lengths_A) < 2.0
    assert np.median(lengths_A) == pytest.approx(1.75, abs=0.15)


def test_silicon_is_bright_where_the_coordinates_say(shared_data):
    """Columns are x: the frame is not turned."""
    path = shared_data / "stem" / "graphene-si" / "defects" / "Si1C3" / "102.hdf5"
    frame = open_movie(path).read(0, 1)[0]
    with h5py.File(path) as file:
        (x, y), *_ = [row[:2].astype(float) for row in file["defect_coord_0"][:] if row[2] == b"Si"]
    assert frame[round(y), round(x)] > 2 * frame[round(x), round(y)]
