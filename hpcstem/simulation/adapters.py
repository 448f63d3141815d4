"""Batch jobs that run launchers of the queue, handed over by FireWorks' queue adapters.

FireWorks puts values into its templates as they are: a newline in an account name becomes a directive or a command.
Scripts are therefore our own, and only their submission is left to it.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

from fireworks.user_objects.queue_adapters.common_adapter import CommonAdapter

from hpcstem.errors import SimulationError

_TYPES = {"slurm": "SLURM", "pbs": "PBS", "lsf": "LoadSharingFacility"}
_SUBMIT_TIMEOUT_S = 60


class BatchAdapter(CommonAdapter):
    """FireWorks' adapter: it submits a script and reads the number of the job.

    Parameters
    ----------
    scheduler
        `slurm`, `pbs` or `lsf`.
    """

    _fw_name = "hpcstem BatchAdapter"

    def __init__(self, scheduler: str) -> None:
        super().__init__(_TYPES[scheduler], timeout=_SUBMIT_TIMEOUT_S)

    def submit(self, script: Path) -> str:
        """Submit a script that is written; return the number that the scheduler gave it.

        Raises
        ------
        SimulationError
            The scheduler is absent or refuses it.
        """
        heard = _Heard()
        logger = logging.getLogger(f"qadapter.{self.q_name}")
        logger.addHandler(heard)
        try:
            number = self.submit_to_queue(str(script))
        finally:
            logger.removeHandler(heard)
        if number is None:
            wanted = f"a {self.q_commands[self.q_type]['submit_cmd']} that takes the script"
            raise SimulationError(f"cannot submit {script}", _answer(" ".join(heard.messages)), wanted)
        return str(number)


def _answer(heard: str) -> str:
    """What the scheduler said, out of what FireWorks makes of it."""
    said = re.search(r"error response reads: b?(['\"])(.*?)\1", heard)
    return (said[2].replace("\\n", " ").strip() if said else heard)[-500:] or "no answer"


class _Heard(logging.Handler):
    """Keeps what FireWorks says about a failed submission, which it only logs."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []

    def emit(self, record: Any) -> None:
        self.messages.append(" ".join(record.getMessage().split()))
