from pathlib import Path

import pytest

from hpcstem.errors import ConfigError
from hpcstem.execution import DaskExecutor, MPIExecutor, SerialExecutor, Site, load_site, make_executor


def written(tmp_path, text):
    file = tmp_path / "here.yaml"
    file.write_text(text)
    return file


def test_the_shipped_local_site_says_the_defaults():
    assert load_site("local") == Site()


def test_a_site_file_of_ones_own(tmp_path):
    site = load_site(written(tmp_path, "executor: serial\nworkers: 3\nscratch: /scratch/me\n"))
    assert site == Site(executor="serial", workers=3, scratch=Path("/scratch/me"))
    assert load_site(str(tmp_path / "here.yaml")) == site


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("workrs: 2", "unknown key workrs; did you mean 'workers'?"),
        ("zzz: 2", "unknown key zzz; known keys: executor, workers"),
        ("executor: spark", "executor: Input should be 'serial', 'dask' or 'mpi', got 'spark'"),
        ("workers: 0", "workers: Input should be greater than or equal to 1, got 0"),
        ("workers: two", "workers: Input should be a valid integer, got 'two'"),
        ("memory_per_worker_GB: -1", "memory_per_worker_GB: Input should be greater than 0, got -1"),
        ("- a list", "got list"),
        ("", "got NoneType"),
        ("a: [", "is not YAML"),
        ("executor: !!python/object/apply:os.getcwd []", "is not YAML"),
    ],
)
def test_a_mistake_is_named_with_what_to_write(tmp_path, text, message):
    with pytest.raises(ConfigError) as error:
        load_site(written(tmp_path, text))
    assert message in str(error.value)


def test_an_unknown_site_lists_the_known(tmp_path):
    with pytest.raises(ConfigError, match=r"no 'frontyer' among the site-configs; wanted .* one of: .*local"):
        load_site("frontyer")
    with pytest.raises(ConfigError, match="No such file"):
        load_site(tmp_path / "absent.yaml")


def test_the_site_chooses_the_executor(tmp_path):
    assert isinstance(make_executor(Site(executor="serial")), SerialExecutor)
    with make_executor(Site(workers=4, threads_per_worker=2, scratch=tmp_path), n_workers=1) as executor:
        assert isinstance(executor, DaskExecutor)
        assert executor.workers == 2
        assert list(tmp_path.iterdir())


def test_the_site_chooses_mpi():
    pytest.importorskip("mpi4py", reason="mpi4py is not installed: pip install 'hpcstem[mpi]'")
    with make_executor(Site(executor="mpi")) as executor:
        assert isinstance(executor, MPIExecutor)
        assert executor.workers == 1
