"""What a job in the database may be: our own tasks with our own fields, nothing else.

FireWorks builds any class that a document names and obeys fields that copy files or run background tasks. In a
database that several people write to, that would let any of them run anything as the owner of a worker.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hpcstem.errors import SimulationError

RELAX_TASK = "{{hpcstem.simulation.tasks.RelaxTask}}"
NVT_TASK = "{{hpcstem.simulation.tasks.NVTTask}}"
ALLOWED_TASKS = (RELAX_TASK, NVT_TASK)
UNFINISHED = "unfinished"
"""Key in what a task gives back: its segment has ended, its job has not."""

_ALLOWED_FIELDS = {
    "_add_launchpad_and_fw_id",
    "_category",
    "_exception_details",
    "_fworker",
    "_priority",
    "_tasks",
    "key",
    "labels",
    "references",
}


def check_spec(spec: Mapping[str, Any]) -> None:
    """Check the raw spec of a firework before anything is built from it.

    Raises
    ------
    SimulationError
        It holds a field or a task that is not ours.
    """
    foreign = sorted(set(spec) - _ALLOWED_FIELDS)
    if foreign:
        raise SimulationError("fields of a job's spec", foreign, f"only {sorted(_ALLOWED_FIELDS)}")
    tasks = spec.get("_tasks")
    names = [task.get("_fw_name") for task in tasks] if isinstance(tasks, list) else tasks
    if not isinstance(names, list) or len(names) != 1 or names[0] not in ALLOWED_TASKS:
        raise SimulationError("tasks of a job", names, f"one of {', '.join(ALLOWED_TASKS)}")


def restrict_loading() -> None:
    """Make FireWorks build only our tasks, in this process, from whatever document it reads."""
    from fireworks.utilities import fw_serializers

    fw_serializers.DECODE_MONTY = False
    fw_serializers.load_object = _load_object


def _load_object(document: Mapping[str, Any]) -> Any:
    from hpcstem.simulation import tasks

    if document["_fw_name"] not in ALLOWED_TASKS:
        raise SimulationError("task in the database", document["_fw_name"], f"one of {', '.join(ALLOWED_TASKS)}")
    name = document["_fw_name"].strip("{}").rsplit(".", 1)[1]
    return getattr(tasks, name).from_dict(document)
