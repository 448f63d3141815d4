"""Linking atoms from frame to frame: drift removed, sparse assignment with birth, death, species change and gaps.

References
----------
.. [1] K. Jaqaman et al., Robust single-particle tracking in live-cell time-lapse sequences, Nature Methods 5,
   695 (2008), https://doi.org/10.1038/nmeth.1237 (the cost matrix with birth and death, here frame by frame)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching
from scipy.spatial import cKDTree

from hpcstem.atoms import NO_TRACK, AtomTable
from hpcstem.errors import StructureError
from hpcstem.structure.drift import frame_shift_A

_STEPS_IN_REACH = 5.0
_LONGEST_REACH = 2.0
"""In gates: no more than the distance of neighbours, so that no row of atoms moves up by one place."""
_SPECIES_CHANGE = 0.25
_MISSED_FRAME = 0.1
"""Costs as fractions of the reach squared, which is the cost of one death and one birth."""


def link(table: AtomTable, gate_A: float, max_gap: int = 1, drift_A: np.ndarray | None = None) -> AtomTable:
    """Give every atom of a movie an identity over its frames.

    Frame by frame, atoms are assigned to the tracks seen at most `max_gap` frames before, so that the sum of
    costs is the least possible [1]_: the squared distance after removal of the drift, plus a quarter of the
    squared reach where the species changes, plus a tenth of it per frame missed; a track that ends and one
    that begins cost the squared reach together. The reach is the gate, or five times the root mean square step
    per axis where that is longer, up to twice the gate: an atom that scatters so far may be nearer to a
    neighbour's place than to its own, but all atoms together tell who is who. Atoms that move farther than the
    reach become new tracks: displacements are censored there.

    Parameters
    ----------
    table
        Atoms of one or more movies, rows in any order.
    gate_A
        Longest displacement between frames that is still a link, where atoms scatter little [Å]; at most half the
        distance of neighbours.
    max_gap
        Most frames in a row in which an atom may be missed.
    drift_A
        Displacement of the sheet in x and y for each frame, counted from frame 0 [Å], with shape (n_frames,
        2), as measured from the images. If absent it is estimated from the atoms; on a perfect lattice that
        is possible only up to a lattice vector, and the smallest is taken (see `hpcstem.structure.drift`).

    Returns
    -------
    AtomTable
        The same rows with `track` filled: 0, 1, … over all movies, in the order of movie, frame, y and x.

    Raises
    ------
    StructureError
        The gate is more than half the distance of neighbours, or the drift does not cover all frames.
    """
    if max_gap < 0:
        raise StructureError("frames an atom may be missed", max_gap, "0 or more")
    if not gate_A > 0:
        raise StructureError("gate of the linking", f"{gate_A} Å", "a positive length")
    if drift_A is not None and len(table) and np.shape(drift_A) < (int(table.frame.max()) + 1, 2):
        raise StructureError("drift of the frames", np.shape(drift_A), f"shape ({int(table.frame.max()) + 1}, 2)")
    order = np.lexsort((table.species, table.x_A, table.y_A, table.frame, table.movie))
    track = np.full(len(table), NO_TRACK, np.int64)
    n_tracks = 0
    for movie in np.unique(table.movie):
        rows = order[table.movie[order] == movie]
        frames = np.split(rows, np.flatnonzero(np.diff(table.frame[rows])) + 1)
        _check_gate(table, frames, gate_A)
        n_tracks = _link_movie(table, frames, gate_A, max_gap, drift_A, track, n_tracks)
    return table.with_columns(track=track)


@dataclass(frozen=True)
class _Tracks:
    """Tracks that can still be continued; positions with the drift removed."""

    positions_A: np.ndarray
    species: np.ndarray
    identity: np.ndarray
    frame: np.ndarray

    def since(self, frame: int) -> _Tracks:
        """Tracks seen in `frame` or later."""
        kept = self.frame >= frame
        return _Tracks(self.positions_A[kept], self.species[kept], self.identity[kept], self.frame[kept])


def _link_movie(
    table: AtomTable,
    frames: list[np.ndarray],
    gate_A: float,
    max_gap: int,
    drift_A: np.ndarray | None,
    track: np.ndarray,
    n_tracks: int,
) -> int:
    """Fill `track` for one movie, given the rows of each of its frames; return the number of tracks so far."""
    positions_A, species = table.positions_A, table.species
    tracks = _Tracks(np.empty((0, 2)), species[:0], np.empty(0, np.int64), np.empty(0, np.int64))
    shift_A = np.zeros(2)
    for rows in frames:
        frame = int(table.frame[rows[0]])
        tracks = tracks.since(frame - 1 - max_gap)
        if drift_A is not None:
            shift_A = np.asarray(drift_A)[frame]
        elif len(tracks.identity):
            latest = tracks.since(int(tracks.frame.max()))
            shift_A = shift_A + frame_shift_A(
                latest.positions_A, latest.species, positions_A[rows] - shift_A, species[rows], gate_A
            )
        here = _Tracks(
            positions_A[rows] - shift_A, species[rows], np.full(len(rows), NO_TRACK), np.full(len(rows), frame)
        )
        old, new = _assign(tracks, here, gate_A)
        identity = here.identity.copy()
        identity[new] = tracks.identity[old]
        born = np.flatnonzero(identity == NO_TRACK)
        identity[born] = n_tracks + np.arange(len(born))
        n_tracks += len(born)
        track[rows] = identity
        lost = np.ones(len(tracks.identity), bool)
        lost[old] = False
        tracks = _Tracks(
            np.concatenate([tracks.positions_A[lost], here.positions_A]),
            np.concatenate([tracks.species[lost], here.species]),
            np.concatenate([tracks.identity[lost], identity]),
            np.concatenate([tracks.frame[lost], here.frame]),
        )
    return n_tracks


def _assign(tracks: _Tracks, here: _Tracks, gate_A: float) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the tracks and of the atoms here that continue them, at the least total cost."""
    if not len(tracks.identity) or not len(here.identity):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    trees = cKDTree(tracks.positions_A), cKDTree(here.positions_A)
    near = trees[0].sparse_distance_matrix(trees[1], _LONGEST_REACH * gate_A, output_type="ndarray")
    old, new, distance_A = near["i"], near["j"], near["v"]
    reach_A = _reach_A(new, distance_A, gate_A)
    missed = here.frame[new] - tracks.frame[old] - 1
    changed = tracks.species[old] != here.species[new]
    cost = distance_A**2 + reach_A**2 * (_SPECIES_CHANGE * changed + _MISSED_FRAME * missed)
    # A pair that costs more than its death and birth is in no best assignment.
    worth = cost < reach_A**2
    old, new, cost = old[worth], new[worth], cost[worth]
    n_old, n_new = len(tracks.identity), len(here.identity)
    # A pair whose track and atom have no other candidate is linked in the best assignment.
    alone = (np.bincount(old, minlength=n_old)[old] == 1) & (np.bincount(new, minlength=n_new)[new] == 1)
    links = [np.column_stack([old[alone], new[alone]])]
    old, new, cost = old[~alone], new[~alone], cost[~alone]
    links.append(_assign_crowded(old, new, cost, reach_A))
    joined = np.concatenate(links)
    return joined[:, 0], joined[:, 1]


