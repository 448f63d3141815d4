"""Where a site keeps its programs and licensed parameter files: read from the environment, never from a job."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from hpcstem.config import Section
from hpcstem.errors import ConfigError

VASP_COMMAND, POTCAR_LIBRARY = "HPCSTEM_VASP_COMMAND", "HPCSTEM_POTCAR_LIBRARY"
DFTB_COMMAND, SLATER_KOSTER_LIBRARY = "HPCSTEM_DFTB_COMMAND", "HPCSTEM_SLATER_KOSTER_LIBRARY"


class Programs(Section):
    """Programs and parameter files of a site.

    Parameters
    ----------
    vasp_command
        Words that start VASP, such as `srun vasp_std`; `HPCSTEM_VASP_COMMAND`.
    potcar_library
        Folder with a folder per POTCAR, such as `Cr_pv/POTCAR`; `HPCSTEM_POTCAR_LIBRARY`.
    dftb_command
        Words that start DFTB+; `HPCSTEM_DFTB_COMMAND`.
    slater_koster_library
        Folder with a folder per Slater-Koster set; `HPCSTEM_SLATER_KOSTER_LIBRARY`.
    """

    vasp_command: tuple[str, ...] = ("vasp_std",)
    potcar_library: Path | None = None
    dftb_command: tuple[str, ...] = ("dftb+",)
    slater_koster_library: Path | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Return what the environment variables say; an absent one leaves the default.

        Raises
        ------
        ConfigError
            A command has an open quote or no words.
        """
        return cls(
            vasp_command=_words(environment, VASP_COMMAND, "vasp_std"),
            potcar_library=_folder(environment, POTCAR_LIBRARY),
            dftb_command=_words(environment, DFTB_COMMAND, "dftb+"),
            slater_koster_library=_folder(environment, SLATER_KOSTER_LIBRARY),
        )


def _words(environment: Mapping[str, str], variable: str, default: str) -> tuple[str, ...]:
    text = environment.get(variable, default)
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        raise ConfigError(variable, f"{text!r}: {error}", "a command with closed quotes") from error
    if not words:
        raise ConfigError(variable, repr(text), f"a command, such as {default}")
    return words


def _folder(environment: Mapping[str, str], variable: str) -> Path | None:
    return Path(environment[variable]) if environment.get(variable) else None
