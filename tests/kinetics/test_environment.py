"""Environments of defects: cut out of sheets, named, laid over each other."""

import numpy as np
import pytest
from sheets_with_defects import DEFECTS, SIDE_A, frame_of, sheet_with

from hpcstem.kinetics.environment import Environment, cut_out, overlay
from hpcstem.kinetics.sightings import sightings
from hpcstem.structure.bonds import bond_graph
from hpcstem.structure.defects_library import silicon_on_three
from hpcstem.structure.graphene import CC_BOND_A, rotation


def _environment(kind: str, rotation_rad: float = 0.3, noise_A: float = 0.0, n_shells: int = 1, seed: int = 0):
    table = frame_of(sheet_with(DEFECTS[kind], rotation_rad), noise_A=noise_A, seed=seed)
    (seen,) = sightings(table, n_shells, 0.0, (SIDE_A, SIDE_A))
    assert seen.kind == kind
    return seen.environment


@pytest.mark.parametrize("kind", DEFECTS)
def test_names_do_not_change_with_rotation_and_noise(kind: str) -> None:
    plain = _environment(kind)
    noisy = _environment(kind, rotation_rad=0.9, noise_A=0.05)
    assert noisy.graph_name == plain.graph_name
    laid = overlay(noisy, plain)
    assert laid is not None
    assert laid.rms_A < 0.15
    assert (noisy.species[laid.order] == plain.species).all()


def test_different_defects_have_different_names() -> None:
    names = {_environment(kind).graph_name for kind in DEFECTS}
    assert len(names) == len(DEFECTS)
    assert {name.split("-")[0] for name in names if "Si" in name} == {"Si1C3", "Si1C4", "Si3C6"}


def test_overlay_finds_the_turn_the_mirror_image_and_the_shift() -> None:
    one = _environment("single vacancy")
    for flip in (1.0, -1.0):
        turn = np.diag([1.0, flip]) @ rotation(0.7)
        moved_A = (one.positions_A - [1.0, 2.0]) @ turn.T
        moved = Environment(moved_A, one.species, one.core, one.edges)
        laid = overlay(moved, one)
        assert laid is not None
        assert np.linalg.det(laid.rotation) == pytest.approx(flip)
        assert laid.rms_A < 1e-9
        assert np.allclose(moved.positions_A[laid.order] @ laid.rotation + laid.shift_A, one.positions_A)


def test_unlike_graphs_do_not_lie_over_each_other() -> None:
    assert overlay(_environment("Si on three neighbours"), _environment("Si on four neighbours")) is None


def test_shells_grow_by_bonds() -> None:
    assert [len(_environment("Si on three neighbours", n_shells=n)) for n in range(4)] == [4, 10, 19, 31]


def test_environments_cut_by_the_edge_are_left_out() -> None:
    graph = sheet_with(silicon_on_three)
    silicon = np.flatnonzero(graph.species == "Si")
    core = np.sort(np.concatenate([silicon, graph.neighbours(int(silicon[0]))]))
    centre_A = graph.positions_A[silicon[0]]
    edge = np.zeros(len(graph), bool)
    whole = cut_out(graph, edge, core, centre_A, 1)
    assert whole is not None
    second_shell = np.setdiff1d(np.concatenate([graph.neighbours(int(atom)) for atom in core]), core)
    edge[second_shell[0]] = True
    assert cut_out(graph, edge, core, centre_A, 1) is not None
    assert cut_out(graph, edge, core, centre_A, 2) is None
    assert cut_out(graph, np.zeros(len(graph), bool), np.array([0, len(graph) - 1]), centre_A, 0) is None


def test_environment_over_the_edge_of_a_cell_stays_in_one_piece() -> None:
    cell_A = CC_BOND_A * np.array([np.sqrt(3.0), 3.0])
    basis = np.array([[0.0, 0.0], [0.5, 1 / 6], [0.5, 0.5], [0.0, 2 / 3]])
    cells = np.stack(np.meshgrid(np.arange(5), np.arange(4), indexing="ij"), -1).reshape(-1, 1, 2)
    positions_A = ((cells + basis) * cell_A).reshape(-1, 2)
    species = np.full(len(positions_A), "C", dtype="<U2")
    species[0] = "Si"
    graph = bond_graph(positions_A, species, np.diag(cell_A * [5, 4]))
    core = np.sort(np.append(graph.neighbours(0), 0))
    found = cut_out(graph, np.zeros(len(graph), bool), core, positions_A[0], 2)
    assert found is not None
    assert np.linalg.norm(found.positions_A - found.positions_A[found.species == "Si"], axis=1).max() < 3.8
    assert found.canonical.code == _environment("Si on three neighbours", n_shells=2).canonical.code
