import json
import os
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner
from known_motion import small_and_noisy, toy_trajectory
from known_sheets import atom_table, honeycomb_A

from hpcstem.cli.potentials import command
from hpcstem.config import shipped_file
from hpcstem.errors import ConfigError, StructureError
from hpcstem.execution import mpiexec_command

OPTIONS = ["--interval-s", "0.001", "--low-A", "1.05", "--cutoff-A", "4.5"]


def invoke(*arguments):
    result = CliRunner().invoke(command, [str(a) for a in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def toy_file(tmp_path_factory):
    trajectory = toy_trajectory(300, 1e-3, cells=(8, 6))
    path = tmp_path_factory.mktemp("toy") / "toy.npz"
    n_atoms = int(trajectory.start[1])
    np.savez(
        path,
        positions_A=trajectory.positions_A.reshape(-1, n_atoms, 2),
        species=trajectory.species[:n_atoms],
        box_A=np.array(trajectory.box_A),
    )
    return path


def test_fit_writes_everything_and_compare_reads_it(toy_file, tmp_path):
    summary = json.loads(invoke("fit", toy_file, *OPTIONS, "--out", tmp_path, "--json"))
    assert summary["identifiable"]
    assert summary["pairs"]["C-C"]["depth_meV"] == pytest.approx(4.55)
    assert summary["localisation_A"] < 0.01
    names = {path.name for path in tmp_path.iterdir()}
    assert names >= {"potential.npz", "potential.json", "lammps.table", "table_C_Si.xvg", "potential.png", "fit.json"}
    assert (tmp_path / "potential.png").read_bytes().startswith(b"\x89PNG")
    text = invoke("compare", tmp_path / "potential.npz")
    assert "Inui and Iwasaki" in text
    assert "this fit" in text
    again = json.loads(invoke("fit", toy_file, *OPTIONS, "--out", tmp_path, "--json"))
    assert again == summary


def test_noise_in_the_file_leads_to_lag_one(tmp_path):
    noisy, _ = small_and_noisy()
    n_atoms = int(noisy.start[1])
    arrays = {"positions_A": noisy.positions_A.reshape(-1, n_atoms, 2), "species": noisy.species[:n_atoms]}
    np.savez(tmp_path / "noisy.npz", **arrays, box_A=np.array(noisy.box_A))
    options = ["--interval-s", "0.002", *OPTIONS[2:]]
    summary = json.loads(invoke("fit", tmp_path / "noisy.npz", *options, "--out", tmp_path / "fit", "--json"))
    assert summary["estimator"] == "trapezoid, lag 1"
    assert summary["localisation_A"] == pytest.approx(0.05, abs=0.005)


def test_link_then_fit_says_that_a_still_sheet_is_not_identifiable(tmp_path):
    rng = np.random.default_rng(4)
    sites_A = honeycomb_A(36, 0.0, rng)
    species = np.where(rng.random(len(sites_A)) < 0.05, "Si", "C")
    frames_A = [sites_A + 0.06 * rng.standard_normal(sites_A.shape) for _ in range(40)]
    atom_table(frames_A, [species] * 40).write(tmp_path / "atoms.parquet")
    linked = tmp_path / "linked.parquet"
    counts = json.loads(invoke("link", tmp_path / "atoms.parquet", "--gate-A", "0.6", "--out", linked, "--json"))
    assert counts["tracks"] == len(sites_A)
    options = ["--interval-s", "17", "--cutoff-A", "5"]
    text = invoke("fit", linked, *options, "--out", tmp_path / "fit")
    assert "not identifiable" in text
    rdf = json.loads(invoke("rdf", linked, "--cutoff-A", "6", "--out", tmp_path / "rdf", "--json"))
    assert min(abs(rdf["deepest"]["C-C"]["r_A"] - shell_A) for shell_A in (1.42, 2.46)) < 0.1
    assert any("fixed sites" in reason for reason in rdf["warnings"])
    text = invoke("pmf", linked, "--cutoff-A", "6", "--material", "--out", tmp_path / "pmf")
    assert "not an equilibrium potential" in text
    with np.load(tmp_path / "rdf" / "rdf.npz") as window, np.load(tmp_path / "pmf" / "rdf.npz") as material:
        # The sheet fills the window.
        assert material["g"][0].mean() == pytest.approx(window["g"][0].mean(), rel=0.05)


def test_a_gate_beyond_half_the_neighbour_distance_is_refused(tmp_path):
    atom_table([honeycomb_A(30, 0.05, np.random.default_rng(5)) for _ in range(3)]).write(tmp_path / "atoms.parquet")
    with pytest.raises(StructureError, match="at most half the distance of neighbours"):
        invoke("link", tmp_path / "atoms.parquet", "--gate-A", "1.0", "--out", tmp_path / "linked.parquet")


@pytest.mark.parametrize("start", ["cells: [8, 6]", "first_frame: FIRST"])
def test_a_small_toy_from_yaml(tmp_path, start):
    config = tmp_path / "toy.yaml"
    first = tmp_path / "first.parquet"
    rng = np.random.default_rng(8)
    sheet_A = honeycomb_A(24, 0.05, rng)
    atom_table([sheet_A] * 2, [np.where(rng.random(len(sheet_A)) < 0.2, "Si", "C")] * 2).write(first)
    config.write_text(
        f"{start.replace('FIRST', str(first))}\nframes: 60\nfit:\n"
        "  interval_s: 1.0e-3\n  low_A: 1.05\n  cutoff_A: 4.5\n"
        "  mobility: [1.0, 0.42765]\n  blocks: 8\n  functions: 16\n"
    )
    summary = json.loads(invoke("toy", config, "--out", tmp_path / "run", "--json"))
    assert summary["truth"]["C-C"]["true_depth"] == pytest.approx(0.998, abs=0.001)
    assert summary["truth"]["C-C"]["error"] < 0.5


def test_the_shipped_settings_are_valid():
    from hpcstem.config import checked, read_yaml
    from hpcstem.potentials.settings import FitSettings, ToySettings

    checked(FitSettings, read_yaml(shipped_file("workflows", "force-matching")), "fit")
    checked(ToySettings, read_yaml(shipped_file("workflows", "force-matching-toy")), "toy")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (["--interval-s", "0", "--cutoff-A", "4.5"], ConfigError, "interval_s"),
        (["--cutoff-A", "4.5"], ConfigError, "interval_s"),
        (["--interval-s", "1", "--low-A", "5", "--cutoff-A", "4.5"], ConfigError, "range of the pair potential"),
        (["--interval-s", "1", "--species", "C", "--cutoff-A", "4.5"], StructureError, "species in frame 0"),
    ],
)
def test_bad_settings_are_one_clear_error(toy_file, tmp_path, arguments, error, message):
    with pytest.raises(error, match=message):
        invoke("fit", toy_file, *arguments, "--out", tmp_path)


