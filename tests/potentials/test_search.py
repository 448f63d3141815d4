import pytest
from known_motion import BASIS, MOBILITY, SYMBOLS, short_intervals

from hpcstem.errors import StructureError
from hpcstem.execution import SerialExecutor
from hpcstem.potentials.bases import GaussianBasis, SplineBasis
from hpcstem.potentials.equations import ForceEquations
from hpcstem.potentials.search import ranked
from hpcstem.potentials.streaming import InMemory, segments


def test_the_evidence_prefers_functions_that_can_follow_the_well():
    parts = segments(InMemory(short_intervals()[:200]), 8)
    equations = ForceEquations(BASIS, SYMBOLS, 1e-3, "euler", 0, MOBILITY)
    coarse, fine, wide = (
        SplineBasis(1.05, 4.5, 6),
        SplineBasis(1.05, 4.5, 28),
        GaussianBasis(1.05, 4.5, 28, width_A=1.0),
    )
    with SerialExecutor() as executor:
        found = ranked(executor.run, parts, equations, [coarse, wide, fine])
    assert found[0].basis == fine
    assert found[0].log_evidence > found[1].log_evidence + 10


def test_other_cut_offs_are_another_model():
    with SerialExecutor() as executor, pytest.raises(StructureError, match="cut-offs"):
        ranked(executor.run, [], ForceEquations(BASIS, SYMBOLS, 1.0), [BASIS, SplineBasis(1.0, 5.0)])
