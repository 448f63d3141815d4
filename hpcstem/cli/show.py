"""How commands print: a short text for people, JSON for machines."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import click

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def echo_json(value: Any) -> None:
    """Print a value as indented JSON."""
    click.echo(json.dumps(value, indent=1, allow_nan=False, default=str))


def echo_table(rows: Sequence[tuple[object, ...]]) -> None:
    """Print rows in aligned columns."""
    text = [[str(cell) for cell in row] for row in rows]
    widths = [max((len(row[i]) for row in text), default=0) for i in range(max(map(len, text), default=0))]
    for row in text:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip())
