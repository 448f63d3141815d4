"""Regions of interest of a frame: windows chosen by certainty, by defect, at random, or the whole frame."""

from __future__ import annotations

import enum
from collections import Counter
from dataclasses import dataclass

import networkx as nx
import numpy as np
from scipy.spatial import cKDTree

from hpcstem.atoms import AtomTable
from hpcstem.errors import StructureError
from hpcstem.structure.bonds import BondGraph, bond_graph
from hpcstem.structure.defects import Defect, DefectKind, defects_of_frame
from hpcstem.structure.graphene import CC_BOND_A
from hpcstem.structure.rings import find_rings

_SIGMA_SCALE_A = CC_BOND_A / 4.0
_GRID_A = 2.0
_FILLED = 0.7
"""A window must hold this share of the atoms of the fullest window, lest emptiness look certain."""
_DEFECT_MARGIN_A = 2.0 * CC_BOND_A


class Choice(enum.StrEnum):
    """How to choose a region."""

    CERTAINTY = "certainty"
    """The window decoded with the highest certainty, with a defect of some kind in it if one is asked for."""
    DEFECT = "defect"
    """The window around the defect that has the highest certainty."""
    RANDOM = "random"
    """A random window."""
    FRAME = "frame"
    """All of the frame."""


@dataclass(frozen=True, eq=False)
class Region:
    """A connected patch of one frame without dangling atoms.

    Parameters
    ----------
    frame
        Index of the frame.
    centre_A
        x and y of the window's centre [Å], with shape (2,), float64.
    size_A
        Side of the square window, or diameter of the disc where a number of atoms was asked for [Å].
    atoms
        Rows of the frame's table, ascending, int64.
    score
        Half the sum of least and mean certainty of its atoms, 0 to 1.
    reason
        Why it was chosen, one line.
    """

    frame: int
    centre_A: np.ndarray
    size_A: float
    atoms: np.ndarray
    score: float
    reason: str


def certainty(atoms: AtomTable) -> np.ndarray:
    """Probability × exp(-σ²/2s²) with s a quarter bond, with shape (n_atoms,), float64, 0 to 1."""
    precise = np.exp(-0.5 * (np.nan_to_num(atoms.sigma_A.astype(float), nan=np.inf) / _SIGMA_SCALE_A) ** 2)
    return atoms.probability * precise


def select_region(
    atoms: AtomTable,
    by: Choice,
    size_A: float | None = None,
    n_atoms: int | None = None,
    kind: DefectKind | None = None,
    rng: np.random.Generator | None = None,
) -> Region:
    """Choose a region of one frame.

    Parameters
    ----------
    atoms
        Atoms of one frame of one movie.
    by
        How to choose.
    size_A
        Side of a square window [Å]; or give `n_atoms`.
    n_atoms
        Fewest atoms of a round patch; a few more come where the patch without dangling atoms jumps.
    kind
        Kind of defect that the window must hold whole; by defect, None is any kind.
    rng
        Draws the window if `by` is random.

    Returns
    -------
    Region
        The largest connected part of the window, with atoms of fewer than two bonds taken off.

    Raises
    ------
    StructureError
        More than one frame, no size, a size that is none, or two, a window larger than the frame, or nothing that fits.
    """
    by = Choice(by)
    if len(np.unique(atoms.frame)) != 1 or len(np.unique(atoms.movie)) != 1:
        raise StructureError("atoms to choose a region from", f"{len(np.unique(atoms.frame))} frames", "one frame")
    frame = int(atoms.frame[0])
    if by is Choice.FRAME:
        low_A, high_A = atoms.positions_A.min(axis=0), atoms.positions_A.max(axis=0)
        patch = _patch(atoms, np.arange(len(atoms)))
        return _region(atoms, frame, (low_A + high_A) / 2, float((high_A - low_A).max()), patch, "whole frame")
    if (size_A is None) == (n_atoms is None):
        raise StructureError("size of the region", f"size_A={size_A}, n_atoms={n_atoms}", "one of the two")
    if size_A is not None and not size_A > 0:
        raise StructureError("side of the region [Å]", size_A, "a positive number")
    side_A = size_A if size_A is not None else _side_for(atoms, n_atoms or 0)
    defects = defects_of_frame(atoms) if by is Choice.DEFECT or kind is not None else []
    defects = [defect for defect in defects if kind is None or defect.kind is kind]
    centre_A, reason = _centre(atoms, by, side_A, defects, kind, rng)
    if n_atoms is not None:
        patch, side_A = _round_patch(atoms, centre_A, n_atoms)
    else:
        inside = (np.abs(atoms.positions_A - centre_A) <= side_A / 2.0).all(axis=1)
        patch = _patch(atoms, np.flatnonzero(inside))
    return _region(atoms, frame, centre_A, side_A, patch, reason)


def _region(
    atoms: AtomTable, frame: int, centre_A: np.ndarray, size_A: float, patch: np.ndarray, reason: str
) -> Region:
    if not len(patch):
        raise StructureError(f"region of frame {frame}", "no connected atoms", "a larger window or another frame")
    sure = certainty(atoms)[patch]
    return Region(frame, centre_A, size_A, patch, float((sure.min() + sure.mean()) / 2.0), reason)


