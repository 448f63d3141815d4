"""Sheets over time: rings, events, holes, and adsorbates that move, on trajectories of known truth."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import graphene

from hpcstem.errors import StructureError
from hpcstem.structure.adsorbate_motion import adsorbate_motion
from hpcstem.structure.adsorbates import Place, SiteKind, adsorbate, adsorption_sites, choose_site, with_adsorbate
from hpcstem.structure.bonds import bond_graph
from hpcstem.structure.defects_library import atom_near, hole, stone_wales
from hpcstem.structure.graphene import graphene_sheet
from hpcstem.structure.history import sheet_history

MIDDLE_A = np.array([13.0, 13.0])


@pytest.fixture(scope="module")
def flat():
    """Graph of a patch without defects."""
    sheet = graphene_sheet(26, 26)
    return bond_graph(sheet.positions[:, :2], np.array(["C"] * len(sheet)))


def atoms_of(graph):
    return Atoms(graph.species.tolist(), np.column_stack([graph.positions_A, np.full(len(graph), 5.0)]))


def test_a_bond_that_turns_is_a_stone_wales_event(flat):
    atom = atom_near(flat, MIDDLE_A)
    turned = stone_wales(flat, int(np.flatnonzero((flat.edges == atom).any(axis=1))[0]))
    before, after = atoms_of(flat), atoms_of(turned)
    history = sheet_history([before, before, after, after, before])
    assert history.n_stone_wales.tolist() == [0, 0, 1, 1, 0]
    assert history.stone_wales_frames.tolist() == [2]
    change = history.ring_counts[2] - history.ring_counts[0]
    assert change.tolist() == [2, -4, 2, 0]
    # Two bonds go to other atoms; that they are missing for two frames in a row makes it no vibration.
    assert history.n_broken.tolist() == [0, 0, 2, 2, 0]
    assert history.n_made.tolist() == [0, 0, 2, 2, 0]
    assert history.first_broken_frame == 2
    assert sheet_history([before, after, before]).first_broken_frame is None


def test_a_hole_that_closes_has_healed(flat):
    holed = atoms_of(hole(flat, MIDDLE_A, 3.2))
    n = len(holed)
    missing = [p for p in atoms_of(flat).positions if (np.linalg.norm(holed.positions - p, axis=1) > 0.5).all()]
    away = holed + Atoms("C" * len(missing), np.add(missing, (0, 0, 8.0)))
    closed = holed + Atoms("C" * len(missing), missing)
    assert len(closed) == len(flat)
    history = sheet_history([away, closed])
    assert history.largest_hole[0] > 12
    assert history.healed == 1.0
    assert n < len(away)
    assert sheet_history([atoms_of(flat)]).healed is None


def test_bond_lengths_and_angles_by_ring_size_over_the_second_half(flat):
    wide = atoms_of(flat)
    wide.positions[:, :2] *= 1.1
    (row,) = sheet_history([wide, wide, atoms_of(flat), atoms_of(flat)]).geometry
    assert (row.size, row.length_A, row.angle_deg) == (6, pytest.approx(1.42, abs=0.005), pytest.approx(120))
    (row,) = sheet_history([atoms_of(flat), wide, atoms_of(flat)]).geometry
    assert row.length_A == pytest.approx(1.42 * 1.05, abs=0.005)
    assert row.length_spread_A == pytest.approx(1.42 * 0.05, abs=0.005)


def test_no_frames_have_no_history():
    with pytest.raises(StructureError, match="frames of a trajectory"):
        sheet_history([])


def test_an_adsorbate_that_hops_over_the_edge_of_a_periodic_cell():
    sheet = graphene(size=(4, 4, 1), vacuum=8.0)
    sheet.pbc = True
    top = with_adsorbate(sheet, adsorbate("Cr"), choose_site(sheet, SiteKind.TOP, Place.CENTRE))
    bridge = with_adsorbate(sheet, adsorbate("Cr"), choose_site(sheet, SiteKind.BRIDGE, Place.CENTRE))
    far = bridge.copy()
    far.positions[-1] += sheet.cell[0]
    members = np.arange(len(sheet))
    motion = adsorbate_motion([top, bridge, far], len(sheet), members, 10.0)
    assert motion.sites == (SiteKind.TOP, SiteKind.BRIDGE, SiteKind.BRIDGE)
    assert motion.height_A == pytest.approx([2.15, 2.03, 2.03], abs=0.02)
    assert motion.nearest_A == pytest.approx([2.15] * 3, abs=0.01)
    assert motion.diffusion_A2_ps is None
    with pytest.raises(StructureError, match="an atom beside the sheet"):
        adsorbate_motion([top], 3, members, 10.0)


def test_diffusion_of_a_random_walk_relative_to_a_sheet_that_drifts():
    sheet = graphene(size=(4, 4, 1), vacuum=8.0)
    start = with_adsorbate(sheet, adsorbate("H"), adsorption_sites(sheet, SiteKind.TOP)[0])
    steps = np.random.default_rng(2).normal(0.0, 0.1, (400, 2))
    frames = []
    for k, walked in enumerate(np.cumsum(steps, axis=0)):
        frame = start.copy()
        frame.positions[-1, :2] += walked
        frame.positions[:, 0] += 0.05 * k
        frames.append(frame)
    motion = adsorbate_motion(frames, len(sheet), np.arange(len(sheet)), 10.0)
    # ⟨Δx²⟩ of one axis is 0.01 Å² per 10 fs.
    assert motion.diffusion_A2_ps == pytest.approx(0.01 / (2 * 0.01), rel=0.5)
