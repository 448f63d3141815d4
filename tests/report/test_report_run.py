"""Reading a run directory, and writing numbers."""

import doctest
from pathlib import Path

import numpy as np
import pytest

from hpcstem.errors import HpcstemError, SimulationError
from hpcstem.report import formatting, style
from hpcstem.report.page import Picture
from hpcstem.report.run import Run
from hpcstem.report.sections_frames import uncertainty_section
from hpcstem.report.trajectories import read_headers, read_last_structure, read_temperature_trace


def test_examples_in_docstrings_are_true() -> None:
    for module in (formatting, style):
        results = doctest.testmod(module)
        assert results.attempted > 0
        assert results.failed == 0


@pytest.mark.parametrize(
    ("text", "written"),
    [
        (formatting.quantity(-0.0004, 2, "Å"), "0.00\u00a0Å"),
        (formatting.quantity(-1234.5, 1), "−1,234.5"),
        (formatting.quantity(float("nan"), 1), "–"),
        (formatting.plus_minus(1.5, None, 2, "Å"), "1.50\u00a0Å"),
        (formatting.plus_minus(1.5, 0.25, 2, "Å"), "1.50 ± 0.25\u00a0Å"),
        (formatting.plus_minus(None, 0.25, 2), "–"),
        (formatting.scientific(4.2e9, "e⁻"), "4.2×10⁹\u00a0e⁻"),
        (formatting.scientific(-3.1e-7), "−3.1×10⁻⁷"),
        (formatting.scientific(0.0), "0"),
        (formatting.scientific(512.0), "512"),
        (formatting.scientific(999.4), "999"),
        (formatting.scientific(999.6), "1.0×10³"),
        (formatting.scientific(5123.0), "5.1×10³"),
        (formatting.duration(0.0123), "0.012 s"),
        (formatting.duration(59.7), "60 s"),
        (formatting.duration(3590), "1 h 0 min"),
        (formatting.duration(None), "–"),
        (formatting.yes_no(False), "no"),
        (formatting.count(2043), "2,043"),
    ],
)
def test_numbers_are_written_for_people(text: str, written: str) -> None:
    assert text == written


def test_atoms_come_with_tracks_where_they_have_them(whole_run: Path, run: Path) -> None:
    movie = Run(whole_run).sampled_movies[0]
    linked = Run(whole_run).atoms(movie)
    (run / "structure" / "atoms" / f"{movie}.parquet").unlink()
    decoded = Run(run).atoms(movie)
    assert linked is not None
    assert decoded is not None
    assert len(decoded) == len(linked)
    assert np.array_equal(decoded.x_px, linked.x_px)


def test_bonds_are_rings_of_bonded_atoms(whole_run: Path) -> None:
    bonds = Run(whole_run).bonds("graphene & Si <60 kV>")
    assert bonds is not None
    pairs = {frozenset(pair) for pair in bonds.edges[6].tolist()}
    assert {len(ring) for ring in bonds.rings[6]} >= {5, 6, 7}
    for ring in bonds.rings[6]:
        assert all(frozenset(pair) in pairs for pair in zip(ring, np.roll(ring, -1), strict=True))


def test_names_cannot_lead_out_of_the_run(whole_run: Path) -> None:
    with pytest.raises(HpcstemError, match="leads out"):
        Run(whole_run).atoms("../../elsewhere")
    with pytest.raises(HpcstemError, match="leads out"):
        Run(whole_run).maps("/etc/passwd")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("image", np.zeros((2, 4, 4))),
        ("spread", np.zeros((3, 4))),
        ("pixel_size_A", -1.0),
        ("map_pixel_size_A", np.ones(2)),
        ("pixel_size_A", "wide"),
    ],
)
def test_maps_of_a_wrong_shape_are_named(run: Path, name: str, value) -> None:
    path = run / "decode" / "maps" / "second $x$ movie.npz"
    with np.load(path) as archive:
        arrays = dict(archive)
    np.savez(path, **(arrays | {name: value}))
    with pytest.raises(HpcstemError, match=f"array {name}"):
        Run(run).maps("second $x$ movie")


def test_maps_cover_the_frame_whatever_the_calibration(run: Path, edit_json) -> None:
    def calibrate(value) -> None:
        for movie in value["movies"]:
            movie["calibration"]["pixel_size_A"] *= 1.1

    edit_json("structure/structure.json", calibrate)
    picture = uncertainty_section(Run(run)).blocks[0]
    assert isinstance(picture, Picture)
    frame, probability, spread = (axes.images[0] for axes in picture.figure.axes if axes.images)
    assert probability.get_extent() == pytest.approx(frame.get_extent())
    assert spread.get_extent() == pytest.approx(frame.get_extent())


def test_headers_are_read_without_the_atoms(whole_run: Path) -> None:
    path = whole_run / "simulation" / "nvt-300K.xyz"
    headers = read_headers(path)
    assert len(headers) == 40
    trace = read_temperature_trace(path, "300 K", 300.0)
    assert trace is not None
    assert trace.time_fs.tolist() == [10.0 * step for step in range(40)]
    assert trace.temperature_K.mean() == pytest.approx(300, abs=30)
    last = read_last_structure(path)
    assert last.info["time_fs"] == 390.0


def test_trajectory_without_temperatures_has_no_trace(whole_run: Path) -> None:
    assert read_temperature_trace(whole_run / "simulation" / "relaxed.xyz", "relaxed", None) is None


def test_trajectory_cut_in_a_step_is_named(tmp_path: Path) -> None:
    path = tmp_path / "nvt.xyz"
    path.write_text("2\ntime_fs=0 temperature_K=1\nC 0 0 0\nC 1 0 0\n2\ntime_fs=1 temperature_K=1\nC 0 0 0\n")
    with pytest.raises(SimulationError, match=r"step 2 of .*nvt\.xyz"):
        read_headers(path)
