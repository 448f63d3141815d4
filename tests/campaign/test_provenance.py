"""What made the results is written beside them."""

import hashlib
import importlib.metadata
import json
import platform
import shutil
import socket
import subprocess
from pathlib import Path

import pytest
from small_run import digest, hpcstem, stages, write_campaign

import hpcstem as package


@pytest.fixture(scope="module")
def provenance(finished_run):
    """Provenance of the finished run."""
    return json.loads((finished_run.folder / "provenance.json").read_text())


def test_versions_host_and_seed(provenance):
    assert provenance["hpcstem"] == package.__version__
    assert provenance["python"] == platform.python_version()
    assert provenance["hosts"] == [socket.gethostname()]
    assert provenance["seed"] == 5
    for name in ("numpy", "torch", "tblite", "fireworks", "dask"):
        assert provenance["packages"][name] == importlib.metadata.version(name)


def test_the_commit_is_that_of_the_checkout(provenance):
    root = Path(package.__file__).parents[1]
    if not (root / ".git").exists() or shutil.which("git") is None:
        assert provenance["git"] is None
        return
    commit = subprocess.run(["git", "-C", root, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    assert commit.stdout.startswith(provenance["git"].removesuffix("-dirty")[:7])


def test_the_campaign_and_all_inputs_are_named_by_their_content(finished_run, provenance):
    kept = finished_run.folder / "campaign.yaml"
    assert provenance["campaign_sha256"] == hashlib.sha256(kept.read_bytes()).hexdigest()
    inputs = {entry["path"]: entry["sha256"] for entry in provenance["inputs"]}
    names = {Path(path).name for path in inputs}
    assert {"sheet.h5", "ensemble.json"} <= names
    assert any(name.endswith(".safetensors") for name in names)
    assert {path: digest(Path(path)) for path in inputs} == inputs


def test_all_stages_are_there_with_their_times(provenance):
    found = {entry["name"]: entry for entry in provenance["stages"]}
    names = ["simulate", "frames", "training", "decode", "structure", "kinetics", "potentials", "simulation", "report"]
    assert list(found) == names
    assert {name for name in names if found[name]["status"] == "done"} == set(names) - {"training", "kinetics"}
    nothing = {"seconds": None, "finished": None, "hpcstem": None}
    for name in ("training", "kinetics"):
        assert found[name] == {"name": name, "status": "left out", **nothing}
    assert found["decode"]["seconds"] > 0
    assert found["decode"]["hpcstem"] == package.__version__
    assert provenance["started"] <= found["decode"]["finished"] <= provenance["finished"]


def test_only_the_inputs_of_the_results_are_named(copied_run, tmp_path):
    movie = tmp_path / "other.h5"
    shutil.copy2(copied_run.folder / "movies" / "sheet.h5", movie)
    campaign = write_campaign(tmp_path / "other.yaml", simulate=None, movies=[{"path": str(movie)}], simulation=None)
    done = hpcstem("run", campaign, "--out", copied_run.folder, "--until", "frames", "--json")
    assert stages(done) == {"simulate": "left out", "frames": "done"}
    provenance = json.loads((copied_run.folder / "provenance.json").read_text())
    assert [Path(entry["path"]).name for entry in provenance["inputs"]] == ["other.h5"]
    found = {entry["name"]: entry["status"] for entry in provenance["stages"]}
    assert found["frames"] == "done"
    assert found["decode"] == "not run now"
    assert provenance["hosts"] == [socket.gethostname()]
