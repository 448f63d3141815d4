"""A study from its YAML file to its figures: what it finds, what it refuses, and that it goes on after a kill."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from click.testing import CliRunner

from hpcstem.cli.latent import command
from hpcstem.config import shipped_file
from hpcstem.errors import ConfigError, HpcstemError
from hpcstem.files import read_json
from hpcstem.latent.models import load_model
from hpcstem.latent.study_config import load_study

STUDY = {
    "name": "small",
    "seed": 5,
    "simulate": {
        "n_frames": 2,
        "n_pixels": 240,
        "grains_deg": [5, 27],
        "hole_radius_A": 4,
        "events_per_frame": 5,
        "n_silicon": 1,
    },
    "source": "frames",
    "windows": [{"half_width_A": 2.4, "n_pixels": 16}],
    "unmix": {"methods": ["gmm", "nmf"], "n_components": 4},
    "autoencoder_training": {"epochs": 1, "learning_rate": 0.002},
    "training": {"epochs": 8, "learning_rate": 0.002},
}
FOLDER = "window-02.40A"


def _written(folder: Path, study: dict) -> Path:
    folder.mkdir(exist_ok=True, parents=True)
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(study), encoding="utf-8")
    (folder / "serial.yaml").write_text("executor: serial\n", encoding="utf-8")
    return path


def _run(folder: Path, study: dict, *options: str):
    path = _written(folder, study)
    arguments = ["run", str(path), "--out", str(folder / "out"), "--site", str(folder / "serial.yaml"), *options]
    return CliRunner().invoke(command, arguments, catch_exceptions=False)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    done = _run(folder, STUDY)
    assert done.exit_code == 0
    assert "right sublattice" in done.output
    return folder / "out"


def test_angle_tells_sublattices_and_grains_apart(finished: Path) -> None:
    (window,) = read_json(finished / "latent.json")["windows"]
    found = window["against_bonds"]
    assert found["angle_resultant"] > 0.95
    assert found["right_sublattice"] > 0.98
    assert found["right_grain"] > 0.95
    # Components of the mixture are each other, turned; those of the rotational one are not turned at all.
    alike = window["structural_similarity"]
    assert alike["gmm"]["best_turn"] > alike["gmm"]["as_they_are"] + 0.2


def test_every_sub_image_has_its_latents(finished: Path) -> None:
    (window,) = read_json(finished / "latent.json")["windows"]
    table = pq.read_table(finished / FOLDER / "latents.parquet").to_pydict()
    assert len(table["angle_rad"]) == window["n_sub_images"]
    assert {"shift_x_A", "content_0", "content_1_deviation", "autoencoder_1", "mixture"} <= table.keys()
    assert np.isfinite(table["negative_elbo"]).all()
    model = load_model(finished / FOLDER, "rotational")
    again = model.encode(torch.from_numpy(np.load(finished / FOLDER / "movie-000-frame-00000.npy")))
    assert np.allclose(again.content[:, 0], table["content_0"][: len(again.content)], atol=1e-5)


def test_figures_are_drawn(finished: Path) -> None:
    names = {path.name for path in (finished / "figures").iterdir()}
    expected = ("comparison", "distributions", "loss", "maps", "mixtures", "similarity", "unmixed-gmm", "unmixed-nmf")
    assert names == {f"{FOLDER}-{name}.png" for name in expected}
    for name in names:
        assert (finished / "figures" / name).read_bytes().startswith(b"\x89PNG")


def test_a_finished_study_is_not_done_again(finished: Path) -> None:
    kept = [*finished.glob(f"{FOLDER}/*.npy"), *finished.glob(f"{FOLDER}/*.safetensors"), finished / "movie.npy"]
    before = {path: path.stat().st_mtime_ns for path in kept}
    latent = (finished / "latent.json").read_bytes()
    assert _run(finished.parent, STUDY).exit_code == 0
    assert {path: path.stat().st_mtime_ns for path in kept} == before
    assert (finished / "latent.json").read_bytes() == latent


def test_folder_of_another_study_is_refused(finished: Path) -> None:
    with pytest.raises(HpcstemError, match="another study"):
        _run(finished.parent, STUDY | {"seed": 6})


def test_killed_in_training_it_ends_as_if_it_had_not_been(finished: Path, tmp_path: Path) -> None:
    endless = STUDY | {"training": STUDY["training"] | {"epochs": 100000, "patience": 100000}}
    path = _written(tmp_path, endless)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    arguments = ["latent", "run", str(path), "--out", str(tmp_path / "out"), "--site", str(tmp_path / "serial.yaml")]
    script = "import sys; from hpcstem.cli import main; sys.argv = ['hpcstem', *sys.argv[1:]]; main()"
    # It cannot end by itself before it is killed.
    program = subprocess.Popen([sys.executable, "-c", script, *arguments], env=environment)
    checkpoint = tmp_path / "out" / FOLDER / "rotational.safetensors"
    deadline = time.monotonic() + 180
    while not checkpoint.exists():
        assert program.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    program.send_signal(signal.SIGKILL)
    program.wait()
    # What was made before the kill is that of the whole study, to the last bit.
    for name in ("movie.npy", f"{FOLDER}/movie-000-frame-00001.npy", f"{FOLDER}/autoencoder.safetensors"):
        assert (tmp_path / "out" / name).read_bytes() == (finished / name).read_bytes()
    loaded = load_model(tmp_path / "out" / FOLDER, "rotational")
    assert loaded.n_pixels == 16


def test_decoded_movie_gives_the_same_sub_images(finished: Path, tmp_path: Path) -> None:
    quick = {"autoencoder_training": {"epochs": 1}, "training": {"epochs": 1}, "unmix": {"methods": []}}
    movie = {"frames": str(finished / "movie.npy"), "atoms": str(finished / "atoms.parquet")}
    done = _run(tmp_path, STUDY | quick | {"simulate": None, "movies": [movie]}, "--json")
    assert done.exit_code == 0
    for number in range(2):
        name = f"{FOLDER}/movie-000-frame-{number:05d}.npy"
        assert (tmp_path / "out" / name).read_bytes() == (finished / name).read_bytes()
    found = json.loads(done.output)["windows"][0]["against_bonds"]
    assert "right_grain" not in found
    assert found["n_crystalline"] == read_json(finished / "latent.json")["windows"][0]["against_bonds"]["n_crystalline"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"windows": [{"half_width_A": 2.4, "n_pixels": 18}]}, "multiple of 4"),
        ({"windows": [{"half_width_A": 2.4, "n_pixels": 16}] * 2}, "equal half width"),
        ({"simulate": None}, "either `simulate:` or `movies:`"),
        ({"rotational": {"n_turn": 6}}, "n_turns"),
        ({"training": {"held_out": 1.0}}, "held_out"),
        ({"simulate": None, "movies": [{"frames": "a.npy", "atoms": "b"}]}, "does not exist"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, change: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_study(_written(tmp_path, STUDY | change))


def test_workflow_is_a_study() -> None:
    assert load_study(shipped_file("workflows", "rvae-graphene")).simulate is not None
