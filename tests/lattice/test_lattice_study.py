import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner

from hpcstem.atoms import AtomTable
from hpcstem.cli.lattice import command
from hpcstem.errors import AtomTableError, ConfigError, ExecutionError, HpcstemError, StructureError
from hpcstem.execution import mpiexec_command
from hpcstem.lattice.study_config import (
    BoundarySection,
    FitSection,
    ImageSection,
    LatticeStudy,
    MadeAlloySection,
    ModesSection,
    load_study,
)

WORKFLOWS = Path(__file__).parents[2] / "workflows"
STUDY = {
    "name": "small",
    "seed": 4,
    "images": [
        {"name": "a", "made": {"fraction_B": 0.5, "n_side": 28, "pairing_A": 0.2, "n_domains": 9}},
        {"name": "b", "made": {"fraction_B": 0.3, "n_side": 28, "model": "many-body", "weights": [0.2, 0.1]}},
    ],
    "fit": {"n_side": 20, "n_chains": 3, "n_snapshots": 100},
    "modes": {"n_dominant": 3},
    "boundary": {"made": {}},
}
FIGURES = ["alloys", "boundary", "configurations", "landau", "modes"]
SECONDS_TO_START = 240


def written(folder, study):
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(study))
    return path


def site(folder, executor):
    path = folder / f"{executor}.yaml"
    path.write_text(f"executor: {executor}\n")
    return path


def arguments(folder, out="out", executor="serial", study=STUDY):
    return ["run", str(written(folder, study)), "--out", str(folder / out), "--site", str(site(folder, executor))]


def run_here(folder, *more, **options):
    done = CliRunner().invoke(command, [*arguments(folder, **options), *more], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def run_alone(folder, **options):
    """In a process of its own, whose libraries have one thread from the start, as the command line has it."""
    command_line = as_process([], *arguments(folder, **options))
    done = subprocess.run(command_line, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.glob("results/*.json"))}


def as_process(before, *given):
    code = "from hpcstem.cli.lattice import command; command()"
    return [*before, sys.executable, "-c", code, *given]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    return folder, run_alone(folder)


def test_a_study_writes_its_numbers_and_figures(finished):
    folder, output = finished
    assert sorted(path.stem for path in (folder / "out/figures").glob("*.png")) == FIGURES
    assert all(path.stat().st_size > 20_000 for path in (folder / "out/figures").glob("*.png"))
    fit = json.loads((folder / "out/results/fit-a.json").read_text())["models"][0]
    assert fit["model"] == "pair-additive"
    deviation = (np.array(fit["weights_kT"]) - (0.25, -0.10)) / fit["sigma_kT"]
    assert np.abs(deviation).max() < 3.5
    assert "many-body" in output
    assert "correlation length" in output
    atoms = AtomTable.read(folder / "out/atoms/a.parquet")
    assert set(atoms.species) == {"Mo", "Re"}


def test_run_again_keeps_everything_and_prints_the_same(finished):
    folder, first = finished
    again = run_here(folder)
    assert again.count(" kept\n") == 8
    assert again.split("figures")[1].splitlines()[1:] == first.split("figures")[1].splitlines()[1:]


def test_only_what_a_change_concerns_is_done_again(finished, tmp_path):
    shutil.copytree(finished[0] / "out", tmp_path / "out")
    changed = STUDY | {"boundary": {"made": {"sigma": 0.02}}}
    again = run_here(tmp_path, study=changed)
    redone = [line.split()[0] for line in again.splitlines() if line.endswith(" s") and "kept" not in line]
    assert redone == ["study", "boundary", "figures"]


def test_a_killed_run_goes_on_and_ends_with_the_same_numbers(finished, tmp_path):
    process = subprocess.Popen(as_process([], *arguments(tmp_path)), stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + SECONDS_TO_START
    while not (tmp_path / "out/stages/fit-a.json").exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "out/stages/figures.json").exists()
    rest = run_alone(tmp_path)
    assert "fit-a                    kept" in rest
    assert contents(tmp_path / "out") == contents(finished[0] / "out")


