"""Provenance: what made these results, from what, where and when."""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hpcstem
from hpcstem.files import read_json, write_json

if TYPE_CHECKING:
    from hpcstem.campaign.stage import Job, StageOutcome

_PACKAGES = (
    "ase",
    "dask",
    "distributed",
    "fireworks",
    "mpi4py",
    "numba",
    "numpy",
    "pyarrow",
    "scipy",
    "tblite",
    "torch",
)


def write_provenance(job: Job, outcomes: list[StageOutcome], started: float) -> None:
    """Write `provenance.json`; hosts of earlier calls are kept.

    Parameters
    ----------
    job
        The run.
    outcomes
        All stages, in order.
    started
        When this call began [s since the epoch].
    """
    path = job.run.path("provenance.json")
    before: dict[str, Any] = read_json(path) if path.exists() else {}
    campaign = job.run.path("campaign.yaml").read_bytes()
    records = {outcome.name: job.run.record(outcome.name) for outcome in outcomes}
    write_json(
        path,
        {
            "hpcstem": hpcstem.__version__,
            "git": _git_commit(),
            "python": platform.python_version(),
            "platform": platform.platform(),
            "packages": {name: version for name in _PACKAGES if (version := _version(name))},
            "hosts": sorted({*before.get("hosts", []), socket.gethostname()}),
            "seed": job.campaign.seed,
            "campaign_sha256": hashlib.sha256(campaign).hexdigest(),
            "inputs": [{"path": name, "sha256": digest} for name, digest in sorted(job.digests.used.items())],
            "started": before.get("started", _utc(started)),
            "finished": _utc(time.time()),
            "stages": [
                {
                    "name": outcome.name,
                    "status": outcome.status,
                    "seconds": record["seconds"] if record else None,
                    "finished": record["finished"] if record else None,
                    # Absent from records of the first runs.
                    "hpcstem": record.get("hpcstem") if record else None,
                }
                for outcome in outcomes
                for record in [records[outcome.name]]
            ],
        },
    )


def _utc(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _git_commit() -> str | None:
    """Commit of the checkout that the code runs from; None for an installed package, or without git."""
    root = Path(hpcstem.__file__).parents[1]
    if not (root / ".git").exists() or shutil.which("git") is None:
        return None
    done = subprocess.run(
        ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12"],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or None
