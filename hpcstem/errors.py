"""Errors that a person can act on: the thing, the value got, the value wanted.

Every error that a user's input can cause derives from `HpcstemError`; the command line prints its message
and exits with `exit_status`, without a traceback. Anything else that escapes is a bug in hpcstem.
"""

from __future__ import annotations


class HpcstemError(Exception):
    """Base of all errors that a user can act on.

    Parameters
    ----------
    thing
        What is wrong: a file, a key, a frame, a rank.
    got
        The value or state found.
    wanted
        What would be right, or what to write or run instead.
    """

    exit_status = 2

    def __init__(self, thing: object, got: object = None, wanted: object = None) -> None:
        self.thing, self.got, self.wanted = thing, got, wanted
        parts = [str(thing)]
        if got is not None:
            parts.append(f"got {got}")
        if wanted is not None:
            parts.append(f"wanted {wanted}")
        super().__init__("; ".join(parts))

    def __reduce__(self) -> tuple[type, tuple[object, ...]]:
        """Pickle by the three parts, so that the error crosses process boundaries whole."""
        return type(self), (self.thing, self.got, self.wanted)


class ConfigError(HpcstemError):
    """A campaign, site or training file says something that cannot be used."""


class MovieError(HpcstemError):
    """A movie cannot be opened or read, or lacks what the work needs."""


class AtomTableError(HpcstemError):
    """A table of atoms breaks its own rules."""


class ModelError(HpcstemError):
    """An ensemble cannot be read, or does not fit the movie."""


class StructureError(HpcstemError):
    """Atoms cannot be turned into the structure asked for."""


class ExecutionError(HpcstemError):
    """Work on an executor failed or cannot start."""

    exit_status = 3


class SimulationError(HpcstemError):
    """An engine, a job or a result is not usable."""

    exit_status = 3


class AbsentError(SimulationError):
    """A program, a package or a licensed file of an engine is not on this machine; another may have it."""


class DatabaseError(HpcstemError):
    """The job database cannot be started, reached or read."""

    exit_status = 3


class HpcstemWarning(UserWarning):
    """Something a scientist should know although the work goes on."""
