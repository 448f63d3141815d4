"""PBS and LSF, by stand-ins that keep their jobs in a folder and answer in the words of the real commands."""

import stat
from pathlib import Path

import pytest

from hpcstem.errors import ExecutionError
from hpcstem.execution import Site
from hpcstem.execution.batch import batch_system

SUBMIT = """#!/bin/bash
# Stand-in for {program}: keeps what it was given, and gives a number.
number=$(( $(ls {jobs} | wc -l) + 101 ))
name=$(grep -oP '{name}' "${{@: -1}}" 2>/dev/null || grep -oP '{name}' /dev/stdin)
case $name in bad*) echo "{program}: would exceed the limit" >&2; exit 1;; esac
printf '%s\\n' "$name" "$@" > {jobs}/$number
echo "{answer}"
"""
QSELECT = """#!/bin/bash
for job in {jobs}/*; do [ -e "$job" ] && echo "$(basename $job).server"; done
exit 0
"""
QSTAT = """#!/bin/bash
shift
for number in "$@"; do
  printf 'Job Id: %s\\n    Job_Name = %s\\n    Job_Owner = me@login\\n    job_state = Q\\n\\n' \\
    $number "$(head -1 {jobs}/${{number%.server}})"
done
# One job has ended since it was listed.
echo "qstat: Unknown Job Id 99.server" >&2
exit 153
"""
BJOBS = """#!/bin/bash
[ -n "$(ls {jobs})" ] || {{ echo "No unfinished job found" >&2; exit 255; }}
for job in {jobs}/*; do echo "$(basename $job) $(head -1 $job)"; done
"""
DELETE = """#!/bin/bash
for number in "$@"; do rm {jobs}/${{number%.server}}; done
"""


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """Make the commands of a batch system; returns the folder of its jobs."""

    def make(kind) -> Path:
        programs, jobs = tmp_path / "bin", tmp_path / "jobs"
        programs.mkdir()
        jobs.mkdir()
        answer = {"pbs": "$number.server", "lsf": "Job <$number> is submitted to queue <batch>."}[kind]
        name = {"pbs": r"^#PBS -N \K\S+", "lsf": r"^#BSUB -J \K\S+"}[kind]
        submit = {"pbs": "qsub", "lsf": "bsub"}[kind]
        texts = {submit: SUBMIT, "qselect": QSELECT, "qstat": QSTAT, "bjobs": BJOBS, "qdel": DELETE, "bkill": DELETE}
        for program, text in texts.items():
            file = programs / program
            file.write_text(text.format(program=program, jobs=jobs, name=name, answer=answer))
            file.chmod(file.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
        return jobs

    return make


def script(tmp_path, kind, name):
    file = tmp_path / f"{name}.sh"
    file.write_text("#!/bin/bash\n" + {"pbs": f"#PBS -N {name}\n", "lsf": f"#BSUB -J {name}\n"}[kind])
    return file


@pytest.mark.parametrize(
    ("kind", "numbers", "condition"),
    [
        ("pbs", ["101.server", "102.server"], ["-W", "depend=afterok:101.server"]),
        ("lsf", ["101", "102"], ["-ti", "-w", "done(101)"]),
    ],
)
def test_jobs_are_submitted_after_each_other_listed_and_cancelled(stand_in, tmp_path, kind, numbers, condition):
    jobs = stand_in(kind)
    system = batch_system(Site.model_validate({"scheduler": {"kind": kind}}))
    assert system.live() == {}
    first = system.submit(script(tmp_path, kind, "first"))
    second = system.submit(script(tmp_path, kind, "second"), [first])
    assert [first, second] == numbers
    assert (jobs / "102").read_text().splitlines()[1:][: len(condition)] == condition
    assert system.live() == {first: "first", second: "second"}
    system.cancel([second])
    assert system.live() == {first: "first"}


@pytest.mark.parametrize("kind", ["pbs", "lsf"])
def test_a_refusal_carries_the_words_of_the_batch_system(stand_in, tmp_path, kind):
    stand_in(kind)
    with pytest.raises(ExecutionError, match="would exceed the limit"):
        batch_system(Site.model_validate({"scheduler": {"kind": kind}})).submit(script(tmp_path, kind, "bad"))


@pytest.mark.parametrize("kind", ["slurm", "pbs", "lsf"])
def test_a_machine_without_the_batch_system_is_named(tmp_path, monkeypatch, kind):
    monkeypatch.setenv("PATH", str(tmp_path))
    system = batch_system(Site.model_validate({"scheduler": {"kind": kind}}))
    with pytest.raises(ExecutionError, match="wanted a machine where the batch system is"):
        system.live()


def test_an_lsf_that_cannot_be_reached_has_not_lost_its_jobs(stand_in, tmp_path):
    stand_in("lsf")
    (tmp_path / "bin" / "bjobs").write_text("#!/bin/bash\necho 'LSF is down. Please wait ...' >&2\nexit 255\n")
    with pytest.raises(ExecutionError, match="LSF is down"):
        batch_system(Site.model_validate({"scheduler": {"kind": "lsf"}})).live()


def test_the_nodes_of_a_job_are_counted(tmp_path):
    hosts = tmp_path / "hosts"
    hosts.write_text("b1\nn1\nn1\nn2\n")
    environments = {
        "slurm": {"SLURM_JOB_ID": "1", "SLURM_JOB_NUM_NODES": "3"},
        "pbs": {"PBS_JOBID": "1", "PBS_NODEFILE": str(hosts)},
        "lsf": {"LSB_JOBID": "1", "LSB_DJOB_HOSTFILE": str(hosts)},
    }
    for kind, nodes in {"slurm": 3, "pbs": 3, "lsf": 2}.items():
        system = batch_system(Site.model_validate({"scheduler": {"kind": kind}}))
        assert system.allocation_nodes(environments[kind]) == nodes
        assert system.allocation_nodes({}) is None
    hosts.unlink()
    with pytest.raises(ExecutionError, match="list of the nodes of this job"):
        system.allocation_nodes(environments["lsf"])
