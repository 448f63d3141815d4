"""Canonical codes: equal for the same drawing however it lies, unequal for others, checked against networkx."""

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import Delaunay

from hpcstem.errors import StructureError
from hpcstem.kinetics.planar_code import planar_code

SEEDS = st.integers(0, 2**32 - 1)


def _random_drawing(rng: np.random.Generator) -> tuple[np.ndarray, list[str], np.ndarray]:
    """Connected planar graph: a Delaunay triangulation with some edges taken out."""
    n = int(rng.integers(4, 14))
    positions = rng.random((n, 2))
    graph = nx.Graph()
    for triangle in Delaunay(positions).simplices.tolist():
        nx.add_cycle(graph, triangle)
    edges = list(graph.edges)
    for k in rng.permutation(len(edges))[: len(edges) // 3]:
        graph.remove_edge(*edges[k])
        if not nx.is_connected(graph):
            graph.add_edge(*edges[k])
    return positions, rng.choice(["C", "Si"], n, p=[0.8, 0.2]).tolist(), np.array(graph.edges)


@given(SEEDS)
def test_code_does_not_change_when_the_drawing_is_moved_or_renumbered(seed: int) -> None:
    rng = np.random.default_rng(seed)
    positions, labels, edges = _random_drawing(rng)
    angle = rng.uniform(0, 2 * np.pi)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    turn[0] *= rng.choice([-1.0, 1.0])
    new = rng.permutation(len(labels))
    moved = np.empty_like(positions)
    moved[new] = positions @ turn + rng.normal(size=2)
    renamed = [""] * len(labels)
    for old, number in enumerate(new.tolist()):
        renamed[number] = labels[old]
    one, other = planar_code(positions, labels, edges), planar_code(moved, renamed, new[edges])
    assert one.code == other.code
    # Every pair of canonical orders is an isomorphism.
    for order in other.orders:
        mapped = np.empty(len(labels), int)
        mapped[one.orders[0]] = order
        assert {frozenset(pair) for pair in mapped[edges].tolist()} == {frozenset(p) for p in new[edges].tolist()}
        assert [renamed[k] for k in mapped] == labels


@given(SEEDS)
def test_equal_codes_are_isomorphic_graphs_and_small_changes_are_seen(seed: int) -> None:
    rng = np.random.default_rng(seed)
    positions, labels, edges = _random_drawing(rng)
    changed = list(labels)
    k = int(rng.integers(len(labels)))
    changed[k] = "N"
    graphs = []
    for names in (labels, changed):
        graph = nx.Graph(edges.tolist())
        nx.set_node_attributes(graph, dict(enumerate(names)), "label")
        graphs.append(graph)
    same = nx.is_isomorphic(*graphs, node_match=lambda a, b: a["label"] == b["label"])
    assert not same
    assert planar_code(positions, labels, edges).code != planar_code(positions, changed, edges).code
    fewer = [edge for edge in edges.tolist() if edge != edges.tolist()[0]]
    if nx.is_connected(nx.Graph(fewer)) and len(nx.Graph(fewer)) == len(labels):
        assert planar_code(positions, labels, np.array(fewer)).code != planar_code(positions, labels, edges).code


@pytest.mark.parametrize(("n", "symmetries"), [(3, 6), (6, 12)])
def test_polygons_have_all_their_symmetries(n: int, symmetries: int) -> None:
    angles = 2 * np.pi * np.arange(n) / n
    ring = np.column_stack([np.arange(n), np.roll(np.arange(n), -1)])
    code = planar_code(np.column_stack([np.cos(angles), np.sin(angles)]), ["C"] * n, ring)
    assert len({tuple(order) for order in code.orders.tolist()}) == symmetries


def test_one_atom_has_a_code_and_two_parts_have_none() -> None:
    assert planar_code(np.zeros((1, 2)), ["Si"], np.empty((0, 2), int)).code == (("Si",), (-1,))
    with pytest.raises(StructureError, match="hang together"):
        planar_code(np.array([[0.0, 0.0], [1.0, 0.0]]), ["C", "C"], np.empty((0, 2), int))
    with pytest.raises(StructureError, match="hang together"):
        planar_code(np.empty((0, 2)), [], np.empty((0, 2), int))
