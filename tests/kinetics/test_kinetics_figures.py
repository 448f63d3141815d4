"""Figures of kinetics: what they show, and that they can be drawn where little was seen."""

import numpy as np
from chains import GENERAL, counted
from simulated_tracks import SimulatedTracks, simulate_tracks

from hpcstem.kinetics.diffusion import SumDisplacements, diffusion
from hpcstem.kinetics.figures import diffusion_figure, library_figure, matrix_figure, survival_figure
from hpcstem.kinetics.lifetimes import CountDwells, lifetimes
from hpcstem.kinetics.matrix import transition_matrix
from hpcstem.kinetics.trajectory import ClassTrajectory


def _texts(figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def test_matrix_figure_shows_every_entry_with_its_interval() -> None:
    counts = counted(GENERAL, 50)
    matrix = transition_matrix(counts, np.random.SeedSequence(0))
    low, high = matrix.interval
    texts = _texts(matrix_figure(matrix, list("abcd"), counts.counts.sum(axis=1)))
    assert len(texts) == 32
    assert f"{matrix.estimate[2, 1]:.3f}" in texts
    assert f"{low[2, 1]:.3f} to {high[2, 1]:.3f}" in texts


def test_survival_figure_draws_points_and_law_of_each_class() -> None:
    tracks = simulate_tracks(np.array([[0.9, 0.1], [0.2, 0.8]]), SimulatedTracks(30, 60), np.random.SeedSequence(51))
    dwells = CountDwells(2).process(tracks)
    (axes,) = survival_figure(dwells, lifetimes(dwells), ["a", "b"], 17.0).axes
    points, law = axes.lines[:2]
    assert points.get_xdata()[1] == 17.0
    assert np.allclose(points.get_ydata(), law.get_ydata(), atol=0.1)


def test_survival_figure_of_a_class_that_was_never_left_says_so() -> None:
    dwells = CountDwells(1).process([ClassTrajectory(np.arange(5), np.zeros(5, int))])
    assert "no class was seen to begin and to end" in _texts(survival_figure(dwells, lifetimes(dwells), ["a"], 1.0))


def test_diffusion_figure_is_in_square_nanometres() -> None:
    recipe = SimulatedTracks(20, 50, diffusion_A2_per_s=0.05, localisation_A=0.1)
    tracks = simulate_tracks(np.array([[1.0]]), recipe, np.random.SeedSequence(52))
    found = diffusion(SumDisplacements().process(tracks), 1.0)
    (axes,) = diffusion_figure({"all": found}, 4.0, 0.05).axes
    assert "nm²/s" in axes.get_xlabel()
    assert np.isclose(axes.lines[0].get_xdata()[0], 0.01 * found.coefficient_A2_per_s)


def test_empty_library_has_an_empty_figure() -> None:
    assert len(library_figure([]).axes) == 1
