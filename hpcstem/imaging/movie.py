"""A simulated movie: frames and the atoms that are in them."""

from __future__ import annotations

import numpy as np

from hpcstem.atoms import NO_TRACK, AtomTable
from hpcstem.imaging.acquisition import Acquisition, acquire
from hpcstem.imaging.evolution import evolving_sheet
from hpcstem.imaging.probe import Probe


def simulate_movie(
    name: str,
    n_frames: int,
    shape: tuple[int, int],
    pixel_size_A: float,
    probe: Probe,
    acquisition: Acquisition,
    seed: np.random.SeedSequence,
    *,
    n_silicon: int = 3,
    hole_radius_A: float = 4.0,
    events_per_frame: float = 1.0,
    thermal_A: float = 0.03,
    drift_A_per_frame: tuple[float, float] = (0.0, 0.0),
) -> tuple[np.ndarray, AtomTable]:
    """Take a movie of a sheet of graphene that changes under the beam.

    Parameters
    ----------
    name
        Name of the movie in the table of its atoms.
    n_frames, shape, pixel_size_A
        Frames, their rows and columns, and their pixel size [Å].
    probe, acquisition
        How each frame is taken.
    seed
        Fixes everything.
    n_silicon, hole_radius_A, events_per_frame
        As in `hpcstem.imaging.evolution.evolving_sheet`.
    thermal_A
        Standard deviation of each atom's position in a frame, per axis [Å].
    drift_A_per_frame
        Drift of the specimen (x, y) between frames [Å].

    Returns
    -------
    frames : numpy.ndarray
        Detected electrons, with shape (n_frames, rows, columns), float32.
    truth : AtomTable
        Atoms inside each frame, where they were when it was taken.
    """
    structure_seed, *frame_seeds = seed.spawn(1 + n_frames)
    field_A = (shape[1] * pixel_size_A, shape[0] * pixel_size_A)
    sheets = evolving_sheet(
        field_A, n_frames, n_silicon, hole_radius_A, events_per_frame, np.random.default_rng(structure_seed)
    )
    frames = np.empty((n_frames, *shape), np.float32)
    tables = []
    for index, ((positions_A, species), frame_seed) in enumerate(zip(sheets, frame_seeds, strict=True)):
        rng = np.random.default_rng(frame_seed)
        drift_A = (index - (n_frames - 1) / 2) * np.array(drift_A_per_frame)
        positions_A = positions_A + drift_A + rng.normal(0, thermal_A, positions_A.shape)
        frames[index], _ = acquire(positions_A, species, shape, pixel_size_A, probe, acquisition, rng)
        tables.append(truth_of_frame(name, index, positions_A, species, shape, pixel_size_A))
    return frames, AtomTable.concatenate(tables)


def truth_of_frame(
    name: str, frame: int, positions_A: np.ndarray, species: np.ndarray, shape: tuple[int, int], pixel_size_A: float
) -> AtomTable:
    """Table of the atoms inside a frame, as certain as truth is.

    Parameters
    ----------
    name, frame
        Of the movie, and of the frame in it.
    positions_A
        (x, y) in the field's coordinates [Å], also of atoms outside, with shape (n_atoms, 2).
    species
        With shape (n_atoms,).
    shape, pixel_size_A
        Rows and columns of the frame, and its pixel size [Å].
    """
    pixels = positions_A / pixel_size_A
    inside = ((pixels >= -0.5) & (pixels <= np.array(shape[::-1]) - 0.5)).all(axis=1)
    n = int(inside.sum())
    return AtomTable(
        movie=np.full(n, name),
        frame=np.full(n, frame),
        x_px=pixels[inside, 0],
        y_px=pixels[inside, 1],
        x_A=positions_A[inside, 0],
        y_A=positions_A[inside, 1],
        species=species[inside],
        probability=np.ones(n),
        detection=np.ones(n),
        sigma_A=np.zeros(n),
        track=np.full(n, NO_TRACK),
    )