def _reach_A(new: np.ndarray, distance_A: np.ndarray, gate_A: float) -> float:
    """Longest link [Å], from how far atoms are from the nearest place of the frames before."""
    nearest_A = np.full(new.max(initial=0) + 1, np.inf)
    np.minimum.at(nearest_A, new, distance_A)
    # The median distance in a plane is √(2 ln 2) standard deviations per axis.
    seen_A = nearest_A[np.isfinite(nearest_A)]
    step_A = float(np.median(seen_A)) / np.sqrt(2 * np.log(2)) if len(seen_A) else 0.0
    return float(np.clip(_STEPS_IN_REACH * step_A, gate_A, _LONGEST_REACH * gate_A))


def _assign_crowded(old: np.ndarray, new: np.ndarray, cost: np.ndarray, reach_A: float) -> np.ndarray:
    """Best links of pairs that share tracks or atoms, with shape (n_links, 2).

    The matrix is that of [1]_: links, deaths on one diagonal, births on the other, and the transposed links
    at no cost to fill it up.
    """
    if not len(old):
        return np.empty((0, 2), np.int64)
    olds, row = np.unique(old, return_inverse=True)
    news, column = np.unique(new, return_inverse=True)
    n, m = len(olds), len(news)
    rows = np.concatenate([row, np.arange(n), n + np.arange(m), n + column])
    columns = np.concatenate([column, m + np.arange(n), np.arange(m), m + row])
    costs = np.concatenate([cost, np.full(n + m, reach_A**2 / 2.0), np.zeros(len(cost))])
    # Sparse matrices drop zeros; one more on every entry changes no best assignment.
    matrix = csr_array((costs + 1.0, (rows, columns)), shape=(n + m, n + m))
    chosen_row, chosen_column = min_weight_full_bipartite_matching(matrix)
    linked = (chosen_row < n) & (chosen_column < m)
    return np.column_stack([olds[chosen_row[linked]], news[chosen_column[linked]]])


def _check_gate(table: AtomTable, frames: list[np.ndarray], gate_A: float) -> None:
    """Refuse a gate beyond half the distance of neighbours in up to eight frames.

    The median is over the three nearest neighbours: that of the nearest alone is short by the noise.
    """
    sample = [frames[k] for k in np.unique(np.linspace(0, len(frames) - 1, 8).astype(int)) if len(frames[k]) > 3]
    if not sample:
        return
    positions_A = [table.positions_A[rows] for rows in sample]
    neighbour_A = float(np.median(np.concatenate([cKDTree(p).query(p, 4)[0][:, 1:] for p in positions_A])))
    if gate_A > neighbour_A / 2.0:
        raise StructureError(
            f"gate of the linking in movie {table.movie[frames[0][0]]}",
            f"{gate_A:g} Å, with neighbours at {neighbour_A:.3f} Å",
            f"at most half the distance of neighbours, {neighbour_A / 2.0:.3f} Å",
        )
