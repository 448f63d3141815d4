import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from known_sheets import atom_table, honeycomb_A

from hpcstem.errors import ConfigError, StructureError
from hpcstem.potentials import calibrate_length

PIXEL_A = 0.104


@pytest.mark.parametrize("noise_A", [0.05, 0.1, 0.15])
def test_pixel_size_is_unbiased_and_its_error_is_honest(noise_A):
    errors, z = [], []
    for seed in np.random.SeedSequence(21).spawn(24):
        rng = np.random.default_rng(seed)
        sheet_px = honeycomb_A(50, noise_A, rng, missed=0.02, false=0.01) / PIXEL_A
        got = calibrate_length([sheet_px], PIXEL_A * rng.uniform(0.9, 1.1))
        errors.append(got.pixel_size_A / PIXEL_A - 1)
        z.append((got.pixel_size_A - PIXEL_A) / got.standard_error_A)
    errors = np.array(errors)
    assert abs(errors.mean()) < 3 * errors.std(ddof=1) / np.sqrt(len(errors)) + 1e-4
    assert errors.std() < 0.08 * noise_A
    assert 0.4 < np.sqrt(np.mean(np.square(z))) < 1.4


def test_neither_mean_nor_highest_bin_would_be_unbiased():
    # The reason for the definition of the peak: at this noise the mean of the shell is off by more than 0.5 %.
    rng = np.random.default_rng(22)
    sheet_A = honeycomb_A(200, 0.12, rng)
    got = calibrate_length([sheet_A / PIXEL_A], PIXEL_A)
    relative_A = rng.normal((1.42, 0), 0.12 * 2**0.5, (200_000, 2))
    distance_A = np.hypot(*relative_A.T)
    assert distance_A.mean() / 1.42 - 1 > 0.005
    assert got.pixel_size_A == pytest.approx(PIXEL_A, rel=0.002)


def test_spread_is_that_of_the_bonds():
    got = calibrate_length([honeycomb_A(80, 0.06, np.random.default_rng(23)) / PIXEL_A], PIXEL_A)
    assert got.spread_A == pytest.approx(0.06 * 2**0.5, rel=0.05)
    assert got.first_peak_A == pytest.approx(1.42, rel=0.002)


def test_more_frames_give_a_smaller_error():
    rng = np.random.default_rng(24)
    frames = [honeycomb_A(40, 0.1, rng) / PIXEL_A for _ in range(16)]
    one, all_frames = calibrate_length(frames[:1], PIXEL_A), calibrate_length(frames, PIXEL_A)
    assert all_frames.standard_error_A < 0.5 * one.standard_error_A
    assert all_frames.n_distances > 14 * one.n_distances


@settings(max_examples=15, deadline=None)
@given(st.floats(0.3, 4.0).filter(lambda factor: abs(factor - 1) > 0.17))
def test_a_wrong_guess_says_which_pixel_size_to_give(factor):
    sheet_px = honeycomb_A(50, 0.08, np.random.default_rng(25)) / PIXEL_A
    with pytest.raises(ConfigError) as error:
        calibrate_length([sheet_px], PIXEL_A * factor)
    key, value = str(error.value.wanted).split(": ")
    assert key == "pixel_size_A"
    assert float(value) == pytest.approx(PIXEL_A, rel=0.005)


def test_a_table_uses_its_carbon_and_its_pixels():
    rng = np.random.default_rng(26)
    frames = [honeycomb_A(40, 0.05, rng) for _ in range(3)]
    species = [np.where(np.arange(len(frame)) % 50 == 0, "Si", "C") for frame in frames]
    table = atom_table(frames, species, pixel_size_A=PIXEL_A)
    got = calibrate_length(table, PIXEL_A * 1.1)
    assert got.pixel_size_A == pytest.approx(PIXEL_A, rel=0.002)
    carbon_px = [frame[kind == "C"] / PIXEL_A for frame, kind in zip(frames, species, strict=True)]
    assert calibrate_length(carbon_px, PIXEL_A * 1.1) == got
    other = table.with_columns(movie=np.full(len(table), "other"))
    with pytest.raises(StructureError, match="2 movies"):
        calibrate_length(type(table).concatenate([table, other]), PIXEL_A)


def triangular_A(side_A, spacing_A, rng):
    steps = np.arange(-100, 101)
    lattice = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2) @ [[1, 0], [0.5, 3**0.5 / 2]]
    atoms = lattice * spacing_A + rng.normal(0, 0.03, lattice.shape)
    return atoms[((atoms > 0) & (atoms < side_A)).all(axis=1)]


@pytest.mark.parametrize(
    ("frame_A", "found"),
    [
        (np.random.default_rng(27).uniform(0, 50, (950, 2)), "no gap|scatter|neighbours"),
        (triangular_A(60, 2.46, np.random.default_rng(28)), "6 neighbours"),
        (honeycomb_A(60, 0.45, np.random.default_rng(29)), "no gap|scatter|neighbours"),
        (honeycomb_A(6, 0.02, np.random.default_rng(30)), "fewer than 50"),
        (np.zeros((0, 2)), "no frame"),
        (np.zeros((10, 2)), "no frame"),
    ],
    ids=["random points", "one sublattice", "noise", "few atoms", "no atoms", "coincident atoms"],
)
def test_no_clear_peak_is_said_and_the_way_out(frame_A, found):
    with pytest.raises(StructureError, match=found) as error:
        calibrate_length([frame_A / PIXEL_A], PIXEL_A)
    assert "pixel_size_A" in str(error.value)


@pytest.mark.parametrize("guess", [0.0, -1.0, np.nan])
def test_a_guess_that_is_no_length_is_refused(guess):
    with pytest.raises(ConfigError, match="pixel_size_A"):
        calibrate_length([np.zeros((5, 2))], guess)


@pytest.mark.real
@pytest.mark.parametrize("name", ["G-GrainBoundary-4nm", "G-Si-2nm"])
def test_real_frames_agree_with_the_microscope_within_four_percent(shared_data, name):
    file = shared_data / "stem" / "graphene-si" / f"{name}-coord.npy"
    if not file.exists():
        pytest.skip(f"no {file}")
    row_column_class = np.load(file, allow_pickle=False)
    got = calibrate_length([row_column_class[:, 1::-1].astype(float)], 0.078)
    assert got.pixel_size_A == pytest.approx(0.078, rel=0.04)
    assert 0 < got.standard_error_A < 0.02 * got.pixel_size_A
