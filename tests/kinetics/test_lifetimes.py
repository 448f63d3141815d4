"""Lifetimes under censoring."""

import numpy as np
import pytest
from simulated_tracks import SimulatedTracks, simulate_tracks

from hpcstem.errors import HpcstemError
from hpcstem.kinetics.counts import CountTransitions
from hpcstem.kinetics.lifetimes import CountDwells, lifetimes, survival
from hpcstem.kinetics.trajectory import ClassTrajectory

MATRIX = np.array([[0.95, 0.05, 0.0], [0.04, 0.90, 0.06], [0.02, 0.08, 0.90]])
TRUTH = 1.0 / (1.0 - np.diag(MATRIX))
RECIPE = SimulatedTracks(n_tracks=40, n_frames=50, missing=0.1)


def _dwells(frame: list[int], state: list[int]):
    return CountDwells(2).process([ClassTrajectory(np.array(frame), np.array(state))])


def test_dwells_of_a_track_with_a_gap() -> None:
    # 0 0 1 1 1 0 _ 0 1 in frames 0 to 8: the first and the last are cut, so are those at the gap.
    found = _dwells([0, 1, 2, 3, 4, 5, 7, 8], [0, 0, 1, 1, 1, 0, 0, 1])
    assert found.stays.tolist() == [1, 2]
    assert found.leaves.tolist() == [2, 1]
    assert found.ended.tolist() == [[0, 0, 0, 0], [0, 0, 0, 1]]
    assert found.censored.tolist() == [[0, 1, 0, 0], [0, 1, 0, 0]]


def test_lifetimes_are_unbiased_where_the_mean_of_whole_dwells_is_not() -> None:
    means, inside, whole = [], [], []
    for run in range(200):
        tracks = simulate_tracks(MATRIX, RECIPE, np.random.SeedSequence([20, run]))
        dwells = CountDwells(3).process(tracks)
        found = lifetimes(dwells)
        means.append([one.mean_frames for one in found])
        inside.append([one.low_frames <= true <= one.high_frames for one, true in zip(found, TRUTH, strict=True)])
        length = np.arange(dwells.ended.shape[1])
        whole.append((dwells.ended * length).sum(axis=1) / dwells.ended.sum(axis=1))
    assert np.abs(np.mean(means, axis=0) / TRUTH - 1.0).max() < 0.03
    assert 0.93 <= np.mean(inside) <= 0.97
    assert (np.mean(whole, axis=0) / TRUTH < 0.75).all()


def test_time_at_risk_is_the_sum_of_the_counts() -> None:
    tracks = simulate_tracks(MATRIX, RECIPE, np.random.SeedSequence(21))
    counts, dwells = CountTransitions(3).process(tracks).counts, CountDwells(3).process(tracks)
    assert (dwells.stays + dwells.leaves).tolist() == counts.sum(axis=1).tolist()
    assert dwells.stays.tolist() == np.diag(counts).tolist()


def test_survival_is_that_of_the_chain() -> None:
    shares = []
    for run in range(50):
        tracks = simulate_tracks(MATRIX, RECIPE, np.random.SeedSequence([22, run]))
        dwells = CountDwells(3).process(tracks)
        found = survival(dwells, 1)
        shares.append(found.share[:8])
        assert (np.diff(found.share[np.isfinite(found.share)]) <= 0).all()
    assert np.allclose(np.mean(shares, axis=0), 0.9 ** np.arange(8), atol=0.02)


def test_survival_error_is_the_spread_over_runs() -> None:
    runs = [
        survival(CountDwells(3).process(simulate_tracks(MATRIX, RECIPE, np.random.SeedSequence([23, run]))), 1)
        for run in range(100)
    ]
    spread = np.std([run.share[5] for run in runs])
    assert spread == pytest.approx(np.mean([run.standard_error[5] for run in runs]), rel=0.2)


def test_states_never_left_and_never_seen() -> None:
    never_left, never_seen = lifetimes(_dwells([0, 1, 2], [0, 0, 0]))
    assert (never_left.mean_frames, never_left.high_frames, never_left.at_risk) == (np.inf, np.inf, 2)
    assert never_left.low_frames >= 1.0
    assert np.isnan(never_seen.mean_frames)


def test_dwells_merge_and_refuse() -> None:
    analysis = CountDwells(3)
    tracks = simulate_tracks(MATRIX, RECIPE, np.random.SeedSequence(24))
    whole = analysis.process(tracks)
    parts = analysis.merge(analysis.process(tracks[:1]), analysis.process(tracks[1:]))
    for name in ("stays", "leaves", "ended", "censored"):
        assert np.array_equal(getattr(whole, name), getattr(parts, name))
    assert analysis.process([]).stays.tolist() == [0, 0, 0]
    with pytest.raises(HpcstemError, match="below 1"):
        CountDwells(1).process(tracks)
