"""Trajectories of known truth: classes that follow a Markov chain, places that follow a random walk."""

from dataclasses import dataclass

import numpy as np

from hpcstem.kinetics.trajectory import ClassTrajectory


@dataclass(frozen=True)
class SimulatedTracks:
    """Recipe of a movie's tracks.

    Parameters
    ----------
    n_tracks, n_frames
        Tracks and frames.
    missing
        Share of the frames in which a track is not seen, 0 to 1.
    diffusion_A2_per_s
        Diffusion coefficient of all tracks [Å²/s].
    frame_time_s
        Time from one frame to the next [s].
    localisation_A
        Standard deviation of the localisation noise per axis [Å].
    drift_A_per_frame
        Drift of the specimen in x and y [Å].
    """

    n_tracks: int
    n_frames: int
    missing: float = 0.0
    diffusion_A2_per_s: float = 0.0
    frame_time_s: float = 1.0
    localisation_A: float = 0.0
    drift_A_per_frame: tuple[float, float] = (0.0, 0.0)


def simulate_tracks(matrix: np.ndarray, recipe: SimulatedTracks, seed: np.random.SeedSequence) -> list[ClassTrajectory]:
    """Tracks whose classes start in random states and follow a chain, while they diffuse and drift.

    Parameters
    ----------
    matrix
        Probability of state j in the frame after state i, with shape (n_states, n_states).
    recipe
        The rest.
    seed
        Source of all randomness.

    Returns
    -------
    list[ClassTrajectory]
        With positions in which noise and drift are still there.
    """
    steps = matrix.cumsum(axis=1)
    steps[:, -1] = 1.0
    class_seed, place_seed, sight_seed = seed.spawn(3)
    shape = (recipe.n_frames, recipe.n_tracks)
    draws = np.random.default_rng(class_seed).random(shape)
    state = np.empty(shape, np.int64)
    state[0] = (draws[0] * len(steps)).astype(np.int64)
    for frame in range(1, recipe.n_frames):
        state[frame] = (draws[frame, :, None] >= steps[state[frame - 1]]).sum(axis=1)
    rng = np.random.default_rng(place_seed)
    spread_A = np.sqrt(2.0 * recipe.diffusion_A2_per_s * recipe.frame_time_s)
    places_A = np.cumsum(rng.normal(0.0, spread_A, (*shape, 2)), axis=0)
    places_A += np.arange(recipe.n_frames)[:, None, None] * np.array(recipe.drift_A_per_frame)
    places_A += rng.normal(0.0, recipe.localisation_A, places_A.shape)
    seen = np.random.default_rng(sight_seed).random(shape) >= recipe.missing
    frames = np.arange(recipe.n_frames)
    return [
        ClassTrajectory(frames[seen[:, k]], state[seen[:, k], k], places_A[seen[:, k], k])
        for k in range(recipe.n_tracks)
    ]
