"""One trajectory over several batch jobs of a real Slurm, that end before their time limit or are cancelled."""

import json
import sys
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from ase.build import molecule
from slurm_cluster import wait_until
from small_run import command

from hpcstem.simulation.database import stop_database
from hpcstem.simulation.launchpad import open_launchpad
from hpcstem.simulation.queue import queue_counts
from hpcstem.simulation.segments import read_segments

MOST_JOBS = 5
"""On a machine so busy that a job of a minute ends before its first checkpoint, another one is submitted."""


@pytest.fixture
def queue(slurm):
    folder = slurm.base / "work" / "queue"
    molecule("H2").write(slurm.base / "work" / "h2.xyz")
    # So many steps that no job comes to their end.
    dynamics = {"temperatures_K": [300], "n_steps": 10**7, "timestep_fs": 0.5, "settings": {"trajectory_steps": 1000}}
    sweep = {"name": "long", "structures": [{"name": "h2", "file": "h2.xyz"}], "dynamics": dynamics}
    (slurm.base / "work" / "long.yaml").write_text(yaml.safe_dump(sweep))
    (slurm.base / "work" / "site.yaml").write_text("base: slurm\n")
    slurm.run(*command("queue", "add", "long.yaml", "--db", folder))
    yield folder
    slurm.cancel_all()
    stop_database(folder / "database")


def submit(slurm, queue, walltime_s):
    options = ("--site", "site.yaml", "--walltime-s", walltime_s, "--slots", 1, "--json")
    (job,) = json.loads(slurm.run(*command("queue", "submit", "--db", queue, *options)))["jobs"]
    return job["number"], Path(job["script"]).with_suffix(".log")


def dynamics_folder(queue):
    launchpad = open_launchpad(queue / "database", 15.0)
    counts = launchpad.patiently(lambda: queue_counts(launchpad))
    key = launchpad.fireworks.find_one({"spec.labels.temperature_K": "300"})["spec"]["key"]
    return counts, queue / "jobs" / key


def test_a_trajectory_goes_on_in_the_next_batch_job(slurm, queue):
    segments = []
    for _ in range(MOST_JOBS):
        number, log = submit(slurm, queue, 60)
        wait_until(lambda number=number: number not in slurm.alive(), "the job has ended")
        assert slurm.jobs()[number] == "COMPLETED", log.read_text()
        counts, folder = dynamics_folder(queue)
        segments = read_segments(folder) if folder.exists() else []
        if segments and segments[-1].last_step > 0:
            break
    # It stopped by itself, and its job can be taken by the next.
    assert counts == {"READY": 1, "COMPLETED": 1}
    assert segments[-1].ended == "time limit"
    done = segments[-1].last_step
    assert done > 0

    number, _ = submit(slurm, queue, 1800)
    energies = folder / "energies.csv"

    def has_gone_on():
        last = energies.read_text().splitlines()[-1].split(",")[0]
        return last.isdigit() and int(last) > done + 100

    wait_until(has_gone_on, "the next job has gone on")
    slurm.run("scancel", "--signal=TERM", number)
    wait_until(lambda: number not in slurm.alive(), "the job has ended at SIGTERM")
    counts, _ = dynamics_folder(queue)
    assert counts == {"READY": 1, "COMPLETED": 1}
    last = read_segments(folder)[-1]
    assert (last.first_step, last.ended) == (done, "terminated")
    steps = [int(line.split(",")[0]) for line in energies.read_text().splitlines()[1:]]
    assert steps[: last.last_step + 1] == list(range(last.last_step + 1))


N_VASP_STEPS, N_CANCELLED = 20, 4
STANDIN = Path(__file__).parents[1] / "standins" / "vasp_std.py"


def write_program(path, faults):
    path.write_text(f"#!/bin/sh\nexport VASP_STANDIN='{json.dumps(faults)}'\nexec {sys.executable} {STANDIN}\n")
    path.chmod(0o755)


@pytest.fixture
def vasp_queue(slurm):
    """Benzene, H on it, and dynamics without H, by a stand-in for VASP that waits after 4 steps of dynamics."""
    if find_spec("custodian") is None:
        pytest.skip("pip install 'hpcstem[vasp]'")
    work = slurm.base / "work"
    for name in ("C", "H"):
        potcar = work / "potcars" / name / "POTCAR"
        potcar.parent.mkdir(parents=True)
        potcar.write_text(f"  PAW_PBE {name} 01Jan2000\n")
    write_program(work / "vasp_std", {"hang_after": 4, "only_dynamics": True})
    engines = {"vasp_std": str(work / "vasp_std"), "potcar_library": str(work / "potcars")}
    (work / "site.yaml").write_text(yaml.safe_dump({"base": "slurm", "engines": engines}))
    benzene = molecule("C6H6", cell=[10, 10, 10], pbc=True)
    benzene.center()
    benzene.write(work / "benzene.xyz")
    sweep = {
        "name": "cancelled",
        "structures": [{"name": "benzene", "file": "benzene.xyz"}],
        "engines": [{"name": "vasp", "k_points": [1, 1, 1]}],
        "relax": {"fmax_eV_A": 0.05},
        "adsorbates": [{"species": ["H"], "sites": ["top"]}],
        "dynamics": {"temperatures_K": [300], "n_steps": N_VASP_STEPS, "timestep_fs": 0.5},
    }
    (work / "cancelled.yaml").write_text(yaml.safe_dump(sweep))
    folder = work / "vasp-queue"
    slurm.run(*command("queue", "add", "cancelled.yaml", "--db", folder, "--elsewhere"))
    yield folder
    slurm.cancel_all()
    stop_database(folder / "database")


def test_vasp_goes_on_over_five_batch_jobs_of_which_four_are_cancelled(slurm, vasp_queue):
    for cancelled in range(1, N_CANCELLED + 1):
        number, _ = submit(slurm, vasp_queue, 1800)
        wait_until(lambda n=cancelled: list(vasp_queue.glob(f"jobs/*/segments/{n:04d}/hanging")), "dynamics wait")
        # Slurm tells all processes of the job, VASP among them, which ends at once.
        slurm.run("scancel", number)
        wait_until(lambda number=number: number not in slurm.alive(), "the job has ended")
    write_program(slurm.base / "work" / "vasp_std", {})
    number, log = submit(slurm, vasp_queue, 1800)
    wait_until(lambda: number not in slurm.alive(), "the last job has ended")
    assert slurm.jobs()[number] == "COMPLETED", log.read_text()
    counts, folder = dynamics_folder(vasp_queue)
    assert counts == {"COMPLETED": 4}
    segments = read_segments(folder)
    steps = range(0, N_VASP_STEPS + 1, 4)
    assert [(one.first_step, one.last_step) for one in segments] == list(pairwise(steps))
    assert [one.ended for one in segments] == ["terminated"] * N_CANCELLED + ["finished"]
    lines = (folder / "energies.csv").read_text().splitlines()[1:]
    assert [int(line.split(",")[0]) for line in lines] == list(range(N_VASP_STEPS))
    slurm.run(*command("queue", "analyse", "--db", vasp_queue, "--out", "analysis"))
    (bound,) = json.loads((slurm.base / "work" / "analysis" / "analysis.json").read_text())["adsorption"]
    assert 0.5 < bound["adsorption_energy_eV"] < 4
    assert not list(vasp_queue.rglob("POTCAR"))
