"""A study from its YAML file to its figures: what it finds, what it refuses, and that it goes on after a kill."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import fields, replace
from pathlib import Path

import ase
import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from sheets_with_defects import DEFECTS, SIDE_A, frame_of, sheet_with

from hpcstem.atoms import AtomTable
from hpcstem.campaign.run import Run
from hpcstem.cli.kinetics import command
from hpcstem.config import shipped_file
from hpcstem.errors import ConfigError, HpcstemError
from hpcstem.execution import SerialExecutor
from hpcstem.files import read_json
from hpcstem.kinetics.results import summary
from hpcstem.kinetics.simulated_defects import CLASSES
from hpcstem.kinetics.study import analyse, observe_movies, read_study
from hpcstem.kinetics.study_config import StudyConfig, load_study
from hpcstem.simulation.results import JobResult
from hpcstem.structure.exchange import write_xyz

STUDY = {
    "name": "small",
    "seed": 3,
    "frame_time_s": 17.0,
    "simulate": {
        "n_movies": 6,
        "n_frames": 20,
        "field_A": 64.0,
        "n_defects": 2,
        "hop": 0.12,
        "missing": 0.1,
        "noise_A": 0.05,
        "drift_A_per_frame": [0.1, -0.06],
        "matrix": [[0.8, 0.15, 0.05], [0.1, 0.75, 0.15], [0.05, 0.25, 0.7]],
    },
    "lags": [1, 2],
}


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
    assert "nm²/s" in done.output
    return folder / "out"


def test_study_finds_what_was_simulated(finished: Path) -> None:
    found = read_json(finished / "kinetics.json")
    assert set(found["classes"]) == set(CLASSES)
    assert found["truth"]["inside_interval"] >= 7 / 9
    diffusion = found["diffusion_nm2_per_s"]["all"]
    assert diffusion["low"] < found["truth"]["diffusion_nm2_per_s"] < diffusion["high"]
    assert {entry["kind"] for entry in found["library"]} == set(CLASSES)
    assert np.allclose(np.sum(found["transition_matrix"]["estimate"], axis=1), 1.0)
    for name, row, stays in zip(found["classes"], found["counts"], np.diag(found["counts"]), strict=True):
        assert found["lifetimes_s"][name]["mean"] == pytest.approx(17.0 * sum(row) / (sum(row) - stays))


def test_study_writes_its_figures_and_arrays(finished: Path) -> None:
    names = {path.stem for path in (finished / "figures").iterdir()}
    assert names == {"transition-matrix", "survival", "chapman-kolmogorov", "diffusion", "library"}
    assert all(path.stat().st_size > 5_000 for path in (finished / "figures").iterdir())
    with np.load(finished / "matrices.npz") as arrays:
        assert arrays["counts_lag2"].shape == (3, 3)
        assert (arrays["matrix_low_lag1"] <= arrays["matrix_high_lag1"]).all()


def test_killed_study_goes_on_and_ends_the_same(tmp_path: Path, finished: Path) -> None:
    path = _written(tmp_path, STUDY)
    out = tmp_path / "out"
    arguments = ["run", str(path), "--out", str(out), "--site", str(tmp_path / "serial.yaml")]
    program = "import sys; from hpcstem.cli.kinetics import command; command(sys.argv[1:])"
    process = subprocess.Popen([sys.executable, "-c", program, *arguments], env={**os.environ, "OMP_NUM_THREADS": "1"})
    deadline = time.monotonic() + 240
    while len(list((out / "movies").glob("*.npz"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    kept = {file.name: file.stat().st_mtime_ns for file in (out / "movies").glob("*.npz")}
    assert 2 <= len(kept) < STUDY["simulate"]["n_movies"]
    assert not (out / "kinetics.json").exists()
    assert _run(tmp_path, STUDY).exit_code == 0
    assert {name: (out / "movies" / name).stat().st_mtime_ns for name in kept} == kept
    assert (out / "kinetics.json").read_bytes() == (finished / "kinetics.json").read_bytes()


def test_folder_of_another_study_is_refused(finished: Path) -> None:
    with pytest.raises(HpcstemError, match="another study"):
        _run(finished.parent, {**STUDY, "seed": 4})


def test_one_process_works_in_a_folder_at_a_time(finished: Path) -> None:
    with Run(finished).locked(), pytest.raises(HpcstemError, match="another hpcstem works in"):
        _run(finished.parent, STUDY)


def test_json_and_dry_run(finished: Path, tmp_path: Path) -> None:
    _run(tmp_path, STUDY, "--dry-run")
    assert not (tmp_path / "out").exists()
    again = _run(finished.parent, STUDY, "--json")
    assert json.loads(again.output)["lag_frames"] == 1


def test_shipped_workflow_is_valid() -> None:
    assert load_study(shipped_file("workflows", "defect-kinetics")).name == "defect-kinetics"


def test_absorbing_class_and_rare_classes(finished: Path) -> None:
    config, found = read_study(finished)
    with pytest.raises(HpcstemError, match="left"):
        analyse(config.model_copy(update={"absorbing": (CLASSES[0],)}), found)
    with pytest.raises(HpcstemError, match="one of"):
        analyse(config.model_copy(update={"absorbing": ("nothing",)}), found)
    with pytest.raises(HpcstemError, match="min_count"):
        analyse(config.model_copy(update={"min_count": 10**6}), found)
    seen = sorted(sum(sighting.kind == kind for sighting in found.seen) for kind in CLASSES)
    rare = analyse(config.model_copy(update={"min_count": seen[1]}), found)
    assert len(rare.classes) == 3
    assert rare.classes[-1] == "other"


@pytest.mark.parametrize(
    ("change", "about"),
    [
        ({"simulate": None}, "either `simulate:` or `movies:`"),
        ({"lags": [2, 3]}, "multiples"),
        ({"frame_time": 1.0}, "did you mean 'frame_time_s'"),
        ({"name": "../x"}, "name"),
        ({"simulate": {**STUDY["simulate"], "matrix": [[1.0]]}}, "matrix has 1 rows"),
        ({"simulate": {**STUDY["simulate"], "matrix": [[0.5, 0.4], [0.5, 0.5]]}}, "sum to 1"),
        ({"simulate": None, "movies": [{"atoms": "absent"}]}, "does not exist"),
    ],
)
def test_what_a_study_cannot_be(tmp_path: Path, change: dict, about: str) -> None:
    study = {key: value for key, value in {**STUDY, **change}.items() if value is not None}
    with pytest.raises(ConfigError, match=about):
        load_study(_written(tmp_path, study))


def _decoded_movie(folder: Path) -> StudyConfig:
    """Study of a decoded movie with frames: one silicon that changes its neighbours every other frame."""
    tables, frames = [], []
    axis = np.arange(int(SIDE_A / 0.1)) * 0.1
    for frame in range(12):
        kind = "Si on three neighbours" if frame % 4 < 2 else "Si on four neighbours"
        table = frame_of(sheet_with(DEFECTS[kind]), frame, 0.03)
        tables.append(table)
        silicon = table[table.species == "Si"]
        spot = np.exp(-((axis - silicon.x_A[0]) ** 2) / 0.4), np.exp(-((axis - silicon.y_A[0]) ** 2) / 0.4)
        frames.append(np.outer(spot[1], spot[0]))
    AtomTable.concatenate(tables).write(folder / "atoms.parquet")
    np.save(folder / "frames.npy", np.array(frames, np.float32))
    study = {
        "name": "decoded",
        "seed": 1,
        "frame_time_s": 1.0,
        "movies": [{"atoms": "atoms.parquet", "frames": "frames.npy"}],
        "min_count": 3,
        "observe": {"edge_margin_A": 5.0},
        "lags": [1],
    }
    return load_study(_written(folder, study))


def test_decoded_movies_give_counts_and_mean_images(tmp_path: Path) -> None:
    config = _decoded_movie(tmp_path)
    found = observe_movies(config, tmp_path / "out", SerialExecutor().run)
    result = analyse(config, found)
    assert result.classes == ("Si on four neighbours", "Si on three neighbours")
    assert result.chains[0].counts[0].counts.tolist() == [[3, 2], [3, 3]]
    assert [entry.count for entry in result.library] == [6, 6]
    for entry in result.library:
        assert entry.image is not None
        brightest = np.unravel_index(entry.image.argmax(), entry.image.shape)
        assert np.abs(np.array(brightest) - (len(entry.image) - 1) / 2).max() <= 1.5
    again = observe_movies(config, tmp_path / "out", SerialExecutor().run)
    assert np.array_equal(again.seen[0].image, found.seen[0].image)


def test_frame_times_are_told_apart_in_every_result(tmp_path: Path) -> None:
    _decoded_movie(tmp_path)
    study = yaml.safe_load((tmp_path / "study.yaml").read_text(encoding="utf-8"))
    study["movies"] += [{"atoms": "atoms.parquet", "frame_time_s": 2.5}]
    done = _run(tmp_path, study)
    assert "a frame every 1 s:" in done.output
    assert "a frame every 2.5 s:" in done.output
    assert "for: movies of all frame times have these rates" in done.output
    found = read_json(tmp_path / "out" / "kinetics.json")
    assert [chain["counts"] for chain in found["by_frame_time"]] == [[[3, 2], [3, 3]]] * 2
    low, high = (found["rates_per_s"][end][0][1] for end in ("low", "high"))
    assert 0 <= low < found["rates_per_s"]["estimate"][0][1] < high
    alone = replace(analyse(*read_study(tmp_path / "out")), rates="frames too slow")
    assert summary(read_study(tmp_path / "out")[0], alone)["rates_per_s"] == {"because": "frames too slow"}
    assert sum(entry["count"] for entry in found["library"]) == 24
    with np.load(tmp_path / "out" / "matrices.npz") as arrays:
        assert {"counts_lag1-1s", "counts_lag1-2.5s"} < set(arrays.files)
    names = {path.stem for path in (tmp_path / "out" / "figures").iterdir()}
    assert {"library", "survival-1s", "transition-matrix-2.5s"} < names


def test_energies_of_relaxed_cells_reach_the_library(tmp_path: Path) -> None:
    config = _decoded_movie(tmp_path)
    observe_movies(config, tmp_path / "out", SerialExecutor().run)
    job = tmp_path / "run" / "simulation" / "jobs" / "k"
    sheet = sheet_with(DEFECTS["Si on three neighbours"])
    atoms = ase.Atoms(sheet.species.tolist(), np.pad(sheet.positions_A, ((0, 0), (0, 1))))
    write_xyz(job / "relaxed.xyz", atoms, {})
    result = dict.fromkeys(field.name for field in fields(JobResult)) | {
        "name": "cell",
        "kind": "relax",
        "converged": True,
        "structure": "jobs/k/relaxed.xyz",
        "energy_eV": -2.0 * (len(atoms) - 1) - 3.0 + 4.5,
    }
    (job / "result.json").write_text(json.dumps(result), encoding="utf-8")
    arguments = ["energies", str(tmp_path / "out"), str(tmp_path / "run"), "--reference=C=-2", "--reference=Si=-3"]
    done = CliRunner().invoke(command, [*arguments, "--json"], catch_exceptions=False)
    (row,) = json.loads(done.output)
    assert (row["kind"], row["source"]) == ("Si on three neighbours", "cell")
    assert row["energy_eV"] == pytest.approx(4.5)
    entries = read_json(tmp_path / "out" / "library" / "library.json")["entries"]
    by_kind = {entry["kind"]: entry["energy_eV"] for entry in entries}
    assert by_kind == {"Si on three neighbours": pytest.approx(4.5), "Si on four neighbours": None}
    assert CliRunner().invoke(command, [*arguments[:3], "--reference=C"]).exit_code == 2
    with pytest.raises(HpcstemError, match="got no settings; wanted a folder that `hpcstem kinetics run` wrote"):
        CliRunner().invoke(command, ["energies", str(tmp_path), *arguments[2:]], catch_exceptions=False)
    with pytest.raises(HpcstemError, match="no results of jobs"):
        CliRunner().invoke(command, ["energies", str(tmp_path / "out"), str(tmp_path)], catch_exceptions=False)