def test_ranks_fit_the_same_and_one_prints(toy_file, tmp_path):
    pytest.importorskip("mpi4py", reason="mpi4py is not installed: pip install 'hpcstem[mpi]'")
    one = json.loads(invoke("fit", toy_file, *OPTIONS, "--out", tmp_path / "one", "--json"))
    program = "from hpcstem.cli.potentials import command; command()"
    arguments = ["fit", str(toy_file), *OPTIONS, "--out", str(tmp_path / "many"), "--json"]
    done = subprocess.run(
        [*mpiexec_command(2), sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    many = json.loads(done.stdout)
    assert many["kT"] == pytest.approx(one["kT"], rel=1e-9)
    assert many["pairs"]["C-C"]["minimum_A"] == one["pairs"]["C-C"]["minimum_A"]


def test_processes_that_do_not_see_each_other_are_refused(toy_file, tmp_path):
    pytest.importorskip("mpi4py", reason="mpi4py is not installed: pip install 'hpcstem[mpi]'")
    program = "from hpcstem.cli.potentials import command; command()"
    arguments = ["fit", str(toy_file), *OPTIONS, "--out", str(tmp_path)]
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PMI", "OMPI", "SLURM"))}
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        env={**environment, "SLURM_NTASKS": "4"},
    )
    assert done.returncode != 0
    assert "MPI ranks do not see each other" in done.stderr
