import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sheets import perfect_sheet, table_of

from hpcstem.atoms import AtomTable
from hpcstem.errors import StructureError
from hpcstem.structure.building import random_graphene
from hpcstem.structure.defects_library import atom_near
from hpcstem.structure.drift import frame_shift_A
from hpcstem.structure.linking import link

GATE_A = 0.7


def movie(seed, sigma_A, n_frames, side_A=30.0, drift_A=0.2, missed=0.02):
    """Table of a noisy, drifting movie and the true identity of each row."""
    rng = np.random.default_rng(seed)
    sheet_A, species = random_graphene(side_A, side_A, rng)
    drifts_A = np.vstack([np.zeros(2), np.cumsum(rng.normal(0.0, drift_A, (n_frames - 1, 2)), axis=0)])
    tables, identities = [], []
    for frame, shift_A in enumerate(drifts_A):
        seen_A = sheet_A + shift_A + rng.normal(0.0, sigma_A, sheet_A.shape)
        kept = (rng.random(len(sheet_A)) > missed) & ((seen_A >= 0.0) & (seen_A <= side_A)).all(axis=1)
        tables.append(table_of(seen_A[kept], species[kept], frame))
        identities.append(np.flatnonzero(kept))
    return AtomTable.concatenate(tables), np.concatenate(identities), drifts_A


def precision_and_recall(table, identity, max_gap):
    def links(labels):
        order = np.lexsort((table.frame, labels))
        label, frame = labels[order], table.frame[order]
        joined = (label[1:] == label[:-1]) & (np.diff(frame) <= max_gap + 1)
        return set(zip(order[:-1][joined].tolist(), order[1:][joined].tolist(), strict=True))

    true, found = links(identity), links(table.track)
    return len(true & found) / len(found), len(true & found) / len(true)


@pytest.mark.parametrize("max_gap", [0, 1, 2])
def test_precision_and_recall_at_a_tenth_of_an_angstrom(max_gap):
    table, identity, _ = movie(3, 0.10, 30, side_A=60.0)
    precision, recall = precision_and_recall(link(table, GATE_A, max_gap), identity, max_gap)
    assert precision >= 0.999
    assert recall >= 0.999


def test_atoms_that_scatter_beyond_the_gate_are_told_apart_by_all_together():
    # A quarter of an ångström per axis: 14 % of the steps are longer than the gate.
    table, identity, _ = movie(3, 0.25, 30, side_A=60.0)
    precision, recall = precision_and_recall(link(table, GATE_A), identity, 1)
    assert precision >= 0.99
    assert recall >= 0.99


@given(seed=st.integers(0, 1000))
@settings(max_examples=10)
def test_row_order_does_not_matter_and_no_track_is_twice_in_a_frame(seed):
    table, _, _ = movie(seed, 0.15, 5, side_A=15.0)
    linked = link(table, GATE_A)
    order = np.random.default_rng(seed).permutation(len(table))
    np.testing.assert_array_equal(link(table[order], GATE_A).track, linked.track[order])
    pairs = np.column_stack([linked.frame, linked.track])
    assert len(np.unique(pairs, axis=0)) == len(pairs)
    assert set(linked.track.tolist()) == set(range(linked.track.max() + 1))


def test_given_drift_is_used():
    table, identity, drifts_A = movie(5, 0.05, 10, drift_A=1.5)
    precision, recall = precision_and_recall(link(table, GATE_A, 0, drifts_A), identity, 0)
    assert (precision, recall) == (1.0, 1.0)
    with pytest.raises(StructureError, match="drift"):
        link(table, GATE_A, 0, drifts_A[:3])


def test_gap_is_closed_up_to_its_limit_only():
    sheet = perfect_sheet(15.0)
    missed = np.arange(len(sheet)) > 0
    seen = [missed if frame in (2, 3) else missed | True for frame in range(6)]
    frames = [table_of(sheet.positions_A[kept], sheet.species[kept], frame) for frame, kept in enumerate(seen)]
    table = AtomTable.concatenate(frames)
    atom = (table.positions_A == sheet.positions_A[0]).all(axis=1)
    assert len(set(link(table, GATE_A, 2).track[atom])) == 1
    assert len(set(link(table, GATE_A, 1).track[atom])) == 2


