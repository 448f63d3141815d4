"""Rows of a table of atoms, frame by frame."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hpcstem.atoms import AtomTable


def rows_by_frame(table: AtomTable) -> Iterator[np.ndarray]:
    """Yield the row indices of each (movie, frame) of a table, with shape (n_atoms_in_frame,), int64.

    Frames come in the order of their movie's name and their number; rows within a frame keep their order.
    """
    if len(table) == 0:
        return
    # Comparing with one name is much cheaper than sorting strings, and most tables hold one movie.
    if (table.movie == table.movie[0]).all():
        movie = np.zeros(len(table), np.int64)
    else:
        movie = np.unique(table.movie, return_inverse=True)[1]
    order = np.lexsort((table.frame, movie))
    changes = (np.diff(movie[order]) != 0) | (np.diff(table.frame[order]) != 0)
    yield from np.split(order, np.flatnonzero(changes) + 1)
