"""Batch systems: hand a script over, ask which jobs are still to come or running."""

from __future__ import annotations

import getpass
import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from hpcstem.errors import ConfigError, ExecutionError
from hpcstem.execution.site import Site

_TIMEOUT_S = 120.0


class BatchSystem(Protocol):
    """What hpcstem needs of a batch system."""

    cancel_program: str
    """Command that cancels jobs, given their numbers."""

    def submit(self, script: Path, after: Sequence[str] = ()) -> str:
        """Hand a script over; return the number of the job.

        Parameters
        ----------
        script
            The batch script.
        after
            Numbers of jobs that have to succeed first. When one fails, this job is removed.

        Raises
        ------
        ExecutionError
            The batch system cannot be reached, or refuses; its message is given.
        """
        ...

    def live(self) -> dict[str, str]:
        """Name of each of this user's jobs that wait or run, by its number.

        Raises
        ------
        ExecutionError
            The batch system cannot be reached.
        """
        ...

    def cancel(self, numbers: Sequence[str]) -> None:
        """Cancel jobs; those that have ended are passed over."""
        _answer([self.cancel_program, *numbers], harmless="")

    def allocation_nodes(self, environment: Mapping[str, str]) -> int | None:
        """Return how many nodes the job has that this process runs in; None outside of any job.

        Raises
        ------
        ExecutionError
            The list of them, of which the environment tells, cannot be read.
        """
        ...


class Slurm(BatchSystem):
    """Slurm: sbatch and squeue."""

    cancel_program = "scancel"

    def submit(self, script: Path, after: Sequence[str] = ()) -> str:
        """See `BatchSystem.submit`."""
        condition = [f"--dependency=afterok:{':'.join(after)}", "--kill-on-invalid-dep=yes"] if after else []
        # With --parsable: number, or number;cluster.
        return _number(_answer(["sbatch", "--parsable", *condition, str(script)]), r"(\d+)", "sbatch")

    def live(self) -> dict[str, str]:
        """See `BatchSystem.live`."""
        lines = _answer(["squeue", f"--user={getpass.getuser()}", "--noheader", "--format=%i %j"]).splitlines()
        return dict(line.split(maxsplit=1) for line in lines if " " in line.strip())

    def allocation_nodes(self, environment: Mapping[str, str]) -> int | None:
        """See `BatchSystem.allocation_nodes`."""
        return int(environment.get("SLURM_JOB_NUM_NODES", "1")) if "SLURM_JOB_ID" in environment else None


class Pbs(BatchSystem):
    """OpenPBS and PBS Pro: qsub, qselect and qstat."""

    cancel_program = "qdel"

    def submit(self, script: Path, after: Sequence[str] = ()) -> str:
        """See `BatchSystem.submit`."""
        condition = ["-W", f"depend=afterok:{':'.join(after)}"] if after else []
        return _number(_answer(["qsub", *condition, str(script)]), r"(\d+\S*)", "qsub")

    def live(self) -> dict[str, str]:
        """See `BatchSystem.live`."""
        numbers = _answer(["qselect", "-u", getpass.getuser()]).split()
        if not numbers:
            return {}
        # A job that ends in between makes qstat complain of it, and print the others all the same.
        text = _answer(["qstat", "-f", *numbers], harmless="Unknown Job Id")
        return dict(re.findall(r"^Job Id: (\S+)\n(?:.*\n)*?\s+Job_Name = (\S+)", text, re.MULTILINE))

    def allocation_nodes(self, environment: Mapping[str, str]) -> int | None:
        """See `BatchSystem.allocation_nodes`."""
        return _hosts(environment.get("PBS_NODEFILE")) if "PBS_JOBID" in environment else None


class Lsf(BatchSystem):
    """LSF: bsub and bjobs."""

    cancel_program = "bkill"

    def submit(self, script: Path, after: Sequence[str] = ()) -> str:
        """See `BatchSystem.submit`."""
        condition = ["-ti", "-w", " && ".join(f"done({number})" for number in after)] if after else []
        answer = _answer(["bsub", *condition], text=script.read_text(encoding="utf-8"))
        return _number(answer, r"Job <(\d+)>", "bsub")

    def live(self) -> dict[str, str]:
        """See `BatchSystem.live`."""
        answer = _answer(["bjobs", "-noheader", "-o", "jobid job_name"], harmless="No unfinished job found")
        lines = answer.splitlines()
        return dict(line.split(maxsplit=1) for line in lines if re.match(r"\d+ \S", line))

    def allocation_nodes(self, environment: Mapping[str, str]) -> int | None:
        """See `BatchSystem.allocation_nodes`; the node that the script itself runs on is not counted."""
        return max(1, _hosts(environment.get("LSB_DJOB_HOSTFILE")) - 1) if "LSB_JOBID" in environment else None


_SYSTEMS: dict[str, type[BatchSystem]] = {"slurm": Slurm, "pbs": Pbs, "lsf": Lsf}


def batch_system(site: Site) -> BatchSystem:
    """Batch system of a site.

    Raises
    ------
    ConfigError
        It has none.
    """
    if site.scheduler.kind == "none":
        raise ConfigError("site has no batch system", "scheduler.kind: none", "a --site with slurm, pbs or lsf")
    return _SYSTEMS[site.scheduler.kind]()


def _hosts(file: str | None) -> int:
    """Number of different hosts in a file with one per line; 1 where there is none."""
    if file is None:
        return 1
    try:
        return max(1, len(set(Path(file).read_text(encoding="utf-8").split())))
    except OSError as error:
        raise ExecutionError(
            f"list of the nodes of this job, {file}", error.strerror, "the same command on the first node of the job"
        ) from error


def _answer(command: list[str], text: str | None = None, harmless: str | None = None) -> str:
    """What a command of the batch system prints; a failure that says `harmless` is none."""
    program = command[0]
    try:
        done = subprocess.run(
            command,
            input=text,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
            env={**os.environ, "LC_ALL": "C"},
        )
    except FileNotFoundError as error:
        raise ExecutionError(
            program, "no such program", "a machine where the batch system is, such as a login node"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise ExecutionError(program, f"no answer in {_TIMEOUT_S:g} s", "to try again later") from error
    if done.returncode != 0 and (harmless is None or harmless not in done.stderr):
        lines = (done.stderr or done.stdout).strip().splitlines()
        raise ExecutionError(f"{program} refuses", "; ".join(lines[-3:]) or f"exit status {done.returncode}")
    return done.stdout


def _number(answer: str, pattern: str, program: str) -> str:
    found = re.search(pattern, answer)
    if found is None:
        raise ExecutionError(f"{program} gives no number of a job", repr(answer.strip()))
    return found[1]
