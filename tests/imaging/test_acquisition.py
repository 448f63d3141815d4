"""Dose, noise, contamination and scan errors have the statistics that they claim."""

import numpy as np
import pytest

from hpcstem.imaging.acquisition import SHEET_DENSITY_PER_A2, Acquisition, acquire, contamination_map
from hpcstem.imaging.probe import Probe, annular_cross_section_A2
from hpcstem.structure.graphene import graphene_sheet

PROBE = Probe()
NO_ATOMS = np.empty((0, 2)), np.empty(0, str)


def flat(acquisition, shape=(256, 256), pixel_size_A=0.1, seed=0):
    return acquire(*NO_ATOMS, shape, pixel_size_A, PROBE, acquisition, np.random.default_rng(seed))[0].astype(float)


@pytest.mark.parametrize("dose", [3e5, 3e6, 3e7])
def test_poisson_without_readout(dose):
    counts = flat(Acquisition(dose, background=1.0, readout=0.0))
    np.testing.assert_allclose(counts, np.rint(counts), atol=1e-5)
    assert counts.var() / counts.mean() == pytest.approx(1, abs=0.025)


def test_readout_adds_its_variance():
    counts = flat(Acquisition(1e7, background=1.0, readout=0.5))
    assert counts.var() / counts.mean() == pytest.approx(1.25, abs=0.03)


@pytest.mark.parametrize("pixel_size_A", [0.08, 0.16])
@pytest.mark.parametrize("voltage_kV", [60.0, 100.0])
def test_mean_is_dose_times_cross_section(pixel_size_A, voltage_kV):
    shape = (round(30 / pixel_size_A), round(24 / pixel_size_A))
    atoms = graphene_sheet(44, 50)
    rng = np.random.default_rng(3)
    acquisition = Acquisition(4e5, background=0.6, readout=0.1)
    counts, _ = acquire(
        atoms.positions[:, :2] - 10, np.full(len(atoms), "C"), shape, pixel_size_A, Probe(voltage_kV), acquisition, rng
    )
    electrons_per_A2 = counts.astype(float).sum() / (counts.size * pixel_size_A**2)
    assert electrons_per_A2 == pytest.approx(
        4e5 * annular_cross_section_A2(voltage_kV) * SHEET_DENSITY_PER_A2 * 1.6, rel=0.02
    )


def test_same_seed_same_frame():
    acquisition = Acquisition(contamination=1.0, contamination_cover=0.4)
    np.testing.assert_array_equal(flat(acquisition, seed=7), flat(acquisition, seed=7))
    assert (flat(acquisition, seed=7) != flat(acquisition, seed=8)).any()


@pytest.mark.parametrize("cover", [0.0, 0.1, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("pixel_size_A", [0.06, 0.3])
def test_contamination_covers_its_fraction(cover, pixel_size_A):
    shape = (200, 260)
    layer = contamination_map(shape, pixel_size_A, cover, np.random.default_rng(4))
    assert layer.shape == shape
    assert layer.min() >= 0
    assert (layer > 0).mean() == pytest.approx(cover, abs=0.01)
    if cover:
        assert layer.max() == pytest.approx(1)


def test_contamination_is_returned_in_units_of_the_sheet():
    acquisition = Acquisition(1e12, background=0.0, contamination=3.0, contamination_cover=0.5, readout=0.0)
    counts, layer = acquire(*NO_ATOMS, (64, 64), 0.2, PROBE, acquisition, np.random.default_rng(5))
    sheet = 1e12 * 0.2**2 * annular_cross_section_A2(60) * SHEET_DENSITY_PER_A2
    assert layer.max() == pytest.approx(3.0)
    np.testing.assert_allclose(counts / sheet, layer, atol=0.005)


def test_rows_jitter_by_the_stated_amount():
    """A column of atoms so close that it is a line: each row shows its own displacement."""
    y = np.arange(-4, 56, 0.05)
    line = np.column_stack([np.full(len(y), 5.0), y])
    acquisition = Acquisition(1e9, background=0.0, readout=0.0, row_jitter_A=0.1)
    counts, _ = acquire(line, np.full(len(y), "C"), (1024, 200), 0.05, PROBE, acquisition, np.random.default_rng(6))
    x = np.arange(200) * 0.05
    centre = 5.0
    for _ in range(30):
        weight = counts * np.exp(-((x - np.broadcast_to(centre, (1024,))[:, None]) ** 2))
        centre = (weight * x).sum(axis=1) / weight.sum(axis=1)
    assert np.mean(centre) == pytest.approx(5.0, abs=0.02)
    assert np.std(centre) == pytest.approx(0.1, rel=0.1)
