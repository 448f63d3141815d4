"""The Cramér–Rao bound against closed forms and against another way to compute it."""

import numpy as np
import pytest

from hpcstem.imaging.acquisition import SHEET_DENSITY_PER_A2
from hpcstem.imaging.bounds import position_bound_A
from hpcstem.imaging.probe import Probe, annular_cross_section_A2
from hpcstem.structure.graphene import graphene_sheet

ONE = np.zeros((1, 2)), np.array(["C"])
# An aperture wider than the grid's largest frequency leaves no diffraction: the atom's image is the Gaussian source.
GAUSSIAN = Probe(convergence_mrad=1e4, source_sigma_A=0.45)


def electrons(dose, voltage_kV=60.0):
    return dose * annular_cross_section_A2(voltage_kV)


@pytest.mark.parametrize("dose", [1e5, 1e6])
@pytest.mark.parametrize("pixel_size_A", [0.04, 0.08, 0.2])
def test_lone_gaussian_without_background(dose, pixel_size_A):
    bound = position_bound_A(*ONE, 0, pixel_size_A, GAUSSIAN, dose, 0.0)
    assert bound == pytest.approx(0.45 / np.sqrt(electrons(dose)), rel=0.02)


@pytest.mark.parametrize("background", [0.0, 0.6, 2.0])
def test_scales_with_the_root_of_the_dose(background):
    one, hundred = (position_bound_A(*ONE, 0, 0.1, Probe(), dose, background) for dose in (1e5, 1e7))
    assert one / hundred == pytest.approx(10, rel=1e-9)


def test_lone_gaussian_on_a_background():
    """Against the information of x alone: height and background are even in x and cost nothing."""
    dose, background, step = 1e6, 0.6, 0.01
    x = np.arange(-4, 4, step)
    profile = np.exp(-(x**2) / 2 / 0.45**2)
    spot = np.outer(profile, profile) / (2 * np.pi * 0.45**2)
    slope = spot * x / 0.45**2
    information = electrons(dose) * (slope**2 / (spot + background * SHEET_DENSITY_PER_A2)).sum() * step**2
    assert position_bound_A(*ONE, 0, 0.08, GAUSSIAN, dose, background) == pytest.approx(information**-0.5, rel=0.02)


def test_neighbours_background_and_silicon():
    atoms = graphene_sheet(16, 16)
    positions = atoms.positions[:, :2]
    middle = int(np.linalg.norm(positions - 8, axis=1).argmin())
    species = np.full(len(atoms), "C")
    in_sheet = position_bound_A(positions, species, middle, 0.1, Probe(), 1e6, 0.0)
    on_background = position_bound_A(positions, species, middle, 0.1, Probe(), 1e6, 0.6)
    assert position_bound_A(*ONE, 0, 0.1, Probe(), 1e6, 0.0) < in_sheet < on_background
    species[middle] = "Si"
    assert position_bound_A(positions, species, middle, 0.1, Probe(), 1e6, 0.6) < 0.5 * on_background


def test_reached_by_maximum_likelihood():
    """The best estimator of simulated counts, a scoring step from the truth, spreads as much as the bound says."""
    from hpcstem.imaging.linear import ideal_image

    rng = np.random.default_rng(1)
    n, pixel_A, dose = 80, 0.1, 1e6
    middle = np.array([[4.0, 4.0]])

    def image(dx):
        return electrons(dose) * pixel_A**2 * ideal_image(middle + np.array([dx, 0]), ONE[1], (n, n), pixel_A, Probe())

    mean = image(0) + electrons(dose) * pixel_A**2 * 0.6 * SHEET_DENSITY_PER_A2
    slope = (image(0.05) - image(-0.05)) / 0.1
    information = (slope**2 / mean).sum()
    counts = rng.poisson(mean, (2000, n, n))
    estimates = ((counts - mean) * slope / mean).sum(axis=(1, 2)) / information
    assert estimates.std() == pytest.approx(position_bound_A(*ONE, 0, pixel_A, Probe(), dose, 0.6), rel=0.06)
