"""Adsorbates on sheets: sites, poses, contact, overlap."""

import ase
import numpy as np
import pytest
from ase.build import graphene

from hpcstem.errors import StructureError
from hpcstem.structure.adsorbates import (
    Place,
    Pose,
    SiteKind,
    adsorbate,
    adsorption_energy_eV,
    adsorption_sites,
    choose_site,
    isolated,
    with_adsorbate,
)
from hpcstem.structure.bonds import bond_graph
from hpcstem.structure.cells import make_cell
from hpcstem.structure.defects_library import hole
from hpcstem.structure.graphene import graphene_sheet


@pytest.fixture(scope="module")
def periodic():
    """4 × 4 cells of graphene that repeat: 32 atoms."""
    return graphene(size=(4, 4, 1), vacuum=8.0)


@pytest.fixture(scope="module")
def holed():
    """A patch with a hole, hydrogen at both edges."""
    sheet = graphene_sheet(22, 22)
    graph = hole(bond_graph(sheet.positions[:, :2], np.array(["C"] * len(sheet))), np.array([11.0, 11.0]), 3.2)
    return make_cell(graph.positions_A, graph.species)


def test_sites_of_a_periodic_sheet(periodic):
    counts = {kind: len(adsorption_sites(periodic, kind)) for kind in SiteKind}
    assert counts == {SiteKind.TOP: 32, SiteKind.BRIDGE: 48, SiteKind.HOLLOW: 16}
    # Over the edge of the cell too, a site lies as far from each of its atoms as anywhere else.
    for kind, distance_A in ((SiteKind.BRIDGE, 0.71), (SiteKind.HOLLOW, 1.42)):
        for site in adsorption_sites(periodic, kind):
            probe = periodic + ase.Atoms("He", [site.position_A])
            found = probe.get_distances(-1, site.atoms.tolist(), mic=True)
            assert found == pytest.approx(np.full(len(site.atoms), distance_A), abs=0.01)


@pytest.mark.parametrize(
    ("kind", "height_A", "nearest"),
    [(SiteKind.TOP, 2.15, 1), (SiteKind.BRIDGE, 2.03, 2), (SiteKind.HOLLOW, 1.61, 6)],
)
def test_chromium_touches_the_carbons_of_its_site(periodic, kind, height_A, nearest):
    site = choose_site(periodic, kind, Place.CENTRE)
    placed = with_adsorbate(periodic, adsorbate("Cr"), site)
    assert placed.get_chemical_symbols() == ["C"] * 32 + ["Cr"]
    distances_A = placed.get_distances(-1, range(32), mic=True)
    # 1.39 + 0.76 Å, the sum of the covalent radii; the paper found 2.165 Å.
    assert distances_A[site.atoms] == pytest.approx(np.full(nearest, 2.15), abs=0.01)
    assert placed.positions[-1, 2] - periodic.positions[0, 2] == pytest.approx(height_A, abs=0.02)


def test_poses_of_a_molecule(periodic):
    site = choose_site(periodic, SiteKind.TOP, Place.CENTRE)
    carbon, hydrogen = 32, 33
    heights_A = {}
    for pose in Pose:
        placed = with_adsorbate(periodic, adsorbate("CH"), site, pose)
        axis_A = placed.positions[hydrogen] - placed.positions[carbon]
        assert placed.positions[carbon, :2] == pytest.approx(site.position_A[:2])
        heights_A[pose] = axis_A[2]
    length_A = np.linalg.norm(adsorbate("CH").positions[1] - adsorbate("CH").positions[0])
    assert heights_A == {
        Pose.UP: pytest.approx(length_A),
        Pose.DOWN: pytest.approx(-length_A),
        Pose.SIDE: pytest.approx(0),
    }
    # Planar CH3: its axis is the normal of its plane.
    flat = with_adsorbate(periodic, adsorbate("CH3"), site, Pose.UP)
    assert np.ptp(flat.positions[32:, 2]) < 0.01
    turned = with_adsorbate(periodic, adsorbate("CH3"), site, Pose.UP, azimuth_deg=60.0)
    assert turned.positions[33, :2] != pytest.approx(flat.positions[33, :2])


def test_places_at_a_hole_an_edge_and_a_point(holed):
    middle_A = np.array(holed.cell).sum(axis=0)[:2] / 2
    for kind in SiteKind:
        at_hole = choose_site(holed, kind, Place.HOLE).position_A[:2]
        at_edge = choose_site(holed, kind, Place.EDGE).position_A[:2]
        assert np.linalg.norm(at_hole - middle_A) < 6 < np.linalg.norm(at_edge - middle_A)
        at_point = choose_site(holed, kind, tuple(at_edge)).position_A[:2]
        assert at_point == pytest.approx(at_edge)
    assert set(holed.symbols[choose_site(holed, SiteKind.HOLLOW, Place.HOLE).atoms]) == {"C"}


def test_what_cannot_be_placed_is_refused(periodic, tmp_path):
    site = choose_site(periodic, SiteKind.TOP, Place.CENTRE)
    with pytest.raises(StructureError, match=r"overlaps; got .* apart; wanted a larger height_A"):
        with_adsorbate(periodic, adsorbate("Cr"), site, height_A=0.8)
    narrow = graphene(size=(1, 1, 1), vacuum=8.0)
    with pytest.raises(StructureError, match="overlaps"):
        with_adsorbate(narrow, adsorbate("C6H6"), choose_site(narrow, SiteKind.TOP, Place.CENTRE))
    with pytest.raises(StructureError, match="hole of the sheet; got none"):
        choose_site(periodic, SiteKind.TOP, Place.HOLE)
    with pytest.raises(StructureError, match="outer edge"):
        choose_site(periodic, SiteKind.TOP, Place.EDGE)
    with pytest.raises(StructureError, match="species of an adsorbate; got 'CH9'"):
        adsorbate("CH9")
    (tmp_path / "m.xyz").write_text("nonsense")
    with pytest.raises(StructureError, match="cannot read"):
        adsorbate(tmp_path / "m.xyz")
    with pytest.raises(StructureError, match="binding atom; got 4"):
        with_adsorbate(periodic, adsorbate("CH3"), site, binding=4)


def test_a_molecule_from_a_file_and_alone(tmp_path):
    path = tmp_path / "nh.xyz"
    ase.Atoms("NH", [[0, 0, 0], [0, 0, 1.04]]).write(path)
    alone = isolated(adsorbate(path), vacuum_A=6.0)
    assert alone.get_chemical_symbols() == ["N", "H"]
    assert alone.cell.lengths() == pytest.approx([13.04] * 3)
    assert alone.pbc.all()


def test_a_bound_adsorbate_has_a_positive_energy():
    assert adsorption_energy_eV(-100.0, -10.0, -112.5) == pytest.approx(2.5)
