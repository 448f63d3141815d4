"""What a site and the options of `hpcstem queue submit` make of a batch job."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hpcstem.simulation.adapters import BatchRequest


def batch_request(
    db: str, folder: Path | None, site: str, nodes: int | None, walltime_s: int | None, slots: int | None
) -> BatchRequest:
    """Return the batch job.

    Raises
    ------
    ConfigError
        The site takes no such job, or there is no queue.
    """
    from hpcstem.errors import ConfigError
    from hpcstem.execution.site import load_site, require_submittable, require_within_limits
    from hpcstem.simulation.adapters import BatchRequest
    from hpcstem.simulation.place import is_uri, read_place
    from hpcstem.simulation.programs import DFTB_COMMAND, POTCAR_LIBRARY, SLATER_KOSTER_LIBRARY, VASP_COMMAND

    found = load_site(site)
    require_submittable(found, site)
    nodes, walltime_s = nodes or found.jobs.queue.nodes, walltime_s or found.jobs.queue.walltime_s
    require_within_limits(found, nodes, walltime_s)
    if is_uri(db):
        # The URI would stand in a script that others can read.
        raise ConfigError("--db of a submission", "a URI", "the folder of a queue; `hpcstem queue init --uri`")
    here = Path(db).resolve()
    if not (here / "campaign.yaml").is_file():
        place = read_place(here)
        if nodes > 1 and place.uri is None:
            wanted = "--nodes 1, or a queue on a MongoDB (`hpcstem queue init --uri`)"
            raise ConfigError("embedded database", f"{nodes} nodes; it serves one", wanted)
    scheduler = found.scheduler
    variables = dict.fromkeys(("http_proxy", "https_proxy"), found.paths.proxy)
    variables |= {VASP_COMMAND: found.engines.vasp_std, DFTB_COMMAND: found.engines.dftb}
    variables |= {POTCAR_LIBRARY: found.engines.potcar_library, SLATER_KOSTER_LIBRARY: found.engines.slater_koster}
    return BatchRequest(
        scheduler=scheduler.kind,  # type: ignore[arg-type] # `none` has been refused
        folder=here,
        command=_launch(here, found.node.gpus, slots),
        nodes=nodes,
        walltime_s=walltime_s,
        account=scheduler.account,
        queue=scheduler.queue,
        qos=scheduler.qos,
        constraint=scheduler.constraint,
        cores=found.node.cores or 0,
        gpus=found.node.gpus,
        directives=scheduler.directives,
        launcher=found.launcher.kind,
        launcher_arguments=found.launcher.arguments,
        modules=found.environment.modules,
        setup=found.environment.setup,
        # Quoted in the script, so that variables in paths have to be filled in here.
        variables={name: os.path.expandvars(value) for name, value in variables.items() if value}
        | dict(found.environment.variables),
    )


def _launch(here: Path, gpus: int, slots: int | None) -> tuple[str, ...]:
    beside = Path(sys.executable).with_name("hpcstem")
    program = str(beside) if beside.is_file() else shutil.which("hpcstem") or "hpcstem"
    own = ["--slots", str(slots)] if slots else []
    return (program, "queue", "launch", "--db", str(here), "--pin", *own, *(["--gpus", str(gpus)] if gpus else []))
