import importlib

import pytest

from hpcstem.checks import Status
from hpcstem.execution import checks

module = importlib.import_module("hpcstem.execution.checks")


@pytest.fixture(scope="module")
def found():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_TIMEOUT_S", 240)  # a machine that is busy with other tests
        return {check.name: check for check in checks()}


def test_everything_is_looked_at(found):
    names = ["python", "torch", "GPU", "numba", "dask", "MPI", "horovod", "Slurm", "PBS", "LSF", "scratch"]
    assert list(found) == names
    assert all("\n" not in check.detail for check in found.values())


@pytest.mark.parametrize("name", ["python", "torch", "numba", "dask", "scratch"])
def test_what_the_package_needs_works(found, name):
    assert found[name].status == Status.OK, found[name].detail


def test_ranks_talk_where_mpi_is_installed(found):
    pytest.importorskip("mpi4py", reason="mpi4py is not installed: pip install 'hpcstem[mpi]'")
    assert found["MPI"].status == Status.OK, found["MPI"].detail
    assert "2 ranks talk" in found["MPI"].detail


def test_schedulers_are_found_on_path_only(monkeypatch, tmp_path):
    program = tmp_path / "qsub"
    program.write_text("")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert module._scheduler("PBS", "qsub").status == Status.OK
    assert module._scheduler("Slurm", "sbatch").status == Status.ABSENT


def test_a_probe_that_hangs_or_fails_is_broken_with_the_reason(monkeypatch):
    monkeypatch.setattr(module, "_TIMEOUT_S", 0.2)
    assert module._probed("torch", "a fix").detail == "no answer in 0.2 s"
    monkeypatch.setattr(module, "_TIMEOUT_S", 240)
    broken = module._probed("no such probe", "a fix")
    assert (broken.status, broken.fix) == (Status.BROKEN, "a fix")
    assert "KeyError" in broken.detail


def test_a_scratch_folder_that_cannot_be_written_is_broken(tmp_path):
    (tmp_path / "file").touch()
    scratch = module.writes("scratch", tmp_path / "file", "scratch: another folder")
    assert scratch.status == Status.BROKEN
    assert "scratch:" in scratch.fix
