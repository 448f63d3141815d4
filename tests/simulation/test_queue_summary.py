"""Counting by axis, grouping failures, picking jobs, slots of a node: pure functions."""

import pytest

from hpcstem.errors import ConfigError, SimulationError
from hpcstem.simulation.packing import GPU_VARIABLES, Slot, own_gpus, own_slots, pinned_slots, plain_slots
from hpcstem.simulation.queue import JobStatus
from hpcstem.simulation.selection import select
from hpcstem.simulation.summary import by_axis, failures


def job(number, state="COMPLETED", failure="", **labels):
    return JobStatus(f"{number:064x}", f"job {number}", "relax", state, "node", 1.0, failure, labels)


JOBS = [
    job(1, temperature_K="900", site="top", sweep="s"),
    job(2, "FIZZLED", "SimulationError: no energy at step 17", temperature_K="900", site="top", sweep="s"),
    job(3, "FIZZLED", "SimulationError: no energy at step 4", temperature_K="300", site="top", sweep="s"),
    job(4, "FIZZLED", "OSError: disk full", temperature_K="300", site="bridge", sweep="s"),
    job(5, "READY", sweep="s"),
]


def test_counts_by_axis():
    rows = [(row.axis, row.value, dict(row.counts)) for row in by_axis(JOBS)]
    assert rows == [
        ("temperature_K", "300", {"FIZZLED": 2}),
        ("temperature_K", "900", {"COMPLETED": 1, "FIZZLED": 1}),
        ("site", "bridge", {"FIZZLED": 1}),
        ("site", "top", {"COMPLETED": 1, "FIZZLED": 2}),
    ]
    assert [(row.value, dict(row.counts)) for row in by_axis(JOBS, ["sweep"])] == [
        ("s", {"READY": 1, "COMPLETED": 1, "FIZZLED": 3})
    ]


def test_failures_that_differ_in_a_number_alone_are_one():
    first, second = failures(JOBS)
    assert (first.n_jobs, first.reason, first.example) == (2, "SimulationError: no energy at step 17", "job 2")
    assert first.where == {"site": "top", "sweep": "s"}
    assert (second.n_jobs, second.where["site"]) == (1, "bridge")


def test_selections():
    query = select(["site=top", "site=bridge", "seed=1"], ["fizzled"], ["0a", "1"]).query()
    assert query == {
        "spec.labels.site": {"$in": ["top", "bridge"]},
        "spec.labels.seed": {"$in": ["1"]},
        "state": {"$in": ["FIZZLED"]},
        "spec.key": {"$regex": "^(0a|1)"},
    }
    assert select().query() == {}
    for wrong, message in (
        ((["site"],), "axis=value"),
        ((["$where=1"],), "axis=value"),
        (([], ["done"]), "state of jobs; got DONE"),
        (([], [], [".*"]), "hexadecimal"),
    ):
        with pytest.raises(ConfigError, match=message):
            select(*wrong)


def test_slots_share_cores_and_gpus():
    slots = pinned_slots(3, [0, 1, 2, 3, 8, 9, 10], ["0", "1"])
    assert [slot.cores for slot in slots] == [(0, 1), (2, 3), (8, 9)]
    assert [slot.gpu for slot in slots] == ["0", "0", "1"]
    assert slots[2].environment == {
        "OMP_NUM_THREADS": "2",
        "OPENBLAS_NUM_THREADS": "2",
        "MKL_NUM_THREADS": "2",
    } | dict.fromkeys(GPU_VARIABLES, "1")
    assert Slot(0).environment["OMP_NUM_THREADS"] == "1"
    assert len(plain_slots(2)) == 2
    with pytest.raises(SimulationError, match="1 to 2, the cores"):
        pinned_slots(3, [4, 5], [])
    with pytest.raises(SimulationError, match="workers"):
        plain_slots(0)


def test_the_scheduler_says_which_gpus():
    assert own_gpus(4, {"ROCR_VISIBLE_DEVICES": "6, 7"}) == ["6", "7"]
    assert own_gpus(2, {}) == ["0", "1"]
    assert [slot.gpu for slot in own_slots(2, False, 0)] == [None, None]
    assert all(len(slot.cores) >= 1 for slot in own_slots(1, True, 0))
