"""Matching and scoring, on cases that can be counted by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpcstem.segmentation.score import Score, away_from_edge, match, score

FIELD_A = (20.0, 10.0)


def of(*points):
    return np.array(points, float).reshape(-1, 2)


def symbols(text):
    return np.array(text.split(), dtype="<U2")


def test_match_pairs_mutual_nearest():
    found = of((1, 1), (1.2, 1), (5, 5), (9, 9))
    true = of((5.1, 5), (1.05, 1), (12, 9))
    np.testing.assert_array_equal(match(found, true), [[0, 1], [2, 0]])


def test_match_within_tolerance_only():
    assert len(match(of((0, 0)), of((0.49, 0)))) == 1
    assert len(match(of((0, 0)), of((0.51, 0)))) == 0
    assert len(match(of((0, 0)), of((0.51, 0)), 0.6)) == 1


@pytest.mark.parametrize(("n", "m"), [(0, 3), (3, 0), (0, 0)])
def test_match_without_atoms(n, m):
    assert match(np.zeros((n, 2)), np.zeros((m, 2))).shape == (0, 2)


@given(st.integers(0, 2**32 - 1))
def test_match_is_one_to_one(seed):
    rng = np.random.default_rng(seed)
    pairs = match(rng.uniform(0, 3, (12, 2)), rng.uniform(0, 3, (9, 2)))
    assert all(len(np.unique(column)) == len(pairs) for column in pairs.T)


def test_exact():
    points, species = of((2, 2), (5, 5), (9, 3)), symbols("C Si C")
    result = score(points, species, points, species, FIELD_A)
    assert result == {"C": Score(2, 2, 2, 0.0), "Si": Score(1, 1, 1, 0.0)}
    assert (result["C"].precision, result["C"].recall, result["C"].f1, result["C"].rmse_A) == (1, 1, 1, 0)


def test_one_missed_one_false_one_off():
    found, true = of((2.3, 2.4), (15, 5)), of((2, 2), (9, 3))
    result = score(found, symbols("C C"), true, symbols("C C"), FIELD_A)["C"]
    assert (result.n_found, result.n_true, result.n_matched) == (2, 2, 1)
    assert (result.precision, result.recall, result.f1) == (0.5, 0.5, 0.5)
    assert result.rmse_A == pytest.approx(0.5)


def test_right_place_wrong_species():
    result = score(of((5, 5)), symbols("Si"), of((5, 5)), symbols("C"), FIELD_A)
    assert result == {"C": Score(0, 1, 0, 0.0), "Si": Score(1, 0, 0, 0.0)}
    assert result["C"].precision == 1
    assert result["C"].recall == 0
    assert result["Si"].precision == 0
    assert np.isnan(result["Si"].rmse_A)


def test_edge_does_not_count_on_either_side():
    # Found outside the edge and true inside it: a match. Alone at the edge: neither missed nor false.
    found, true = of((0.9, 5), (19.9, 9.9)), of((1.1, 5), (0.2, 0.2))
    result = score(found, symbols("C C"), true, symbols("C C"), FIELD_A)["C"]
    assert (result.n_found, result.n_true, result.n_matched) == (1, 1, 1)
    assert result.rmse_A == pytest.approx(0.2)
    # Found inside the edge, its true partner at the edge: not false, and not counted.
    result = score(of((1.1, 5)), symbols("C"), of((0.9, 5)), symbols("C"), FIELD_A)["C"]
    assert (result.n_found, result.n_true, result.n_matched) == (0, 0, 0)


def test_away_from_edge():
    points = of((0.99, 5), (1, 1), (19, 9), (19.01, 5), (10, 9.5))
    np.testing.assert_array_equal(away_from_edge(points, FIELD_A), [False, True, True, False, False])
    np.testing.assert_array_equal(away_from_edge(points, FIELD_A, 0.4), [True] * 5)


def test_scores_add_up():
    total = Score(10, 8, 6, 0.6) + Score(2, 4, 2, 0.2)
    assert total == Score(12, 12, 8, pytest.approx(0.8))
    assert total.precision == total.recall == total.f1 == pytest.approx(2 / 3)
    assert total.rmse_A == pytest.approx(np.sqrt(0.1))
