"""Metadata of movies and the units of files."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpcstem.errors import MovieError
from hpcstem.frames import MovieMetadata
from hpcstem.frames.found import Axis, Found, number, pick
from hpcstem.frames.named_values import json_mapping, named_values
from hpcstem.frames.units import UnitKind, kind_of_unit, length_A, time_s

NO_OVERRIDES: dict[str, float | None] = {}


@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf, "x"])
def test_metadata_refuses_what_is_not_positive(value):
    with pytest.raises(MovieError, match="dwell_time_us"):
        MovieMetadata(dwell_time_us=value)


@given(st.floats(1e-6, 1e6))
def test_metadata_keeps_positive_numbers(value):
    assert MovieMetadata(pixel_size_A=value).pixel_size_A == value


@pytest.mark.parametrize(
    ("unit", "factor"),
    [
        ("nm", 10),
        ("n_m", 10),
        ("[n_m]", 10),
        ("pm", 0.01),
        ("Å", 1),
        ("\u212b", 1),
        ("A", 1),
        ("Angstrom", 1),
        ("um", 1e4),
        ("µm", 1e4),
        ("μm", 1e4),
        ("\\u00B5m", 1e4),
        ("micron", 1e4),
        ("m", 1e10),
    ],
)
def test_lengths(unit, factor):
    assert length_A(3.0, unit, "file") == pytest.approx(3 * factor)


@pytest.mark.parametrize("unit", ["1/nm", "nm^-1", "nm-1", "1/Å", "nm⁻¹", "/nm", "mrad", "[n_m^-1]", "1 / nm"])
def test_reciprocal_units_are_no_image(unit):
    with pytest.raises(MovieError, match=r"not an image.*diffraction"):
        length_A(1.0, unit, "file")


@pytest.mark.parametrize(("unit", "what"), [("eV", "spectrum"), ("s", "time series")])
def test_other_units_are_no_image(unit, what):
    with pytest.raises(MovieError, match=what):
        length_A(1.0, unit, "file")


@pytest.mark.parametrize("unit", ["", "px", "pixels", "counts"])
def test_unknown_units_give_no_length(unit):
    assert length_A(1.0, unit, "file") is None
    assert kind_of_unit(unit) is UnitKind.UNKNOWN


def test_times():
    assert time_s(800, "ms") == pytest.approx(0.8)
    assert time_s(1, "nm") is None


def test_overrides_win_over_the_file():
    found = Found("file", Axis(0.1, "nm"), Axis(0.1, "nm"), Axis(17, "s"), values={"voltage_kV": 60})
    metadata = found.metadata((8, 8), {"pixel_size_A": 2.0, "voltage_kV": None}, "file")
    assert metadata == MovieMetadata(
        pixel_size_A=2.0, frame_time_s=17, voltage_kV=60, source="file; pixel_size_A as given"
    )


def test_pixels_that_are_not_square_are_refused_with_both_sizes_unless_one_is_given():
    found = Found("file", Axis(2.0, "Å"), Axis(1.0, "nm"))
    with pytest.raises(MovieError, match=r"not square.*2 Å.*10 Å"):
        found.metadata((8, 8), NO_OVERRIDES, "file")
    assert found.metadata((8, 8), {"pixel_size_A": 3.0}, "file").pixel_size_A == 3.0


def test_a_diffraction_pattern_is_refused_even_with_a_pixel_size():
    found = Found("file", Axis(2.0, "1/nm"), Axis(2.0, "1/nm"))
    with pytest.raises(MovieError, match="not an image"):
        found.metadata((8, 8), {"pixel_size_A": 1.0}, "file")


def test_a_spectrum_image_is_refused():
    found = Found("file", Axis(1, "nm"), Axis(1, "nm"), Axis(1, "eV"))
    with pytest.raises(MovieError, match="spectrum image"):
        found.metadata((8, 8), NO_OVERRIDES, "file")


@pytest.mark.parametrize("size", [0.0, -0.1])
def test_a_wrong_pixel_size_in_a_file_is_refused_unless_one_is_given(size):
    found = named_values({"pixel_size_A": size}, "file")
    with pytest.raises(MovieError, match="pixel-size-A"):
        found.metadata((8, 8), NO_OVERRIDES, "file")
    assert found.metadata((8, 8), {"pixel_size_A": 0.1}, "file").pixel_size_A == 0.1


def test_values_that_instruments_leave_at_zero_are_unknown():
    values = {"beam_current_pA": 0.0, "convergence_angle_mrad": -28.0}
    metadata = Found("file", frames=Axis(-2.0, "s"), values=values).metadata((8, 8), NO_OVERRIDES, "file")
    assert metadata.frame_time_s is None
    assert metadata.beam_current_pA is None
    assert metadata.convergence_angle_mrad is None


@pytest.mark.parametrize(
    ("tree", "name", "value"),
    [
        ({"pixel_size_angstrom": 0.1}, "pixel_size_A", 0.1),
        ({"sampling": 0.1}, "pixel_size_A", 0.1),
        ({"a": {"pixel size nm": "0.01"}}, "pixel_size_A", 0.1),
        ({"scan_size_pm": 160.0}, "pixel_size_A", 0.1),
        ({"scan size": "0.16"}, "pixel_size_A", 0.1),
        ({"fov_nm": 0.16}, "pixel_size_A", 0.1),
        ({"field_of_view_x": 0.16, "field_of_view_y": 0.08, "field_of_view_units": "nm"}, "pixel_size_A", 0.1),
        ({"voltage": "60 kV"}, "voltage_kV", 60),
        ({"acc voltage": 60.0}, "voltage_kV", 60),
        ({"acceleration_voltage": 60000}, "voltage_kV", 60),
        ({"acc voltage": "NA"}, "voltage_kV", None),
        ({"probe_current": "0.03 nA"}, "beam_current_pA", 30),
        ({"probe_current": 30}, "beam_current_pA", None),
        ({"beam_current_pA": 30}, "beam_current_pA", 30),
        ({"pixel_time_us": 64}, "dwell_time_us", 64),
    ],
)
def test_named_values(tree, name, value):
    metadata = named_values(tree, "file").metadata((8, 16), NO_OVERRIDES, "file")
    assert getattr(metadata, name) == (None if value is None else pytest.approx(value))


def test_numbers():
    assert number(b"1.5") == 1.5
    assert [number(value) for value in ("NA", True, [1], None, "nan")] == [None] * 5


def test_pick_takes_the_first_positive_number():
    rules = (("a/b", "voltage_kV", 1e-3), ("c", "voltage_kV", 1.0))
    assert pick({"a": {"b": 0}, "c": 60}, rules) == {"voltage_kV": 60}
    assert pick({"a": {"b": "60000"}, "c": 1}, rules) == {"voltage_kV": 60}


def test_damaged_json_is_refused_and_other_text_names_nothing():
    assert json_mapping(b' {"a": 1}', "sidecar") == {"a": 1}
    assert [json_mapping(text, "sidecar") for text in ("[1]", b"\xff", "a note", 3.5)] == [{}] * 4
    with pytest.raises(MovieError, match="JSON"):
        json_mapping('{"a": 1', "sidecar")