def _centre(
    atoms: AtomTable,
    by: Choice,
    side_A: float,
    defects: list[Defect],
    kind: DefectKind | None,
    rng: np.random.Generator | None,
) -> tuple[np.ndarray, str]:
    """Centre of the best window of a side, and the reason."""
    low_A, high_A = atoms.positions_A.min(axis=0) + side_A / 2.0, atoms.positions_A.max(axis=0) - side_A / 2.0
    if (low_A > high_A).any():
        extent_A = np.ptp(atoms.positions_A, axis=0)
        raise StructureError(
            f"region of {side_A:g} Å", f"a frame of {extent_A[0]:.1f} × {extent_A[1]:.1f} Å", "a smaller region"
        )
    if (by is Choice.DEFECT or kind is not None) and not defects:
        raise StructureError("defect of the region", "none away from the edge", kind or "a frame with a defect")
    if by is Choice.RANDOM:
        if rng is None:
            raise StructureError("random region", "no generator", "rng=numpy.random.default_rng(seed)")
        centres_A = rng.uniform(low_A, high_A)[None]
    elif by is Choice.DEFECT:
        centres_A = np.clip([defect.centre_A for defect in defects], low_A, high_A)
    else:
        steps = (
            np.linspace(low, high, 1 + int((high - low) / _GRID_A)) for low, high in zip(low_A, high_A, strict=True)
        )
        centres_A = np.stack(np.meshgrid(*steps, indexing="ij"), -1).reshape(-1, 2)
    scores = _window_scores(atoms, centres_A, side_A)
    held = [_held_whole(atoms, defects, centre_A, side_A) for centre_A in centres_A]
    if defects and by is not Choice.RANDOM:
        scores = np.where([bool(inside) for inside in held], scores, -np.inf)
        if not np.isfinite(scores).any():
            raise StructureError(f"region of {side_A:g} Å", "a defect that does not fit into it", "a larger region")
    best = int(np.argmax(scores))
    names = ", ".join(sorted({defect.kind.value for defect in held[best]}))
    return centres_A[best], f"{by.value}, score {scores[best]:.3f}" + (f", holds {names}" if names else "")


def _window_scores(atoms: AtomTable, centres_A: np.ndarray, side_A: float) -> np.ndarray:
    """Half the sum of least and mean certainty in each window, -inf where it is too empty, with shape (n_windows,)."""
    sure = certainty(atoms)
    windows = cKDTree(atoms.positions_A).query_ball_point(centres_A, side_A / 2.0, p=np.inf, return_sorted=True)
    counts = np.array([len(window) for window in windows])
    full = counts >= max(_FILLED * counts.max(), 1.0)
    return np.array(
        [(sure[w].min() + sure[w].mean()) / 2.0 if f else -np.inf for w, f in zip(windows, full, strict=True)]
    )


def _held_whole(atoms: AtomTable, defects: list[Defect], centre_A: np.ndarray, side_A: float) -> list[Defect]:
    """Defects that lie in the disc inside the window with two bonds of sheet around them."""
    reach_A = side_A / 2.0 - _DEFECT_MARGIN_A
    positions_A = atoms.positions_A
    return [d for d in defects if (np.linalg.norm(positions_A[d.atoms] - centre_A, axis=1) <= reach_A).all()]


def _side_for(atoms: AtomTable, n_atoms: int) -> float:
    """Diameter of a disc that holds so many atoms at the density of the frame [Å]."""
    if not 3 <= n_atoms <= len(atoms):
        raise StructureError("atoms of the region", n_atoms, f"3 to {len(atoms)}, the atoms of the frame")
    return float(2.0 * np.sqrt(n_atoms / (np.pi * len(atoms) / np.ptp(atoms.positions_A, axis=0).prod())))


def _round_patch(atoms: AtomTable, centre_A: np.ndarray, n_atoms: int) -> tuple[np.ndarray, float]:
    """Smallest disc around a centre whose connected patch has at least `n_atoms`, and its diameter [Å]."""
    distances_A = np.linalg.norm(atoms.positions_A - centre_A, axis=1)
    order = np.argsort(distances_A, kind="stable")
    for taken in range(n_atoms, len(atoms) + 1):
        patch = _patch(atoms, np.sort(order[:taken]))
        if len(patch) >= n_atoms:
            return patch, float(2.0 * distances_A[order[taken - 1]])
    raise StructureError("round region", f"{len(patch)} connected atoms at most", f"{n_atoms} atoms")


def _patch(atoms: AtomTable, rows: np.ndarray) -> np.ndarray:
    """Rows of the largest connected part left when atoms with fewer than two bonds are taken off."""
    while len(rows):
        graph = bond_graph(atoms.positions_A[rows], atoms.species[rows])
        firm = graph.coordination >= 2
        if firm.all():
            parts = [sorted(part) for part in nx.connected_components(nx.Graph(graph.edges.tolist()))]
            return rows[max(parts, key=lambda part: (len(part), -part[0]))]
        rows = rows[firm]
    return rows


def similarity(first: BondGraph, second: BondGraph) -> float:
    """How alike two patches are: the overlap Σ √(p q) of their atoms' environments, 0 to 1.

    An environment is an atom's species, its number of bonds and the sizes of its rings; p and q are the shares of each
    environment among the atoms of either patch. 1 means equal shares.
    """
    p, q = _environments(first), _environments(second)
    return float(sum(np.sqrt(p[kind] * q[kind]) for kind in p) / np.sqrt(p.total() * q.total()))


def _environments(graph: BondGraph) -> Counter[tuple[str, int, tuple[int, ...]]]:
    """Number of atoms in each environment."""
    rings = find_rings(graph)
    sizes: list[list[int]] = [[] for _ in range(len(graph))]
    for atom, size in zip(rings.atoms.tolist(), np.repeat(rings.sizes, rings.sizes).tolist(), strict=True):
        sizes[atom].append(size)
    return Counter(
        (symbol, bonds, tuple(sorted(own)))
        for symbol, bonds, own in zip(graph.species.tolist(), graph.coordination.tolist(), sizes, strict=True)
    )
