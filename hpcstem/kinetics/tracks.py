"""Defects followed from frame to frame by the linker, with the drift of the sheet removed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hpcstem.atoms import NO_TRACK, AtomTable
from hpcstem.kinetics.sightings import Sighting
from hpcstem.kinetics.trajectory import LabelledTrack
from hpcstem.structure.linking import link


def linked_sightings(
    seen: Sequence[Sighting], labels: Sequence[str], drift_A: np.ndarray, gate_A: float, max_gap: int
) -> list[LabelledTrack]:
    """Link the defects of one movie by their centres, whatever class they are of.

    Parameters
    ----------
    seen
        Defects of one movie.
    labels
        Name of the class of each.
    drift_A
        Displacement of the sheet in x and y for each frame [Å], with shape (n_frames, 2), float64.
    gate_A
        Longest displacement between frames that is still a link [Å]. Steps beyond it are lost:
        `hpcstem.kinetics.diffusion.gate_factor` says what that does to a diffusion coefficient.
    max_gap
        Most frames in a row in which a defect may be missed.

    Returns
    -------
    list[LabelledTrack]
        In the order of their first frames, positions without the drift.

    Raises
    ------
    StructureError
        The gate is more than half the distance of neighbouring defects, or the drift does not cover all frames.
    """
    if not seen:
        return []
    centres_A = np.array([sighting.centre_A for sighting in seen])
    frame = np.array([sighting.frame for sighting in seen], np.int64)
    n = len(seen)
    # The linker takes rows of a table of atoms. A defect that changes its class stays one thing: one species for all.
    table = AtomTable(
        movie=np.full(n, seen[0].movie),
        frame=frame,
        x_px=centres_A[:, 0],
        y_px=centres_A[:, 1],
        x_A=centres_A[:, 0],
        y_A=centres_A[:, 1],
        species=np.full(n, "Si"),
        probability=np.ones(n),
        detection=np.ones(n),
        sigma_A=np.full(n, np.nan),
        track=np.full(n, NO_TRACK),
    )
    track = link(table, gate_A, max_gap, drift_A).track
    places_A = centres_A - drift_A[frame]
    names = np.array(labels, np.str_)
    tracks = []
    for identity in range(int(track.max()) + 1):
        rows = np.flatnonzero(track == identity)
        rows = rows[np.argsort(frame[rows])]
        tracks.append(LabelledTrack(frame[rows], names[rows], places_A[rows], seen[0].movie, identity))
    return tracks
