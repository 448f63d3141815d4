"""Batch scripts: the golden files, what bash thinks of them, and what cannot get into them."""

import os
import subprocess
from pathlib import Path

import pytest
from golden_scripts import COMMANDS, FOLDER, filled, scripts

from hpcstem.errors import ConfigError
from hpcstem.execution import Site
from hpcstem.execution.batch import BatchJob, render_script
from hpcstem.execution.site_sections import JobSize

AWKWARD = ("it's $HOME", "`id`", "a;b", "*", 'say "x"', "&", "ä", "-n", "")


def job(**changes):
    values = {
        "name": "job",
        "kind": "frames",
        "command": ("printf", "%s\\n", *AWKWARD),
        "folder": Path("/tmp"),
        "log": Path("/tmp/job.log"),
        "size": JobSize(nodes=2, walltime_s=5401),
    }
    return BatchJob(**(values | changes))


def test_the_scripts_are_those_of_the_golden_files():
    held = {file.name: file.read_text() for file in FOLDER.glob("*.sh")}
    found = scripts()
    assert held.keys() == found.keys()
    different = [name for name in found if found[name] != held[name]]
    assert different == [], "if this is wanted: python tests/golden_scripts.py, and look at the difference"


def test_bash_reads_every_golden_script():
    for file in sorted(FOLDER.glob("*.sh")):
        done = subprocess.run(["bash", "-n", file], capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, ""), file.name


@pytest.mark.parametrize("kind", ["frames", "training", "dask"])
def test_the_words_of_a_command_arrive_as_they_are(tmp_path, kind):
    text = render_script(filled("slurm"), job(kind=kind, folder=tmp_path))
    script = tmp_path / "job.sh"
    script.write_text(text.replace("#!/bin/bash -l", "#!/bin/bash"))
    done = subprocess.run(["bash", script], capture_output=True, text=True, env={**os.environ, "HOME": "/nowhere"})
    assert done.stdout.split("\n")[:-1] == list(AWKWARD), done.stderr


def test_modules_set_up_and_variables_come_before_the_command_and_are_quoted(tmp_path):
    site = Site.model_validate(
        {
            "scheduler": {"kind": "slurm"},
            "environment": {
                "modules": ["one/1.0"],
                "setup": [f"source {tmp_path}/activate"],
                "variables": {"A": "x y", "B": "*"},
            },
        }
    )
    (tmp_path / "activate").write_text("echo set up\n")
    (tmp_path / "two words").write_text("")
    text = render_script(site, job(folder=tmp_path, command=("sh", "-c", 'echo "$A" "$B"')))
    done = subprocess.run(
        ["bash", "-c", f"module() {{ echo module $*; }}\n{text}"], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.stdout.splitlines() == ["module load one/1.0", "set up", "x y *"], done.stderr


@pytest.mark.parametrize("site", ["slurm", "pbs", "lsf"])
def test_size_and_time_are_in_the_head_rounded_up_to_minutes(site):
    text = render_script(filled(site), job())
    assert {"slurm": "--time=01:31:00", "pbs": "walltime=01:31:00", "lsf": "-W 01:31"}[site] + "\n" in text
    assert {"slurm": "--nodes=2", "pbs": "select=2", "lsf": "-nnodes 2"}[site] + "\n" in text


def test_ranks_and_launchers_are_started_by_the_launcher_of_the_site():
    site = filled("frontier")
    assert "exec srun --nodes=2 --ntasks=112 --ntasks-per-node=56 --cpus-per-task=1 --gpus-per-node=8 printf" in (
        render_script(site, job(kind="fits"))
    )
    four = job(kind="fits", size=JobSize(nodes=2, ranks_per_node=4))
    assert "--ntasks=8 --ntasks-per-node=4 --cpus-per-task=14 " in render_script(site, four)
    assert "exec srun --nodes=2 --ntasks=2 --ntasks-per-node=1 --cpus-per-task=56" in (
        render_script(site, job(kind="queue"))
    )
    without = site.model_copy(update={"launcher": Site().launcher})
    with pytest.raises(ConfigError, match=r"no launcher for 112 processes.* launcher: \{kind: srun\}"):
        render_script(without, job(kind="fits"))


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "two words"},
        {"name": "x\n#SBATCH --uid=0"},
        {"folder": Path("/tmp/two words")},
        {"folder": Path("relative")},
        {"log": Path("/tmp/100%.log")},
        {"log": Path("/tmp/a'b.log")},
        {"command": ("echo", "a\nb")},
    ],
)
def test_what_a_batch_system_could_misread_is_refused(changes):
    with pytest.raises(ConfigError):
        job(**changes)


def test_a_site_without_a_batch_system_has_no_script():
    with pytest.raises(ConfigError, match="no batch system"):
        render_script(Site(), job())


def test_each_kind_of_job_has_a_template():
    assert {file.name.split("-")[1].removesuffix(".sh") for file in FOLDER.glob("*.sh")} == set(COMMANDS)
