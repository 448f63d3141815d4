"""Pausing, resuming, putting forward, and looking at one job."""

import pytest
from ase.build import molecule

from hpcstem.errors import SimulationError
from hpcstem.simulation.launcher import launch
from hpcstem.simulation.queue import queue_counts, rerun_failed
from hpcstem.simulation.recovery import mend_workflows
from hpcstem.simulation.selection import select
from hpcstem.simulation.settings import NVTSettings, RelaxSettings
from hpcstem.simulation.steering import describe, pause, prioritise, resume
from hpcstem.simulation.workflow import add_relax_nvt

NVT = [NVTSettings(temperature_K=300, n_steps=3)]


def test_paused_jobs_wait_until_they_are_resumed(launchpad, tmp_path):
    held = add_relax_nvt(launchpad, "held", molecule("H2"), RelaxSettings(seed=1), NVT)
    free = add_relax_nvt(launchpad, "free", molecule("H2"), RelaxSettings(seed=2), NVT)
    query = select(keys=[held.relax, free.nvt[0]]).query()
    assert pause(launchpad, query) == 2
    assert pause(launchpad, query) == 0
    # The child of a job that ends stays paused, and so do those whose workflow is looked at.
    mend_workflows(launchpad)
    assert launch(launchpad, tmp_path, workers=1).counts == {"WAITING": 1, "COMPLETED": 1, "PAUSED": 2}
    assert resume(launchpad, {}) == 2
    assert queue_counts(launchpad) == {"WAITING": 1, "READY": 2, "COMPLETED": 1}
    assert launch(launchpad, tmp_path, workers=1).counts == {"COMPLETED": 4}


def test_priorities_change_the_order(launchpad):
    for seed in range(3):
        add_relax_nvt(launchpad, f"h2 {seed}", molecule("H2"), RelaxSettings(seed=seed))
    last = launchpad.fireworks.find_one({"name": "h2 2 relax"})["spec"]["key"]
    assert prioritise(launchpad, select(keys=[last]).query(), 7) == 1
    first = launchpad._get_a_fw_to_run()
    assert first.name == "h2 2 relax"
    # What has been claimed is left alone.
    assert prioritise(launchpad, {}, 9) == 2


def test_all_of_one_job(launchpad, tmp_path):
    good = add_relax_nvt(launchpad, "h2", molecule("H2"), RelaxSettings())
    lame = add_relax_nvt(launchpad, "water", molecule("H2O"), RelaxSettings(max_steps=1), NVT)
    launch(launchpad, tmp_path, workers=1)
    found = describe(launchpad, good.relax[:16])
    assert (found["key"], found["state"]) == (good.relax, "COMPLETED")
    assert found["input"]["settings"]["engine"]["name"] == "gfn1-xtb"
    assert [attempt["state"] for attempt in found["attempts"]] == ["COMPLETED"]
    assert found["result"]["versions"]["hpcstem"]
    assert rerun_failed(launchpad, select(states=["FIZZLED"]).query()) == 1
    launch(launchpad, tmp_path, workers=1)
    found = describe(launchpad, lame.nvt[0])
    assert [attempt["state"] for attempt in found["attempts"]] == ["FIZZLED", "FIZZLED"]
    assert "SimulationError: structure to start from" in found["attempts"][-1]["error"]
    for wrong in ("", "0123456789abcdef"):
        with pytest.raises(SimulationError, match="the beginning of one job's key"):
            describe(launchpad, wrong)
