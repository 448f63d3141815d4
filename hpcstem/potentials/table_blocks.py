"""Counts of a table of atoms in blocks of frames that are kept apart, for errors over blocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic

import numpy as np

from hpcstem.atoms import AtomTable
from hpcstem.potentials.grouping import rows_by_frame
from hpcstem.potentials.pmf import Counts, Distribution

_N_BLOCKS = 16


@dataclass(frozen=True)
class BlockCounts(Generic[Counts]):
    """Analysis: blocks of frames to their counts, in order.

    Parameters
    ----------
    analysis
        What counts.
    """

    analysis: Distribution[Counts]

    def process(self, batch: AtomTable) -> list[Counts]:
        """Count one block."""
        return [self.analysis.process(batch)]

    def merge(self, left: list[Counts], right: list[Counts]) -> list[Counts]:
        """Keep both."""
        return left + right

    def finish(self, partial: list[Counts]) -> list[Counts]:
        """Return the blocks."""
        return partial


def frame_blocks(table: AtomTable) -> list[AtomTable]:
    """Blocks of consecutive frames of nearly equal number, as many as 16."""
    frames = list(rows_by_frame(table))
    chunks = np.array_split(np.arange(len(frames)), max(1, min(_N_BLOCKS, len(frames))))
    return [table[np.concatenate([frames[k] for k in chunk])] for chunk in chunks if len(chunk)]