def test_ranks_give_the_same_files_as_one_process(finished, tmp_path):
    try:
        before = mpiexec_command(2)
    except ExecutionError as error:
        pytest.skip(str(error))
    done = subprocess.run(
        as_process(before, *arguments(tmp_path, executor="mpi")),
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("results: ") == 1
    assert contents(tmp_path / "out") == contents(finished[0] / "out")


def test_a_second_process_is_kept_out(tmp_path):
    from hpcstem.campaign.run import Run

    with Run(tmp_path / "out").locked(), pytest.raises(HpcstemError, match="another hpcstem works in"):
        run_here(tmp_path)


def test_atoms_of_a_file_are_studied_like_made_ones(finished, tmp_path):
    made = finished[0] / "out/atoms/a.parquet"
    study = {"name": "read", "seed": 4, "images": [{"name": "a", "atoms": str(made)}], "fit": STUDY["fit"]}
    run_alone(tmp_path, study=study)
    assert contents(tmp_path / "out")["fit-a.json"] == contents(finished[0] / "out")["fit-a.json"]


def test_a_map_of_a_file_is_studied_like_a_made_one(finished, tmp_path):
    found = json.loads((finished[0] / "out/results/boundary.json").read_text())
    arrays = {name: np.array(found[name]) for name in ("x_A", "z_A", "eta")}
    np.savez(tmp_path / "map.npz", sigma=0.03, **arrays)
    run_here(tmp_path, study={"name": "read", "boundary": {"map": "map.npz"}})
    assert contents(tmp_path / "out")["boundary.json"] == contents(finished[0] / "out")["boundary.json"]


def test_json_holds_the_results(tmp_path):
    study = {"name": "json", "boundary": {"made": {}}}
    printed = json.loads(run_here(tmp_path, "--json", study=study))
    assert printed["boundary"]["interface"]["names"] == ["eta_bulk", "loss", "length_A"]


def test_a_dry_run_prints_the_study_and_writes_nothing(tmp_path):
    assert json.loads(run_here(tmp_path, "--dry-run"))["fit"]["n_chains"] == 3
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("heading", "section"),
    [
        ("A study", LatticeStudy),
        ("`images`", ImageSection),
        ("`images.made`", MadeAlloySection),
        ("`fit`", FitSection),
        ("`modes`", ModesSection),
        ("`boundary`", BoundarySection),
    ],
)
def test_every_key_is_documented_with_its_default(heading, section):
    text = (WORKFLOWS.parent / "docs/lattice.md").read_text(encoding="utf-8")
    table = re.split(rf"^#+ {re.escape(heading)}$", text, flags=re.MULTILINE)[1].split("\n#")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| `?([^|`]+)`? \|", table, re.MULTILINE))
    assert list(rows) == list(section.model_fields)
    for key, stated in rows.items():
        field = section.model_fields[key]
        if stated == "required":
            assert field.is_required(), key
        else:
            wanted = json.loads(json.dumps(field.default))
            assert wanted == (None if stated == "none" else yaml.safe_load(stated)), key


@pytest.mark.parametrize("name", ["lattice-model", "order-parameter"])
def test_shipped_workflows_are_valid(name):
    assert load_study(WORKFLOWS / f"{name}.yaml").name == name


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fits": {}}, "did you mean 'fit'"),
        ({"fit": {"n_sides": 9}}, "did you mean 'n_side'"),
        ({"fit": {"classes": "rings"}}, "first rings"),
        ({"images": []}, "need `images:`"),
        ({"images": [{"name": "a"}]}, "either `atoms:` or `made:`"),
        ({"images": [{"name": "../a", "made": {"fraction_B": 0.5}}]}, "letters, digits"),
        ({"images": STUDY["images"][:1] * 2}, "two images of one name"),
        ({"images": [{"name": "a", "made": {"fraction_B": 1.0}}]}, "less than 1"),
        ({"modes": {"n_dominant": 2}}, "n_dominant: 3"),
        ({"boundary": {}}, "either `map:` or `made:`"),
        ({"species": ["Mo", "Xx"]}, "two different chemical symbols"),
        ({"fit": None, "modes": None, "boundary": None}, "nothing to do"),
    ],
)
def test_mistakes_in_a_study_are_named(tmp_path, change, message):
    with pytest.raises(ConfigError, match=message):
        load_study(written(tmp_path, STUDY | change))


def test_files_that_cannot_be_used_are_named(finished, tmp_path):
    atoms = str(finished[0] / "out/atoms/a.parquet")
    image = {"name": "a", "atoms": atoms}
    for study, error, message in [
        ({"images": [{"name": "a", "atoms": "none.parquet"}]}, AtomTableError, "none.parquet"),
        ({"images": [image | {"frame": 3}]}, StructureError, "both Mo and Re"),
        ({"images": [image], "species": ["W", "Re"]}, StructureError, "both W and Re"),
    ]:
        with pytest.raises(error, match=message):
            run_here(tmp_path, study={"name": "x", "fit": {}} | study)
    square = AtomTable.read(Path(atoms))
    x_A, y_A = 3.0 * np.array(np.divmod(np.arange(len(square)), 28))
    square.with_columns(x_A=x_A, y_A=y_A).write(tmp_path / "square.parquet")
    with pytest.raises(StructureError, match=r"image a: .*sixfold order"):
        run_here(tmp_path, study={"name": "x", "fit": {}, "images": [{"name": "a", "atoms": "square.parquet"}]})
    with pytest.raises(StructureError, match="an NPZ file with x_A"):
        run_here(tmp_path, study={"name": "x", "boundary": {"map": atoms}})
