"""Diffusion coefficients under localisation noise, drift, gaps and a gate."""

import numpy as np
import pytest
from simulated_tracks import SimulatedTracks, simulate_tracks

from hpcstem.atoms import AtomTable
from hpcstem.errors import HpcstemError
from hpcstem.kinetics.diffusion import SumDisplacements, diffusion, gate_factor
from hpcstem.kinetics.drift import sheet_drift_A
from hpcstem.kinetics.trajectory import ClassTrajectory
from hpcstem.structure.graphene import graphene_sheet

STILL = np.array([[1.0]])
TRUE_A2_PER_S = 0.05


def _found(recipe: SimulatedTracks, *seed: int):
    tracks = simulate_tracks(STILL, recipe, np.random.SeedSequence(seed))
    return diffusion(SumDisplacements().process(tracks), recipe.frame_time_s)


@pytest.mark.parametrize(("n_tracks", "n_frames"), [(20, 100), (3, 300)], ids=["jackknife", "formula"])
def test_noise_is_removed_and_intervals_hold_the_truth(n_tracks: int, n_frames: int) -> None:
    recipe = SimulatedTracks(n_tracks, n_frames, 0.1, TRUE_A2_PER_S, 2.0, localisation_A=0.18)
    found = [_found(recipe, 30, run) for run in range(200)]
    values = np.array([one.coefficient_A2_per_s for one in found])
    inside = [one.low_A2_per_s <= TRUE_A2_PER_S <= one.high_A2_per_s for one in found]
    assert values.mean() / TRUE_A2_PER_S == pytest.approx(1.0, abs=0.02)
    assert np.mean([one.naive_A2_per_s for one in found]) / TRUE_A2_PER_S > 1.25
    assert np.mean([one.localisation_variance_A2 for one in found]) == pytest.approx(0.18**2, rel=0.05)
    assert np.mean([one.standard_error_A2_per_s for one in found]) == pytest.approx(values.std(), rel=0.2)
    assert 0.915 <= np.mean(inside) <= 0.985


def _sheet_with_walkers(rng: np.random.Generator, drift_A: tuple[float, float], localisation_A: float):
    """Movie of a noisy, drifting sheet, and walkers on it in the same frames."""
    recipe = SimulatedTracks(12, 60, 0.05, TRUE_A2_PER_S, 1.0, localisation_A, drift_A)
    walkers = simulate_tracks(STILL, recipe, np.random.SeedSequence(int(rng.integers(1 << 30))))
    lattice_A = graphene_sheet(26.0, 26.0, 0.2).positions[:, :2]
    frames = np.repeat(np.arange(recipe.n_frames), len(lattice_A))
    positions_A = np.tile(lattice_A, (recipe.n_frames, 1)) + frames[:, None] * np.array(drift_A)
    positions_A += rng.normal(0.0, 0.08, positions_A.shape)
    n = len(frames)
    movie = AtomTable(
        movie=np.full(n, "m"),
        frame=frames,
        x_px=positions_A[:, 0],
        y_px=positions_A[:, 1],
        x_A=positions_A[:, 0],
        y_A=positions_A[:, 1],
        species=np.full(n, "C"),
        probability=np.ones(n),
        detection=np.ones(n),
        sigma_A=np.zeros(n),
        track=np.full(n, -1),
    )
    return movie, walkers


def test_drift_of_the_sheet_is_removed() -> None:
    ratios, with_drift = [], []
    for run in range(12):
        movie, walkers = _sheet_with_walkers(np.random.default_rng(run), (0.25, -0.15), 0.15)
        drift_A = sheet_drift_A(movie, "C", 0.6)
        assert np.allclose(drift_A, np.arange(60)[:, None] * [0.25, -0.15], atol=0.05)
        still = [ClassTrajectory(w.frame, w.state, w.positions_A - drift_A[w.frame]) for w in walkers]
        ratios.append(diffusion(SumDisplacements().process(still), 1.0).coefficient_A2_per_s / TRUE_A2_PER_S)
        with_drift.append(diffusion(SumDisplacements().process(walkers), 1.0).coefficient_A2_per_s / TRUE_A2_PER_S)
    assert np.mean(ratios) == pytest.approx(1.0, abs=0.05)
    assert np.mean(with_drift) > 1.5


def test_drift_needs_linked_atoms_and_a_step_needs_neighbouring_frames() -> None:
    movie, _ = _sheet_with_walkers(np.random.default_rng(0), (0.0, 0.0), 0.0)
    with pytest.raises(HpcstemError, match="0 linked atoms"):
        sheet_drift_A(movie[(movie.frame == 0) | (movie.frame == 40)], "C", 0.6)
    assert sheet_drift_A(AtomTable.empty(), "C", 0.6).shape == (0, 2)
    gapped = ClassTrajectory(np.array([0, 2, 4, 6]), np.zeros(4, int), np.zeros((4, 2)))
    with pytest.raises(HpcstemError, match="three"):
        diffusion(SumDisplacements().process([gapped]), 1.0)
    with pytest.raises(HpcstemError, match="frame_time_s"):
        diffusion(SumDisplacements().process([gapped]), 0.0)
    with pytest.raises(HpcstemError, match="no positions"):
        SumDisplacements().process([ClassTrajectory(np.arange(3), np.zeros(3, int))])


def test_only_steps_within_the_state_count() -> None:
    positions_A = np.array([[0.0, 0.0], [1.0, 0.0], [2.0, 0.0], [9.0, 0.0], [9.0, 3.0], [9.0, 6.0]])
    track = ClassTrajectory(np.arange(6), np.array([0, 0, 0, 1, 1, 1]), positions_A)
    assert SumDisplacements(0).process([track]).sums.tolist() == [[2.0, 1.0, 2.0, 1.0]]
    assert SumDisplacements(1).process([track]).sums.tolist() == [[2.0, 1.0, 18.0, 9.0]]
    assert SumDisplacements(2).process([track]).sums.shape == (0, 4)


def test_merging_gives_the_sums_of_the_whole() -> None:
    tracks = simulate_tracks(STILL, SimulatedTracks(5, 20, 0.2, 0.1), np.random.SeedSequence(31))
    analysis = SumDisplacements()
    parts = analysis.merge(analysis.process(tracks[:2]), analysis.process(tracks[2:]))
    assert np.array_equal(parts.sums, analysis.process(tracks).sums)


@pytest.mark.parametrize(("gate_in_rms", "factor"), [(1.5, 0.734), (2.0, 0.925)])
def test_gate_shortens_steps_as_gaussian_ones_are(gate_in_rms: float, factor: float) -> None:
    steps = np.random.default_rng(32).normal(0.0, 1.0, (200_000, 2))
    squares, gate = (steps**2).sum(axis=1), gate_in_rms * np.sqrt(2.0)
    kept = squares[squares < gate**2].mean()
    assert kept / 2.0 == pytest.approx(factor, abs=0.01)
    assert gate_factor(kept, gate) == pytest.approx(factor, abs=0.02)


def test_gate_that_alone_decides_is_told() -> None:
    assert gate_factor(0.72, 1.2) == 0.0
    assert gate_factor(1e-6, 1.2) == pytest.approx(1.0)
