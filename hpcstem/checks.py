"""One line of `hpcstem doctor`: what was looked at, whether it works here, and the fix."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Status(enum.StrEnum):
    """What a check found."""

    OK = "ok"
    """Works here."""
    ABSENT = "absent"
    """Optional and not here; nothing that was asked for is broken."""
    BROKEN = "broken"
    """Needed and does not work; `hpcstem doctor` exits with 1."""


@dataclass(frozen=True)
class Check:
    """Outcome of one check.

    Parameters
    ----------
    name
        What was looked at, one or two words.
    status
        What was found.
    detail
        Version, path or reason, one line.
    fix
        What to run or write; empty where nothing has to be done.
    """

    name: str
    status: Status
    detail: str
    fix: str = ""
