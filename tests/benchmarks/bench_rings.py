"""Time to find the rings of a sheet of two thousand atoms, beside matscipy on the same sheet; and to draw a sheet.

Not collected by a normal run. Run it by name, on a quiet machine, one thread:

    OMP_NUM_THREADS=1 pytest tests/benchmarks/bench_rings.py --benchmark-only

Compare the ratio of one run, not the times of two: the speed of a shared machine drifts.
"""

import ase
import numpy as np
import pytest

from hpcstem.structure.bonds import BondGraph, bond_graph
from hpcstem.structure.building import random_graphene
from hpcstem.structure.rings import LARGEST_RING, find_rings

pytestmark = pytest.mark.benchmark(group="rings of 2,000 atoms")


@pytest.fixture(scope="module")
def graph() -> BondGraph:
    """A sheet with defects, open at its edges."""
    return bond_graph(*random_graphene(66.0, 66.0, np.random.default_rng(3)))


def test_hpcstem(benchmark, graph):
    assert find_rings(graph).planar
    benchmark(lambda: find_rings(BondGraph(graph.positions_A, graph.species, graph.edges)))


def test_matscipy(benchmark, graph):
    rings = pytest.importorskip("matscipy.rings", reason="matscipy is the reference")
    positions_A = np.column_stack([graph.positions_A, np.zeros(len(graph))])
    cell_A = np.append(positions_A.max(axis=0)[:2] + 10.0, 20.0)
    sheet = ase.Atoms("C" * len(graph), positions=positions_A, cell=cell_A, pbc=True)
    benchmark(lambda: rings.ring_statistics(sheet, 1.9, maxlength=LARGEST_RING))


@pytest.mark.benchmark(group="drawing a random sheet of 40 Å")
def test_a_random_sheet(benchmark):
    seeds = iter(range(10**6))
    benchmark(lambda: random_graphene(40.0, 40.0, np.random.default_rng(next(seeds))))
