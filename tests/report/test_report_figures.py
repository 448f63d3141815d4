"""The figures: that they show the arrays given to them."""

import base64
import struct

import numpy as np
import pytest
from ase import Atoms
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.collections import EllipseCollection, PolyCollection
from matplotlib.colors import same_color
from matplotlib.figure import Figure

from hpcstem.report.embed import embed
from hpcstem.report.figures_counts import counts_over_frames
from hpcstem.report.figures_frames import FramePanel, contact_sheet, cropped, uncertainty
from hpcstem.report.figures_rdf import radial_distributions
from hpcstem.report.figures_region import arrow_factor, displacements_A, relaxation
from hpcstem.report.figures_rings import ring_map
from hpcstem.report.figures_traces import temperature_traces, training_loss
from hpcstem.report.style import RING_COLORS, SPECIES_COLORS, scale_bar_length_A
from hpcstem.report.trajectories import TemperatureTrace


def panel(rows: int = 40, columns: int = 60, **changes) -> FramePanel:
    values = {
        "image": np.arange(rows * columns, dtype=np.float32).reshape(rows, columns), "pixel_size_A": 0.5,
        "title": "frame 0 · $1$", "x_px": np.array([3.0, 30.0, 59.0]), "y_px": np.array([5.0, 20.0, 39.0]),
        "species": np.array(["C", "Si", "C"]),
    }  # fmt: skip
    return FramePanel(**(values | changes))


def discs(figure: Figure, axes: int = 0) -> dict[str, np.ndarray]:
    """Centres of the discs in one panel by the colour of their rim."""
    found = [c for c in figure.axes[axes].collections if isinstance(c, EllipseCollection)]
    return {
        symbol: np.vstack([c.get_offsets() for c in found if same_color(c.get_edgecolor()[0][:3], color)])
        for symbol, color in SPECIES_COLORS.items()
        if any(same_color(c.get_edgecolor()[0][:3], color) for c in found)
    }


@given(st.floats(1e-3, 1e6))
def test_scale_bar_is_a_round_length_that_fits(width_A: float) -> None:
    length_A = scale_bar_length_A(width_A)
    assert 0.119 * width_A < length_A <= 0.3001 * width_A
    mantissa = length_A / 10.0 ** np.floor(np.log10(length_A * (1 + 1e-9)))
    assert min(abs(mantissa - step) for step in (1, 2, 5)) < 1e-6


def test_scale_bar_has_its_length_in_the_axes() -> None:
    axes = contact_sheet([panel()]).axes[0]
    bar = next(line for line in axes.lines if len(line.get_xdata()) == 2)
    fraction = bar.get_xdata()[1] - bar.get_xdata()[0]
    assert axes.texts[0].get_text() == "5 Å"
    assert fraction * 60 * 0.5 == pytest.approx(5.0)


def test_contact_sheet_draws_every_atom_where_it_is() -> None:
    figure = contact_sheet([panel(), panel(), panel(), panel()])
    assert sum(axes.get_visible() for axes in figure.axes) == 4
    for axes in range(4):
        drawn = discs(figure, axes)
        assert drawn["C"].tolist() == [[3.0, 5.0], [59.0, 39.0]]
        assert drawn["Si"].tolist() == [[30.0, 20.0]]
        assert figure.axes[axes].get_ylim() == (39.5, -0.5)


def test_contact_sheet_takes_a_flat_and_a_broken_frame() -> None:
    flat = panel(image=np.ones((40, 60), dtype=np.float32))
    broken = panel(image=np.full((40, 60), np.nan, dtype=np.float32))
    contact_sheet([flat, broken]).draw_without_rendering()


@given(
    centre=st.tuples(st.floats(-20, 80), st.floats(-20, 60)), side=st.integers(1, 100), seed=st.integers(0, 2**32 - 1)
)
def test_crop_keeps_atoms_on_their_pixels(centre: tuple[float, float], side: int, seed: int) -> None:
    random = np.random.default_rng(np.random.SeedSequence(seed))
    x, y = random.integers(0, 60, 30), random.integers(0, 40, 30)
    whole = panel(x_px=x.astype(float), y_px=y.astype(float), species=np.full(30, "C"))
    part = cropped(whole, centre, side)
    assert part.image.shape == (min(side, 40), min(side, 60))
    expected = sorted(value for value in whole.image[y, x] if value in part.image)
    assert sorted(part.image[part.y_px.astype(int), part.x_px.astype(int)]) == expected


def test_uncertainty_puts_maps_on_the_field_of_the_frame() -> None:
    spread = np.linspace(0, 0.2, 20 * 30).reshape(20, 30)
    figure = uncertainty(panel(), 1 - spread, spread, map_pixel_size_A=1.0)
    pictures = [axes.images[0] for axes in figure.axes if axes.images]
    assert np.array_equal(pictures[1].get_array(), 1 - spread)
    assert np.array_equal(pictures[2].get_array(), spread)
    assert all(tuple(p.get_extent()) == (-0.5, 59.5, 39.5, -0.5) for p in pictures)


def test_ring_map_colours_rings_by_size() -> None:
    def ring(size: int, x: float) -> np.ndarray:
        angle = 2 * np.pi * np.arange(size) / size
        return np.column_stack([x + np.cos(angle), np.sin(angle)])

    positions = np.vstack([ring(5, 0), ring(7, 4), ring(5, 8)])
    rings = [np.arange(5), np.arange(5, 12), np.arange(12, 17)]
    edges = np.vstack([np.column_stack([r, np.roll(r, -1)]) for r in rings])
    figure = ring_map(positions, np.full(17, "C"), edges, rings)
    patches = [c for c in figure.axes[0].collections if isinstance(c, PolyCollection)]
    assert [len(c.get_paths()) for c in patches] == [2, 1]
    assert same_color(patches[0].get_facecolor()[0][:3], RING_COLORS[5])
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert labels == ["5-ring  (2)", "7-ring  (1)", "C  (17)"]


