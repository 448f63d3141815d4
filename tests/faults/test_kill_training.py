"""SIGTERM, as at the end of an allocation, leaves checkpoints and no process."""

import signal

import pytest
import yaml
from killing import descendants, started, wait_for, wait_until_gone

ENDLESS = {
    "recipe": {"n_pixels": 32, "electrons_per_carbon": [2000, 4000]},
    "n_samples": 8,
    "n_validation": 4,
    "members": 1,
    "filters": 2,
    "layers": [1] * 7,
    "steps": 1_000_000,
    "batch_size": 2,
}


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "endless.yaml"
    path.write_text(yaml.safe_dump(ENDLESS))
    return path


def test_training_in_one_process_ends_with_a_checkpoint(config, tmp_path):
    folder = tmp_path / "model"
    with started("train", config, "--out", folder) as program:
        wait_for(lambda: (folder / "training-set" / "training-set.json").exists(), program)
        program.send_signal(signal.SIGTERM)
        _, err = program.communicate(timeout=300)
    assert program.returncode == 143
    assert err.strip().splitlines()[-1].startswith("hpcstem: stopped as asked after step ")
    assert (folder / "member-00.checkpoint").is_file()
    assert not list(folder.rglob("*.tmp"))


def test_placed_training_ends_with_its_ranks(config, tmp_path):
    site = tmp_path / "one.yaml"
    site.write_text("executor: dask\nworkers: 1\n")
    with started("train", config, "--out", tmp_path / "model", "--site", site) as program:
        wait_for(lambda: descendants(program, "training_rank"), program)
        ranks = descendants(program, "training_rank")
        program.send_signal(signal.SIGTERM)
        _, err = program.communicate(timeout=300)
    assert program.returncode == 143, err
    assert "Traceback" not in err
    wait_until_gone(ranks)
