import pytest
from known_motion import BASIS, MOBILITY, SYMBOLS, short_intervals

from hpcstem.errors import StructureError
from hpcstem.execution import SerialExecutor
from hpcstem.potentials.bases import GaussianBasis, SplineBasis
from hpcstem.potentials.equations import ForceEquations
from hpcstem.potentials.search import ranked
from hpcstem.potentials.settings import FitSettings
from hpcstem.potentials.streaming import InMemory, segments
from hpcstem.potentials.study import fit


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


def test_a_fit_tries_the_bases_that_its_settings_name():
    settings = FitSettings(
        interval_s=1e-3, mobility=MOBILITY, estimator="euler", low_A=1.05, cutoff_A=4.5, blocks=8,
        basis="gaussians", functions=24, width_A=1.0, search_width_A=(0.15,), search_repulsion_radius_A=(1.3,),
    )  # fmt: skip
    assert len(settings.make_bases()) == 4
    with SerialExecutor() as executor:
        study = fit(executor.run, InMemory(short_intervals()[:100]), settings)
    assert study.potential.basis.width_A == 0.15


def test_other_cut_offs_are_another_model():
    with SerialExecutor() as executor, pytest.raises(StructureError, match="cut-offs"):
        ranked(executor.run, [], ForceEquations(BASIS, SYMBOLS, 1.0), [BASIS, SplineBasis(1.0, 5.0)])
