"""Options that the commands share which run a study from its YAML file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from hpcstem.cli.show import json_option

_OPTIONS = (
    click.argument("study", type=click.Path(path_type=Path)),
    click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for the results."),
    click.option("--site", default="local", show_default=True, help="Site configuration: name or path."),
    click.option("--workers", type=click.IntRange(1), help="Workers instead of the site's."),
    click.option("--dry-run", is_flag=True, help="Check the study; run nothing."),
    json_option,
)


def study_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command its STUDY, `--out`, `--site`, `--workers`, `--dry-run` and `--json`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
