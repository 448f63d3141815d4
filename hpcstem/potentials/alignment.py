"""Atoms of a trajectory in fixed rows, one per track and species, grouped by species."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from hpcstem.atoms import NO_TRACK
from hpcstem.potentials.trajectory import Trajectory


class Alignment:
    """Where every linked atom is in every snapshot.

    An atom that changes species begins a new row: what pushes it has changed.

    Parameters
    ----------
    batch
        The trajectory.

    Attributes
    ----------
    slot
        Row of each atom of the trajectory, `n_slots` for one that is not linked, with shape (n_rows,), int64.
    blocks
        Rows of each species.
    position_A
        Place of each row's atom, NaN where it is not seen, with shape (n_frames, n_slots, 2), float64.
    weight
        Its weight, 0 where it is not seen, with shape (n_frames, n_slots), float64.
    """

    def __init__(self, batch: Trajectory) -> None:
        self._batch = batch
        n_species = len(batch.symbols)
        key = np.where(batch.track == NO_TRACK, NO_TRACK, batch.track * n_species + batch.species)
        keys, inverse = np.unique(key, return_inverse=True)
        linked = keys != NO_TRACK
        kinds = keys[linked] % n_species
        place = np.empty(len(kinds), np.int64)
        place[np.argsort(kinds, kind="stable")] = np.arange(len(kinds))
        slots = np.full(len(keys), len(kinds))
        slots[linked] = place
        self.slot: np.ndarray = slots[inverse]
        ends = np.concatenate([[0], np.cumsum(np.bincount(kinds, minlength=n_species))])
        self.blocks = [slice(int(a), int(b)) for a, b in pairwise(ends)]
        position_A = np.full((len(batch), len(kinds) + 1, 2), np.nan)
        weight = np.zeros((len(batch), len(kinds) + 1))
        frame = np.repeat(np.arange(len(batch)), np.diff(batch.start))
        position_A[frame, self.slot] = batch.positions_A
        weight[frame, self.slot] = batch.weight
        self.position_A, self.weight = position_A[:, :-1], weight[:, :-1]

    @property
    def n_slots(self) -> int:
        """Number of rows."""
        return self.position_A.shape[1]

    def per_row(self, of_species: np.ndarray) -> np.ndarray:
        """Value of each row's species, with shape (n_slots,)."""
        return np.repeat(np.asarray(of_species), [block.stop - block.start for block in self.blocks])

    def consecutive(self, first: int, last: int) -> bool:
        """Whether no frame number is left out between two snapshots."""
        return bool(self._batch.frame[last] - self._batch.frame[first] == last - first)

    def step_A(self, first: int, last: int) -> np.ndarray:
        """Displacement of each row's atom, to the nearest image, NaN where not seen, shape (n_slots, 2)."""
        step_A: np.ndarray = self.position_A[last] - self.position_A[first]
        if self._batch.box_A is not None:
            sides_A = np.array(self._batch.box_A)
            step_A -= sides_A * np.round(step_A / sides_A)
        return step_A

    def mean_place_A(self) -> np.ndarray:
        """Mean place of each row's atom over the snapshots that show it, unwrapped, with shape (n_slots, 2)."""
        seen = np.isfinite(self.position_A[:, :, 0])
        first = self.position_A[seen.argmax(axis=0), np.arange(self.n_slots)]
        offset_A = self.position_A - first
        if self._batch.box_A is not None:
            sides_A = np.array(self._batch.box_A)
            offset_A -= sides_A * np.round(offset_A / sides_A)
        mean_A: np.ndarray = first + np.where(seen[:, :, None], offset_A, 0.0).sum(axis=0) / seen.sum(axis=0)[:, None]
        return mean_A
