"""Classes of local configurations, whose histogram is what an image and a model are compared by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from hpcstem.lattice.triangular import N_SURROUNDINGS, SiteGrid, bits_of, surroundings


@dataclass(frozen=True)
class LocalClasses:
    """A sorting of sites by their species and surroundings; the first half of the classes is of species A.

    Parameters
    ----------
    name
        What the classes are.
    table
        Class of a site by its species and surroundings, with shape (2, 4096), int16.
    n_classes
        Number of classes.
    """

    name: str
    table: np.ndarray
    n_classes: int

    def histogram(self, grid: SiteGrid) -> np.ndarray:
        """Count the sites of each class whose 12 neighbours are all known, with shape (n_classes,), int64."""
        bits, complete = surroundings(grid)
        return np.bincount(self.table[grid.species[complete], bits[complete]], minlength=self.n_classes)

    def fraction_B(self, histogram: np.ndarray) -> float:
        """Fraction of the counted sites that hold species B."""
        return float(histogram[self.n_classes // 2 :].sum() / histogram.sum())


def shell_counts() -> LocalClasses:
    """Classes (species, B atoms in the first shell, B atoms in the second shell), 98 in all."""
    bits = bits_of(np.arange(N_SURROUNDINGS))
    first, second = bits[:, :6].sum(axis=1), bits[:, 6:].sum(axis=1)
    table = np.stack([(centre * 7 + first) * 7 + second for centre in (0, 1)])
    return LocalClasses("shell counts", table.astype(np.int16), 98)


def first_rings() -> LocalClasses:
    """Classes (species, first shell), where rings that rotate or mirror into each other are one: 26 in all."""
    rings = np.arange(N_SURROUNDINGS) & 0b111111
    mirrored = bits_of(rings)[:, :6] @ (1 << np.arange(6)[::-1])
    images = [_turned(ring, steps) for ring in (rings, mirrored) for steps in range(6)]
    kinds, kind = np.unique(np.min(images, axis=0), return_inverse=True)
    table = np.stack([kind, kind + len(kinds)])
    return LocalClasses("first rings", table.astype(np.int16), 2 * len(kinds))


def _turned(rings: np.ndarray, steps: int) -> np.ndarray:
    return ((rings << steps) | (rings >> (6 - steps))) & 0b111111


CLASSES: Mapping[str, Callable[[], LocalClasses]] = MappingProxyType(
    {"shell counts": shell_counts, "first rings": first_rings}
)
"""The sortings, by name."""
