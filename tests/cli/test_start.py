"""Starting the program: help at once, heavy libraries only where they are used."""

import json
import subprocess
import sys

import pytest
from small_run import command, environment, hpcstem

COMMANDS = [
    "run",
    "submit",
    "batch",
    "doctor",
    "frames",
    "simulate-movie",
    "train",
    "reference",
    "decode",
    "watch",
    "structure",
    "queue",
    "db",
    "kinetics",
    "latent",
    "lattice",
    "potentials",
    "report",
]
SUBCOMMANDS = [
    ("frames", "info"),
    ("structure", "defects"),
    ("structure", "cells"),
    ("queue", "init"),
    ("queue", "add"),
    ("queue", "launch"),
    ("queue", "submit"),
    ("queue", "status"),
    ("queue", "show"),
    ("queue", "rerun"),
    ("queue", "pause"),
    ("queue", "priority"),
    ("queue", "export"),
    ("queue", "analyse"),
    ("queue", "web"),
    ("queue", "take"),
    ("queue", "return"),
    ("db", "start"),
    ("db", "stop"),
    ("db", "status"),
    ("kinetics", "run"),
    ("kinetics", "energies"),
    ("latent", "run"),
    ("lattice", "run"),
    ("potentials", "link"),
    ("potentials", "rdf"),
    ("potentials", "pmf"),
    ("potentials", "fit"),
    ("potentials", "toy"),
    ("potentials", "compare"),
]
HEAVY = ["torch", "dask", "distributed", "matplotlib", "fireworks", "pymongo", "mongomock", "tblite", "jinja2", "zarr"]

LIST_MODULES = """
import json, sys
from hpcstem.cli import main
sys.argv[0] = "hpcstem"
try:
    main()
finally:
    print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""


def modules_of(*arguments: object) -> set[str]:
    """Modules that a command has imported at its end."""
    done = subprocess.run(
        [sys.executable, "-c", LIST_MODULES, *map(str, arguments)], capture_output=True, text=True, env=environment()
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stderr.splitlines()[-1]))


def test_help_names_all_commands():
    text = hpcstem("--help").stdout
    assert all(f"  {name} " in text for name in COMMANDS)
    assert hpcstem("-h").stdout == text


@pytest.mark.parametrize("arguments", [(), *((name,) for name in COMMANDS), *SUBCOMMANDS])
def test_help(arguments):
    done = subprocess.run(command(*arguments, "--help"), capture_output=True, text=True, env=environment())
    assert done.returncode == 0, done.stderr
    assert "Usage: hpcstem" in done.stdout
    assert "--help" in done.stdout


def test_help_and_a_run_with_nothing_to_do_import_nothing_heavy(finished_run):
    modules = modules_of("--help")
    assert not modules & {*HEAVY, "numba", "scipy", "numpy", "pydantic", "ase", "h5py", "pyarrow"}
    modules = modules_of("run", finished_run.campaign, "--out", finished_run.folder)
    assert "hpcstem.campaign.conduct" in modules
    assert not modules & set(HEAVY)


def test_version():
    assert hpcstem("--version").stdout.startswith("hpcstem, version ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rum"], "No such command 'rum'"),
        (["run"], "Missing argument 'CAMPAIGN'"),
        (["run", "x.yaml", "--untill", "decode"], "No such option"),
        (["run", "x.yaml", "--workers", "0"], "--workers"),
        (["run", "quickstart", "--pixel-size-A", "0.1"], "--pixel-size-A goes with --movie"),
        (["decode", "--out", "x"], "Missing argument 'MOVIES"),
        (["decode", "x.h5"], "Missing option '--out'"),
        (["decode", "x.h5", "--out", "o", "--pixel-size-A", "small"], "not a valid float"),
        (["decode", "x.h5", "--out", "o", "--bad-frames", "drop"], "'drop' is not one of"),
        (["simulate-movie", "--out", "o", "--frames", "0"], "--frames"),
        (["db"], "db [OPTIONS] COMMAND"),
    ],
)
def test_a_wrong_command_line_is_explained(run_here, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    status, out, err = run_here(*arguments)
    assert status == 2
    assert message in err + out
    assert not any(tmp_path.iterdir())


def test_a_reader_that_leaves_is_no_error():
    program = subprocess.Popen(
        command("frames", "info", "--help"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
    )
    program.stdout.close()
    errors = program.stderr.read()
    program.stderr.close()
    program.wait()
    assert b"Traceback" not in errors