def test_species_may_change():
    sheet = perfect_sheet(15.0)
    changed = sheet.species.astype("<U2")
    changed[7] = "Si"
    frames = [table_of(sheet.positions_A, species, frame) for frame, species in enumerate((sheet.species, changed))]
    table = AtomTable.concatenate(frames)
    linked = link(table, GATE_A)
    n = len(sheet)
    np.testing.assert_array_equal(linked.track[:n], linked.track[n:])


def test_crowded_atoms_get_the_least_total_cost():
    # The nearest pair (1.0 → 0.9) would leave two links unmade.
    before_A, after_A = np.array([[0.0, 0.0], [1.0, 0.0]]), np.array([[0.45, 0.0], [1.45, 0.0]])
    table = AtomTable.concatenate([table_of(before_A, np.full(2, "C"), 0), table_of(after_A, np.full(2, "C"), 1)])
    assert link(table, 0.6, drift_A=np.zeros((2, 2))).track.tolist() == [0, 1, 0, 1]


def test_movies_share_no_tracks():
    sheet = perfect_sheet(15.0)
    tables = [table_of(sheet.positions_A, sheet.species, f, movie=m) for m in ("b", "a") for f in range(2)]
    linked = link(AtomTable.concatenate(tables), GATE_A)
    assert not set(linked.track[linked.movie == "a"]) & set(linked.track[linked.movie == "b"])
    assert linked.track.max() == 2 * len(sheet) - 1


def test_gate_beyond_half_the_neighbour_distance_names_both():
    sheet = perfect_sheet(20.0)
    with pytest.raises(StructureError, match=r"0\.8 Å, with neighbours at 1\.420 Å.*0\.710 Å"):
        link(table_of(sheet.positions_A, sheet.species), 0.8)
    with pytest.raises(StructureError, match="positive"):
        link(table_of(sheet.positions_A, sheet.species), 0.0)
    with pytest.raises(StructureError, match="0 or more"):
        link(table_of(sheet.positions_A, sheet.species), 0.5, -1)
    assert len(link(AtomTable.empty(), 0.7)) == 0


@given(x=st.floats(-0.6, 0.6), y=st.floats(-0.6, 0.6), seed=st.integers(0, 100))
@settings(max_examples=20)
def test_small_shift_is_found(x, y, seed):
    rng = np.random.default_rng(seed)
    sheet = perfect_sheet(30.0, rng.uniform(0.0, 1.0))
    after_A = sheet.positions_A + np.array([x, y]) + rng.normal(0.0, 0.05, sheet.positions_A.shape)
    if np.hypot(x, y) < 0.6:
        shift_A = frame_shift_A(sheet.positions_A, sheet.species, after_A, sheet.species, GATE_A)
        np.testing.assert_allclose(shift_A, [x, y], atol=0.03)


def test_silicon_tells_a_lattice_vector_from_none():
    sheet = perfect_sheet(40.0, 0.0)
    lattice_A = np.array([1.42 * np.sqrt(3.0), 0.0])
    species = sheet.species.astype("<U2")
    after_A = sheet.positions_A + lattice_A
    shift_A = frame_shift_A(sheet.positions_A, species, after_A, species, GATE_A)
    np.testing.assert_allclose(shift_A, 0.0, atol=1e-6)
    species[np.linalg.norm(sheet.positions_A - [20.0, 20.0], axis=1) < 1.5] = "Si"
    assert (species == "Si").sum() >= 3
    shift_A = frame_shift_A(sheet.positions_A, species, after_A, species, GATE_A)
    np.testing.assert_allclose(shift_A, lattice_A, atol=1e-6)


@pytest.mark.parametrize("hopping", [1, 2])
@pytest.mark.parametrize("staying", [0, 2])
def test_silicon_that_hops_alike_is_no_drift(hopping, staying):
    sheet = perfect_sheet(40.0, 0.0)
    before, after = sheet.species.astype("<U2"), sheet.species.astype("<U2")
    for k in range(hopping + staying):
        site = atom_near(sheet, np.array([8.0 + 7.0 * k, 20.0]))
        step = np.array([1.42 * np.sqrt(3.0), 0.0]) if k < hopping else np.zeros(2)
        before[site] = "Si"
        after[atom_near(sheet, sheet.positions_A[site] + step)] = "Si"
    shift_A = frame_shift_A(sheet.positions_A, before, sheet.positions_A, after, GATE_A)
    np.testing.assert_allclose(shift_A, 0.0, atol=1e-6)
