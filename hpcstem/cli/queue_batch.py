"""What a site and the options of `hpcstem queue submit` make of a batch job."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class QueueJob:
    """A batch job with a launcher per node.

    Parameters
    ----------
    scheduler
        What it is handed to.
    folder
        Folder of the queue.
    script_of
        Returns its script for the file that it prints to.
    """

    scheduler: str
    folder: Path
    script_of: Callable[[Path], str]


def queue_job(db: str, site: str, nodes: int | None, walltime_s: int | None, slots: int | None) -> QueueJob:
    """Return the batch job.

    Raises
    ------
    ConfigError
        The site takes no such job, or there is no queue.
    """
    from hpcstem.errors import ConfigError
    from hpcstem.execution.batch import BatchJob, render_script
    from hpcstem.execution.site import load_site, require_submittable, require_within_limits
    from hpcstem.simulation.place import is_uri, read_place
    from hpcstem.simulation.programs import DFTB_COMMAND, POTCAR_LIBRARY, SLATER_KOSTER_LIBRARY, VASP_COMMAND

    found = load_site(site)
    require_submittable(found, site)
    asked = {name: value for name, value in {"nodes": nodes, "walltime_s": walltime_s}.items() if value is not None}
    size = found.jobs.queue.model_copy(update=asked)
    require_within_limits(found, size.nodes, size.walltime_s)
    if is_uri(db):
        # The URI would stand in a script that others can read.
        raise ConfigError("--db of a submission", "a URI", "the folder of a queue; `hpcstem queue init --uri`")
    here = Path(db).resolve()
    if not (here / "campaign.yaml").is_file():
        place = read_place(here)
        if size.nodes > 1 and place.uri is None:
            wanted = "--nodes 1, or a queue on a MongoDB (`hpcstem queue init --uri`)"
            raise ConfigError("embedded database", f"{size.nodes} nodes; it serves one", wanted)
    variables = dict.fromkeys(("http_proxy", "https_proxy"), found.paths.proxy)
    variables |= {VASP_COMMAND: found.engines.vasp_std, DFTB_COMMAND: found.engines.dftb}
    variables |= {POTCAR_LIBRARY: found.engines.potcar_library, SLATER_KOSTER_LIBRARY: found.engines.slater_koster}
    # Quoted in the script, so that variables in paths have to be filled in here.
    filled = {name: os.path.expandvars(value) for name, value in variables.items() if value}
    own = {"variables": filled | dict(found.environment.variables)}
    found = found.model_copy(update={"environment": found.environment.model_copy(update=own)})
    command = _launch(here, found.node.gpus, slots)

    def script_of(log: Path) -> str:
        return render_script(found, BatchJob("hpcstem-queue", "queue", command, here, log, size))

    return QueueJob(found.scheduler.kind, here, script_of)


def _launch(here: Path, gpus: int, slots: int | None) -> tuple[str, ...]:
    beside = Path(sys.executable).with_name("hpcstem")
    program = str(beside) if beside.is_file() else shutil.which("hpcstem") or "hpcstem"
    own = ["--slots", str(slots)] if slots else []
    return (program, "queue", "launch", "--db", str(here), "--pin", *own, *(["--gpus", str(gpus)] if gpus else []))
