import numpy as np
import pytest
from sheets import bond_at, perfect_sheet, periodic_sheet

from hpcstem.structure.bonds import bond_graph
from hpcstem.structure.defects_library import stone_wales
from hpcstem.structure.geometry import ring_geometry
from hpcstem.structure.rings import find_rings


def test_hexagons_of_a_perfect_sheet():
    positions_A, cell_A = periodic_sheet(5, 3)
    for graph in (perfect_sheet(20.0), bond_graph(positions_A, np.full(len(positions_A), "C"), cell_A)):
        (row,) = ring_geometry(graph, find_rings(graph))
        assert (row.size, row.n_rings) == (6, len(find_rings(graph)))
        assert (row.length_A, row.angle_deg) == pytest.approx((1.42, 120.0))
        assert (row.length_spread_A, row.angle_spread_deg) == pytest.approx((0.0, 0.0), abs=1e-6)


def test_angles_of_polygons_in_the_plane_sum_up():
    sheet = perfect_sheet()
    turned = stone_wales(sheet, bond_at(sheet, (20.0, 20.0)))
    rows = {row.size: row for row in ring_geometry(turned, find_rings(turned))}
    assert {size: row.n_rings for size, row in rows.items() if size != 6} == {5: 2, 7: 2}
    assert rows[5].angle_deg == pytest.approx(108.0, abs=1e-6)
    assert rows[7].angle_deg == pytest.approx(900.0 / 7.0, abs=1e-6)
    assert rows[7].length_spread_A > 0.01
