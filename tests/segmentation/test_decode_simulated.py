"""Precision, recall, error and stated uncertainty on frames of known truth."""

import numpy as np
import pytest
from simulated import PROBE, acquisition, frames_and_truth

from hpcstem.imaging.bounds import position_bound_A
from hpcstem.imaging.training import TrainingRecipe, training_samples
from hpcstem.segmentation import decode_frame
from hpcstem.segmentation.score import Score, away_from_edge, match, score

SHAPE, PIXEL_A, N_FRAMES = (512, 500), 0.1, 3
FIELD_A = (SHAPE[1] * PIXEL_A, SHAPE[0] * PIXEL_A)
# Root mean square error per axis as a multiple of the Cramér–Rao bound, at electrons per carbon atom. The networks
# know what a lattice looks like, so that at low dose they do better than an estimator that knows one atom only. At
# high dose what counts is the beam's jitter of 0.03 Å from row to row, which the bound does not know.
LARGEST_RATIO = {200: 1.0, 400: 1.2, 1000: 1.6}


@pytest.fixture(scope="module", params=sorted(LARGEST_RATIO))
def dose_and_scores(request, ensemble):
    """Of the networks' own positions; those of the fit to the frame are in test_refine.py."""
    frames, truth = frames_and_truth(N_FRAMES, SHAPE, PIXEL_A, request.param, seed=11, n_silicon=16)
    totals: dict[str, Score] = {}
    z_scores = []
    for index, frame in enumerate(frames):
        found, there = decode_frame(frame, PIXEL_A, ensemble, refine=False), truth.in_frame(index)
        one = score(found.positions_A, found.species, there.positions_A, there.species, FIELD_A)
        totals = {symbol: totals.get(symbol, Score()) + one.get(symbol, Score()) for symbol in {*totals, *one}}
        pairs = match(found.positions_A, there.positions_A)
        pairs = pairs[away_from_edge(there.positions_A[pairs[:, 1]], FIELD_A)]
        error_A = found.positions_A[pairs[:, 0]] - there.positions_A[pairs[:, 1]]
        z_scores.append(error_A / found.sigma_A[pairs[:, 0], None])
    return request.param, totals, np.concatenate(z_scores), truth


def test_precision_and_recall(dose_and_scores):
    dose, totals, _, _ = dose_and_scores
    assert set(totals) == {"C", "Si"}
    assert totals["Si"].n_true >= 30
    for symbol, least in (("C", 0.98), ("Si", 0.95)):
        one = totals[symbol]
        print(f"{dose} e/C, {symbol}: precision {one.precision:.4f}, recall {one.recall:.4f} of {one.n_true}")
        assert one.precision >= least
        assert one.recall >= least


def test_error_against_the_bound(dose_and_scores):
    dose, totals, _, truth = dose_and_scores
    first = truth.in_frame(0)
    from_centre = np.linalg.norm(first.positions_A - np.array(FIELD_A) / 2, axis=1)
    carbon = int(np.where(first.species == "C", from_centre, np.inf).argmin())
    taken = acquisition(dose)
    bound_A = position_bound_A(
        first.positions_A, first.species, carbon, PIXEL_A, PROBE, taken.dose_e_per_A2, taken.background
    )
    rmse_A = totals["C"].rmse_A / np.sqrt(2)
    print(f"{dose} e/C: RMSE per axis {rmse_A:.4f} Å, bound {bound_A:.4f} Å, ratio {rmse_A / bound_A:.2f}")
    assert rmse_A < 0.06
    assert rmse_A / bound_A < LARGEST_RATIO[dose]


def test_uncertainty_is_not_understated(dose_and_scores):
    dose, _, z_scores, _ = dose_and_scores
    print(f"{dose} e/C: standard deviation of z-scores {z_scores.std():.2f}")
    assert z_scores.std() < 1.5
    assert np.abs(z_scores.mean(axis=0)).max() < 0.3


def test_uncertainty_on_images_like_those_of_training(ensemble):
    """Loosely calibrated over the doses and microscopes of the recipe, on other images than it was fitted on."""
    recipe = TrainingRecipe.model_validate(ensemble.card.training["config"]["recipe"])
    pixel_A, field_A = recipe.pixel_size_A, (recipe.n_pixels * recipe.pixel_size_A,) * 2
    z_scores = []
    for sample in training_samples(recipe, 40, np.random.SeedSequence(404)):
        found, true_A = decode_frame(sample.image, pixel_A, ensemble), sample.positions_px * pixel_A
        pairs = match(found.positions_A, true_A)
        pairs = pairs[away_from_edge(true_A[pairs[:, 1]], field_A)]
        z_scores.append((found.positions_A[pairs[:, 0]] - true_A[pairs[:, 1]]) / found.sigma_A[pairs[:, 0], None])
    z_scores = np.concatenate(z_scores)
    print(f"standard deviation of {z_scores.size} z-scores: {z_scores.std():.2f}")
    assert 0.5 < z_scores.std() < 2


def test_edges_hold_no_atom_twice(ensemble):
    """Within 1 Å of the edge: few missed, few false, none doubled."""
    frames, truth = frames_and_truth(N_FRAMES, SHAPE, PIXEL_A, 400, seed=12)
    n_true = n_missed = n_false = 0
    for index, frame in enumerate(frames):
        found, true_A = decode_frame(frame, PIXEL_A, ensemble).positions_A, truth.in_frame(index).positions_A
        pairs = match(found, true_A)
        at_edge_true, at_edge_found = (~away_from_edge(p, FIELD_A) for p in (true_A, found))
        n_true += at_edge_true.sum()
        n_missed += at_edge_true.sum() - at_edge_true[pairs[:, 1]].sum()
        n_false += at_edge_found.sum() - at_edge_found[pairs[:, 0]].sum()
        assert smallest_distance_A(found) > 0.9
    print(f"within 1 Å of the edge: {n_true} atoms, {n_missed} missed, {n_false} false")
    assert n_true > 150
    assert n_missed < 0.06 * n_true
    assert n_false < 0.06 * n_true


def smallest_distance_A(points_A):
    """Smallest distance of two points."""
    distance = np.linalg.norm(points_A[:, None] - points_A, axis=2)
    np.fill_diagonal(distance, np.inf)
    return distance.min()
