"""Which rank owns which items."""

from __future__ import annotations


def owned_block(n_items: int, n_ranks: int, rank: int) -> range:
    """Contiguous block of items that a rank owns; the first ranks own one more where sizes do not divide.

    Examples
    --------
    >>> [list(owned_block(5, 3, rank)) for rank in range(3)]
    [[0, 1], [2, 3], [4]]
    """
    size, left_over = divmod(n_items, n_ranks)
    start = rank * size + min(rank, left_over)
    return range(start, start + size + (rank < left_over))
