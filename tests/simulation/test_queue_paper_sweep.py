"""The shipped sweeps run to their end on a small patch: nine temperatures, four constraints, twelve adsorbates."""

import pytest

from hpcstem.config import checked, read_yaml, shipped_file
from hpcstem.simulation.launcher import launch
from hpcstem.simulation.records import adsorption_energies_eV, read_records
from hpcstem.simulation.summary import by_axis
from hpcstem.simulation.sweep import expand
from hpcstem.simulation.sweep_config import Sweep
from hpcstem.simulation.trajectories import analyse, ring_rows
from hpcstem.simulation.workflow import add_trees

SMALL = {"name": "small", "patch": {"atoms": 30, "hole_radius_A": 2.0, "vacuum_A": 4.0}}
# Forces that any structure has, so that relaxations end at once; a few steps of dynamics.
QUICK = {"relax": {"fmax_eV_A": 1e3, "rattle_A": 0.0}, "structures": [SMALL]}


@pytest.mark.slow
def test_the_sweeps_of_the_study_run_to_their_end(launchpad, tmp_path):
    n_jobs = 0
    for name in ("temperature-sweep", "adsorbates"):
        path = shipped_file("workflows", name)
        given = read_yaml(path)
        dynamics = given["dynamics"] | {"n_steps": 1, "timestep_fs": 0.5}
        plan = expand(checked(Sweep, given | QUICK | {"dynamics": dynamics}, name), tmp_path)
        plan.write_structures(tmp_path)
        n_jobs += add_trees(launchpad, list(plan.trees.values()), name).n_new
    status = launch(launchpad, tmp_path, workers=2)
    assert status.counts == {"COMPLETED": n_jobs}
    counted = {(row.axis, row.value): sum(row.counts.values()) for row in by_axis(status.jobs)}
    assert [counted["temperature_K", str(T)] for T in (500, 5000)] == [4, 4]
    assert counted["adsorbate", "Cr"] == 1 + 2 * 3
    assert counted["adsorbate", "CH3"] == 1 + 2 * 3
    records = read_records(launchpad)
    assert len(adsorption_energies_eV(records)) == 3 + 9
    tables = list(analyse(records, tmp_path, {one.key for one in records}))
    # Nine temperatures under four constraints, the bare sheet and twelve with an adsorbate.
    assert len(tables) == 9 * 4 + 1 + 12
    assert {row["size"] for row in ring_rows(tables)} >= {6}
    assert sum("adsorbate" in table for table in tables) == 12
