"""Chains of known truth, shared by the tests of this folder."""

import numpy as np
from simulated_tracks import SimulatedTracks, simulate_tracks

from hpcstem.kinetics.counts import CountTransitions, TransitionCounts

GENERAL = np.array(
    [[0.70, 0.20, 0.08, 0.02], [0.10, 0.60, 0.20, 0.10], [0.05, 0.15, 0.70, 0.10], [0.02, 0.10, 0.20, 0.68]]
)
_FLOW = np.array([[20.0, 4.0, 1.0, 0.5], [4.0, 10.0, 3.0, 2.0], [1.0, 3.0, 15.0, 2.0], [0.5, 2.0, 2.0, 12.0]])
REVERSIBLE = _FLOW / _FLOW.sum(axis=1, keepdims=True)
DRIVEN = np.array([[0.60, 0.35, 0.05], [0.05, 0.60, 0.35], [0.35, 0.05, 0.60]])
"""Goes round: no detailed balance."""
SLIDES = np.array(
    [[0.11, 0.32, 0.27, 0.31], [0.12, 0.18, 0.36, 0.34], [0.18, 0.23, 0.27, 0.32], [0.17, 0.20, 0.28, 0.35]]
)
"""Printed table of transitions between Mo-vacancy complexes in WS2, rows summing to 1 within the rounding."""
SHORT_TRACKS = SimulatedTracks(n_tracks=12, n_frames=60, missing=0.15)


def counted(
    matrix: np.ndarray, *seed: int, recipe: SimulatedTracks = SHORT_TRACKS, lag_frames: int = 1
) -> TransitionCounts:
    tracks = simulate_tracks(matrix, recipe, np.random.SeedSequence(seed))
    analysis = CountTransitions(len(matrix), lag_frames)
    return analysis.finish(analysis.process(tracks))


def known_counts(counts: list[list[int]]) -> TransitionCounts:
    n = len(counts)
    return TransitionCounts(np.array(counts), np.zeros((n, n, n), np.int64))
