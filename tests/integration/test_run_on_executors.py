"""Serial, Dask and MPI give the same files."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from small_run import atoms, command, digest, environment, hpcstem, site, write_campaign

from hpcstem.errors import ExecutionError
from hpcstem.execution import mpiexec_command

RDF_TOLERANCE = 1e-12


@pytest.fixture(scope="module")
def mpiexec():
    """Beginning of a command line that starts ranks; skips where there is no MPI."""
    if importlib.util.find_spec("mpi4py") is None:
        pytest.skip("mpi4py is not installed: pip install 'hpcstem[mpi]'")
    try:
        mpiexec_command(1)
    except ExecutionError as error:
        pytest.skip(str(error))
    return mpiexec_command


def test_one_process_gives_the_atoms_and_the_rdf_of_dask(finished_run, tmp_path):
    campaign = write_campaign(tmp_path / "c.yaml", site=str(site(tmp_path / "site.yaml", "serial")))
    # What the environment says of threads makes no difference.
    before = ["env", "OMP_NUM_THREADS=2"]
    hpcstem("run", campaign, "--out", tmp_path / "run", "--until", "potentials", before=before)
    assert len(atoms(finished_run.folder)) == 3
    assert atoms(tmp_path / "run") == atoms(finished_run.folder)
    one, other = (np.load(run / "potentials" / "rdf.npz") for run in (finished_run.folder, tmp_path / "run"))
    assert set(one) == set(other)
    assert one["g_C-C"].max() > 2
    for name in one:
        np.testing.assert_allclose(other[name], one[name], rtol=RDF_TOLERANCE, atol=0, err_msg=name)


@pytest.mark.parametrize("n_ranks", [1, 3])
def test_any_number_of_ranks_gives_the_same_atoms(mpiexec, finished_run, tmp_path, n_ranks):
    script = Path(__file__).with_name("decode_ranks.py")
    run = tmp_path / "run"
    done = subprocess.run(
        [*mpiexec(n_ranks), sys.executable, script, finished_run.folder / "movies" / "sheet.h5", run],
        capture_output=True,
        text=True,
        timeout=240,
        env=environment() | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"ranks": n_ranks, "frames": 3}
    wanted = atoms(finished_run.folder)
    assert {path.name: digest(path) for path in (run / "atoms").iterdir()} == wanted


def under_ranks(mpiexec, n_ranks, *words):
    """A run of the command by several ranks."""
    return subprocess.run(
        [*mpiexec(n_ranks), *command("run", *words)], capture_output=True, text=True, timeout=240, env=environment()
    )


def test_several_ranks_of_one_campaign_are_refused_where_the_site_has_none(mpiexec, tmp_path):
    campaign = write_campaign(tmp_path / "c.yaml", site=str(site(tmp_path / "site.yaml", "dask")))
    done = under_ranks(mpiexec, 2, campaign, "--out", tmp_path / "run")
    assert done.returncode != 0
    assert "got one of 2 that mpiexec or srun started; wanted the same command without mpiexec" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()


def test_ranks_run_a_campaign_and_one_of_them_conducts(mpiexec, finished_run, tmp_path):
    run = tmp_path / "run"
    campaign = write_campaign(
        tmp_path / "c.yaml", site=str(site(tmp_path / "site.yaml", "mpi")), kinetics={"min_count": 1000}
    )
    words = [campaign, "--out", run, "--until", "potentials", "--json"]
    done = under_ranks(mpiexec, 2, *words)
    assert done.returncode == 0, done.stderr
    # One document: the other ranks say nothing.
    statuses = {stage["name"]: stage["status"] for stage in json.loads(done.stdout)["stages"]}
    assert statuses["kinetics"] == statuses["potentials"] == "done"
    assert atoms(run) == atoms(finished_run.folder)
    one, other = (np.load(folder / "potentials" / "rdf.npz") for folder in (finished_run.folder, run))
    assert {name: one[name].tobytes() for name in one} == {name: other[name].tobytes() for name in other}

    # An error of the conducting rank ends all of them, with its message alone.
    (run / "stages" / "potentials.json").write_text("{}")
    done = under_ranks(mpiexec, 2, *words)
    assert done.returncode != 0
    assert done.stdout == ""
    assert done.stderr.count("potentials.json is no record of a stage") == 1
    assert "Traceback" not in done.stderr


def test_a_batch_job_of_several_tasks_may_run_a_campaign(tmp_path):
    """Its script is one process, although SLURM_NTASKS tells of many."""
    campaign = write_campaign(tmp_path / "c.yaml")
    done = subprocess.run(
        command("run", campaign, "--out", tmp_path / "run", "--until", "simulate"),
        capture_output=True,
        text=True,
        timeout=300,
        env=environment() | {"SLURM_NTASKS": "8"},
    )
    assert done.returncode == 0, done.stderr
