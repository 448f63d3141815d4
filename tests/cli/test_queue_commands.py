"""`hpcstem queue`: a sweep from its file to the end, as a person does it."""

import json
import shlex

import pytest
import yaml
from ase.build import molecule
from small_run import hpcstem, run_here  # noqa: F401

from hpcstem.simulation.database import stop_database

SWEEP = {
    "name": "hydrogen",
    "structures": [{"name": "h2", "file": "h2.xyz"}],
    "seeds": [0, 1],
    "relax": {"fmax_eV_A": 0.05},
    "dynamics": {"temperatures_K": [300, 600], "n_steps": 3, "timestep_fs": 0.5},
}


@pytest.fixture
def sweep(tmp_path):
    molecule("H2").write(tmp_path / "h2.xyz")
    path = tmp_path / "hydrogen.yaml"
    path.write_text(yaml.safe_dump(SWEEP))
    return path


@pytest.fixture
def queue(tmp_path):
    folder = tmp_path / "queue"
    yield folder
    if (folder / "database").exists():
        stop_database(folder / "database")


def answer(run_here, *arguments):  # noqa: F811
    status, out, err = run_here("queue", *arguments, "--json")
    assert status == 0, err
    return json.loads(out)


def test_an_engine_of_another_machine_is_queued_by_the_line_that_is_printed(run_here, sweep, queue, monkeypatch):  # noqa: F811
    monkeypatch.setenv("HPCSTEM_VASP_COMMAND", "/nowhere/vasp_std")
    cell = molecule("H2", cell=[20, 20, 20], pbc=True)
    cell.write(sweep.parent / "h2.xyz")
    sweep.write_text(yaml.safe_dump(SWEEP | {"engines": ["vasp"]}))
    status, _, err = run_here("queue", "add", sweep, "--db", queue)
    assert status == 3
    assert "no /nowhere/vasp_std on PATH; wanted `export HPCSTEM_VASP_COMMAND='COMMAND'`" in err
    assert not queue.exists()
    line = err[err.index("hpcstem queue add") :].strip()
    assert answer(run_here, *shlex.split(line)[2:])["new"] == 6


def test_a_sweep_from_its_file_to_the_end(run_here, sweep, queue):  # noqa: F811
    dry = answer(run_here, "add", sweep, "--db", queue, "--dry-run")
    assert (dry["jobs"], dry["axes"]["temperature_K"]) == (6, {"300": 2, "600": 2})
    assert not queue.exists()
    assert answer(run_here, "add", sweep, "--db", queue)["new"] == 6
    assert answer(run_here, "add", sweep, "--db", queue)["new"] == 0
    assert answer(run_here, "pause", "--db", queue, "--where", "seed=1")["paused"] == 3
    # A program of its own, as a batch job starts it.
    done = hpcstem("queue", "launch", "--db", queue, "--slots", 2, "--pin", "--walltime-s", 3600)
    assert done.stdout.splitlines()[0] == "3 COMPLETED, 3 PAUSED"
    assert answer(run_here, "pause", "--db", queue, "--resume")["resumed"] == 3
    assert answer(run_here, "priority", 3, "--db", queue, "--where", "temperature_K=600")["changed"] == 1
    status = answer(run_here, "status", "--db", queue, "--where", "seed=0")
    assert status["counts"] == {"COMPLETED": 3}
    rows = answer(run_here, "status", "--db", queue, "--by", "seed")["axes"]
    assert [(row["value"], row["counts"]) for row in rows] == [
        ("0", {"COMPLETED": 3}),
        ("1", {"WAITING": 2, "READY": 1}),
    ]
    key = status["jobs"][0]["key"]
    shown = answer(run_here, "show", key[:10], "--db", queue)
    assert shown["labels"]["sweep"] == "hydrogen"
    assert shown["result"]["converged"]
    text = run_here("queue", "status", "--db", queue)[1]
    assert text.splitlines()[0] == "2 WAITING, 1 READY, 3 COMPLETED"
    assert "h2 gfn1-xtb none 1 NVT 600 K" in text


def test_a_wrong_sweep_queues_nothing(run_here, sweep, queue):  # noqa: F811
    sweep.write_text(yaml.safe_dump(SWEEP | {"adsorbates": [{"species": ["Xq"]}]}))
    status, _, err = run_here("queue", "add", sweep, "--db", queue)
    assert status == 2
    assert "species of an adsorbate; got 'Xq'" in err
    assert not queue.exists()
    status, _, err = run_here("queue", "add", "no-such-sweep", "--db", queue)
    assert status == 2
    assert "no 'no-such-sweep' among the workflows" in err


def test_batch_jobs_of_a_queue(run_here, sweep, queue, tmp_path):  # noqa: F811
    site = tmp_path / "site.yaml"
    site.write_text("base: polaris\nscheduler: {account: mat100, queue: debug}\n")
    assert run_here("queue", "init", "--db", queue)[0] == 0
    options = ("--db", queue, "--site", site, "--walltime-s", 1800)
    script = answer(run_here, "submit", *options, "--slots", 8, "--dry-run")["script"]
    assert "#PBS -A mat100\n#PBS -q debug\n" in script
    assert "#PBS -l walltime=00:30:00\n" in script
    assert "export http_proxy=http://proxy.alcf.anl.gov:3128\n" in script
    assert f'queue launch --db {queue} --pin --slots 8 --gpus 4 --end-time "$((begin + 1800))"' in script
    for changed, message in (
        (("--nodes", 2), "embedded database; got 2 nodes; it serves one"),
        (("--nodes", 3), "at most 1 to 2 nodes for 3600 s"),
        (("--db", "mongodb://h/d"), "--db of a submission"),
        (("--site", "polaris"), "needs scheduler.account"),
        (("--site", "local"), "has no batch system"),
    ):
        status, _, err = run_here("queue", "submit", *options, *changed, "--dry-run")
        assert status == 2
        assert message in err
    evil = tmp_path / "evil.yaml"
    evil.write_text('base: slurm\nscheduler: {account: "a\\n#SBATCH --uid=0"}\n')
    status, _, err = run_here("queue", "submit", "--db", queue, "--site", evil)
    assert status == 2
    assert "scheduler.account" in err
    assert not (queue / "submitted").exists()
