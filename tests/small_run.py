"""A small campaign for the tests of the whole: run once per session, copied by those who change it."""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

SMALL = {
    "name": "small",
    "seed": 5,
    "site": "local",
    "simulate": {
        "name": "sheet",
        "n_frames": 3,
        "shape": [256, 256],
        "pixel_size_A": 0.1,
        "n_silicon": 1,
        "hole_radius_A": 0,
        "events_per_frame": 1,
    },
    "decode": {"chunk_MB": 0.26},  # one frame
    "structure": {"region_size_A": 8, "region_by": "certainty"},
    "simulation": {"temperatures_K": [300, 600], "n_steps": 5, "timestep_fs": 0.5, "force_tolerance_eV_A": 0.5},
}
"""One frame per chunk; jobs of about a second."""

_PROGRAM = Path(sys.executable).parent / "hpcstem"
_TIMEOUT_S = 400


def command(*arguments: object) -> list[str]:
    """Command line of the installed program."""
    return [str(_PROGRAM), *map(str, arguments)]


def environment() -> dict[str, str]:
    """The environment without what a launcher of ranks leaves in it, for programs that share the machine's cores."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("PMI", "OMPI", "SLURM"))}
    # Threads of one program that wait for one another's core make it ten times as slow.
    return own | {"OMP_NUM_THREADS": "1"}


def hpcstem(*arguments: object, status: int = 0, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run the program to its end, and check its exit status and that it gave no traceback."""
    done = subprocess.run(
        options.pop("before", []) + command(*arguments),
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        env=environment(),
        **options,
    )
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode == status, f"status {done.returncode}: {done.stderr}"
    return done


def write_campaign(path: Path, **changes: Any) -> Path:
    """Write the small campaign with some sections changed; a section that is None is left out."""
    value = {key: section for key, section in (SMALL | changes).items() if section is not None}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(value), encoding="utf-8")
    return path


def site(path: Path, executor: str) -> Path:
    """Write a site with an executor."""
    path.write_text(f"executor: {executor}\n", encoding="utf-8")
    return path


def states(folder: Path) -> dict[str, tuple[int, str]]:
    """Time of change and SHA-256 of every file of a folder, by name."""
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, digest(path))
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def atoms(run: Path) -> dict[str, str]:
    """SHA-256 of each file of decoded atoms, by name."""
    return {path.name: digest(path) for path in sorted(run.glob("decode/atoms/*/*.parquet"))}


def stages(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """What `hpcstem run --json` says of each stage."""
    return {stage["name"]: stage["status"] for stage in json.loads(done.stdout)["stages"]}


@dataclass(frozen=True)
class SmallRun:
    """A finished run: its campaign and its folder."""

    campaign: Path
    folder: Path


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> SmallRun:
    """The small campaign, run to its end on Dask workers, once for all processes of tests; not to be changed."""
    base = tmp_path_factory.getbasetemp()
    base = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "small"
    base.mkdir(exist_ok=True)
    run = SmallRun(base / "small.yaml", base / "run")
    with open(base / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not run.campaign.exists():
            draft = write_campaign(base / "draft" / "small.yaml")
            hpcstem("run", draft, "--out", run.folder)
            draft.rename(run.campaign)
    return run


@pytest.fixture
def copied_run(finished_run: SmallRun, tmp_path: Path) -> SmallRun:
    """A copy of the finished run that a test may change."""
    folder = tmp_path / "run"
    shutil.copytree(finished_run.folder, folder)
    campaign = tmp_path / "small.yaml"
    shutil.copy2(finished_run.campaign, campaign)
    return SmallRun(campaign, folder)


@pytest.fixture
def run_here(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, str, str]]:
    """Run the command line in this process: exit status, standard output, standard error.

    An exception that the command line does not turn into a message fails the test. Libraries that this process has
    imported already keep their number of threads, so the last digits of results may differ from the program's.
    """
    from hpcstem.cli import main

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["hpcstem", *map(str, arguments)])
        status = 0
        try:
            main()
        except SystemExit as error:
            status = error.code if isinstance(error.code, int) else int(error.code is not None)
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


@pytest.fixture
def without_privileges() -> list[str]:
    """Beginning of a command line that file permissions hold for, even for root."""
    if os.geteuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        pytest.skip("tests run as root, and there is no setpriv to drop its privileges")
    return ["setpriv", "--inh-caps=-all", "--bounding-set=-all"]
