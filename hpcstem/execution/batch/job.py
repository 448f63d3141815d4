"""One batch job: what runs, where, and how large."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hpcstem.errors import ConfigError
from hpcstem.execution.site_sections import JobSize

JobKind = Literal["frames", "training", "fits", "queue", "dask"]
"""What a job does, which decides how its command is started: once, on every node, or as MPI ranks."""

# Longer ones are broken over two lines in PBS's answers.
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,61}")
# Every batch system gives some sign in a directive's path a meaning of its own: % Slurm, ^ PBS, % LSF, blanks all.
_PLAIN_PATH = re.compile(r"/[A-Za-z0-9_.:=,@+/-]+")


@dataclass(frozen=True)
class BatchJob:
    """What is handed to a batch system.

    Parameters
    ----------
    name
        Name in the batch system.
    kind
        How the command is started.
    command
        Program and arguments, each a word of its own.
    folder
        Absolute path of the folder that the command runs in.
    log
        Absolute path of the file for what it prints.
    size
        Nodes and time.

    Raises
    ------
    ConfigError
        A name or path that a batch system could misread.
    """

    name: str
    kind: JobKind
    command: tuple[str, ...]
    folder: Path
    log: Path
    size: JobSize

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ConfigError(
                "name of a batch job", repr(self.name), "62 letters, digits, _ . or - at most, first a letter"
            )
        for path in (self.folder, self.log):
            if not _PLAIN_PATH.fullmatch(str(path)):
                raise ConfigError(
                    "path of a batch job", repr(str(path)), "an absolute path of letters, digits and _ . : = , @ + / -"
                )
        if any("\n" in word or "\0" in word for word in self.command):
            raise ConfigError("command of a batch job", repr(self.command), "words without line breaks")