def test_ring_map_of_an_empty_frame() -> None:
    none = np.empty(0, dtype=np.str_)
    ring_map(np.empty((0, 2)), none, np.empty((0, 2), dtype=int), []).draw_without_rendering()


def test_counts_have_a_dose_axis_only_where_the_dose_rises() -> None:
    frame, counts = np.arange(5), {"C": np.array([10, 11, np.nan, 12, 9.0])}
    dose = np.array([1.0, 2.0, 4.0, 8.0, 16.0]) * 1e6
    with_dose = counts_over_frames(frame, counts, {}, 17.0, dose)
    top = with_dose.axes[0].child_axes[0]
    forward, backward = top._functions
    assert forward(np.array([0, 2, 4])) == pytest.approx([1e6, 4e6, 16e6])
    x = np.linspace(-1, 6, 29)
    assert backward(forward(x)) == pytest.approx(x)
    with_dose.draw_without_rendering()
    for unusable in (None, np.full(5, 1e6), np.full(5, np.nan)):
        assert not counts_over_frames(frame, counts, {}, None, unusable).axes[0].child_axes


def test_counts_of_a_single_frame() -> None:
    counts_over_frames(np.array([0]), {"C": np.array([3.0])}, {}, None, np.array([1e6])).draw_without_rendering()


def test_rdf_marks_the_carbon_bond_on_carbon_alone() -> None:
    r_A = np.linspace(0.05, 8, 160)
    curves = {"C-C": np.ones(160), "C-Si": np.full(160, np.nan)}
    figure = radial_distributions(r_A, curves, {"C-C": np.ones(160)}, {"C-C": 1000})
    marked = [[text.get_text() for text in axes.texts] for axes in figure.axes]
    assert marked[0] == ["C–C   1,000 distances", "1.42 Å"]
    assert marked[1] == ["C–Si"]


def test_displacement_takes_the_short_way() -> None:
    cell = Atoms("C2", [[0.1, 5, 5], [4, 4, 5]], cell=[10, 10, 20], pbc=True)
    relaxed = cell.copy()
    relaxed.positions[0] = [9.9, 5, 5.1]
    assert displacements_A(cell, relaxed) == pytest.approx(np.array([[-0.2, 0, 0.1], [0, 0, 0]]))
    relaxation(cell, relaxed).draw_without_rendering()


@given(st.lists(st.tuples(st.floats(-3, 3), st.floats(-3, 3), st.floats(-3, 3)), min_size=1, max_size=30))
def test_arrows_stay_short_unless_drawn_to_scale(vectors: list[tuple[float, float, float]]) -> None:
    displacement = np.array(vectors)
    factor = arrow_factor(displacement)
    typical_A = np.percentile(np.hypot(*displacement.T[:2]), 95)
    assert factor == 1 or factor * typical_A <= 1.2


def test_arrow_factor_is_in_the_title() -> None:
    cell = Atoms("C2", [[1, 1, 0], [4, 4, 0]], cell=[10, 10, 20], pbc=True)
    moved = cell.copy()
    moved.positions[:, 0] += 0.05
    assert "drawn 20 times longer" in relaxation(cell, moved).axes[1].get_title(loc="left")
    quiver = relaxation(cell, moved).axes[1].collections[-1]
    assert pytest.approx([0.05, 0.05]) == quiver.U
    assert quiver.scale == pytest.approx(1 / 20)


def test_training_loss_is_logarithmic_where_it_can_be() -> None:
    figure = training_loss(np.array([20, 40, 55]), np.array([1.0, 0.5, 0.2]))
    assert figure.axes[0].lines[0].get_xdata().tolist() == [20, 40, 55]
    assert figure.axes[0].get_yscale() == "log"
    assert training_loss(np.array([1, 2]), np.array([1.0, 0.0])).axes[0].get_yscale() == "linear"


def test_temperatures_switch_to_picoseconds() -> None:
    short = TemperatureTrace("a", np.array([0.0, 500.0]), np.array([300.0, 310.0]), 300.0)
    long = TemperatureTrace("b", np.array([0.0, 2000.0]), np.array([700.0, 690.0]))
    assert temperature_traces([short]).axes[0].get_xlabel() == "Time [fs]"
    axes = temperature_traces([short, long]).axes[0]
    assert axes.get_xlabel() == "Time [ps]"
    assert axes.lines[-1].get_xdata().tolist() == [0.0, 2.0]


def test_a_figure_keeps_its_layout() -> None:
    figure = contact_sheet([panel(), panel()])
    first = embed(figure, 1.0)
    embed(figure, 2.0)
    assert embed(figure, 1.0) == first


def test_images_become_png_and_lines_svg() -> None:
    picture = embed(contact_sheet([panel()]), 2.0)
    content = base64.b64decode(picture.uri.removeprefix("data:image/png;base64,"))
    width, height = struct.unpack(">II", content[16:24])
    assert width == pytest.approx(2 * picture.width_px, abs=2)
    assert height == pytest.approx(2 * picture.height_px, abs=2)
    lines = counts_over_frames(np.arange(3), {"C": np.arange(3.0)}, {})
    assert embed(lines, 2.0).uri.startswith("data:image/svg+xml;base64,")
    crowded = counts_over_frames(np.arange(40000), {"C": np.arange(40000) % 7.0}, {})
    assert embed(crowded, 1.0).uri.startswith("data:image/png;base64,")
