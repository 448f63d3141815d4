"""Canonical codes of small graphs drawn in the plane: equal exactly where two drawings are the same graph.

References
----------
.. [1] L. Weinberg, A simple and efficient algorithm for determining isomorphism of planar triply connected graphs, IEEE
   Trans. Circuit Theory 13, 142 (1966), https://doi.org/10.1109/TCT.1966.1082573
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hpcstem.errors import StructureError

Code = tuple[tuple[str, ...], tuple[int, ...]]


@dataclass(frozen=True, eq=False)
class PlanarCode:
    """Canonical code of a drawing, and the orders of the nodes that give it.

    Parameters
    ----------
    code
        Labels of the nodes in canonical order, and their neighbours around each.
    orders
        Nodes in canonical order, with shape (n_symmetries, n_nodes), int64: one row for every symmetry of the
        drawing, mirror images included.
    mirrored
        Whether each order goes round the neighbours against the others, with shape (n_symmetries,), bool.
    """

    code: Code
    orders: np.ndarray
    mirrored: np.ndarray


def planar_code(positions_A: np.ndarray, labels: Sequence[str], edges: np.ndarray) -> PlanarCode:
    """Code of a connected graph drawn in the plane, the same for all turned, shifted, mirrored or distorted drawings.

    From every directed edge the graph is walked breadth first, neighbours in the order of their angles; the least
    of the codes is kept [1]_. Two drawings have the same code exactly if a mapping of their nodes keeps labels,
    edges, and the order of edges around every node, or turns that order round everywhere. Which face is the outer
    one does not count: the drawing might as well be on a sphere.

    Parameters
    ----------
    positions_A
        x and y [Å], with shape (n_nodes, 2), float64.
    labels
        One per node.
    edges
        With shape (n_edges, 2), int64; no bond twice.

    Raises
    ------
    StructureError
        There are no nodes, or they do not hang together.
    """
    around = _neighbours_by_angle(positions_A, edges)
    found: list[tuple[Code, list[int], bool]] = []
    for mirrored in (False, True):
        rotation = [turn[::-1] for turn in around] if mirrored else around
        for start in _starts(labels, around):
            for first in range(max(len(rotation[start]), 1)):
                code, order = _walk(start, first, rotation, labels)
                if found and code > found[0][0]:
                    continue
                if found and code < found[0][0]:
                    found = []
                found.append((code, order, mirrored))
    if not found or len(found[0][1]) != len(around):
        raise StructureError("graph to be coded", f"{len(around)} atoms in several parts", "atoms that hang together")
    return PlanarCode(found[0][0], np.array([item[1] for item in found]), np.array([item[2] for item in found]))


def _neighbours_by_angle(positions_A: np.ndarray, edges: np.ndarray) -> list[list[int]]:
    around: list[list[int]] = [[] for _ in range(len(positions_A))]
    for i, j in edges.tolist():
        around[i].append(j)
        around[j].append(i)
    for node, others in enumerate(around):
        vectors_A = positions_A[others] - positions_A[node]
        around[node] = [others[k] for k in np.argsort(np.arctan2(vectors_A[:, 1], vectors_A[:, 0]))]
    return around


def _starts(labels: Sequence[str], around: list[list[int]]) -> list[int]:
    """Nodes of the rarest kind: every symmetry maps them onto each other, so starting from them is enough."""
    kinds = [
        (label, tuple(sorted((labels[j], len(around[j])) for j in others)))
        for label, others in zip(labels, around, strict=True)
    ]
    counts = Counter(kinds)
    rarest = min(counts, key=lambda kind: (counts[kind], kind), default=None)
    return [node for node, kind in enumerate(kinds) if kind == rarest]


def _walk(start: int, first: int, around: list[list[int]], labels: Sequence[str]) -> tuple[Code, list[int]]:
    """Code and order of a walk that starts at a node along one of its edges."""
    number, order, entries = {start: 0}, [start], [first]
    tokens: list[int] = []
    for node, entry in zip(order, entries, strict=False):  # both grow on the way
        others = around[node]
        for other in others[entry:] + others[:entry]:
            if other not in number:
                number[other] = len(order)
                order.append(other)
                entries.append(around[other].index(node))
            tokens.append(number[other])
        tokens.append(-1)
    return (tuple(labels[node] for node in order), tuple(tokens)), order
