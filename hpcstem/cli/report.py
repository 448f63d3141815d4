"""`hpcstem report`."""

from __future__ import annotations

from pathlib import Path

import click

from hpcstem.cli.show import echo_json, json_option


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="File to write; RUN/report.html by default.")
@json_option
def command(run: Path, out: Path | None, as_json: bool) -> None:
    """Write the HTML report of the run directory RUN."""
    from hpcstem.report import build_report

    path = build_report(run, out).resolve()
    if as_json:
        echo_json({"report": str(path)})
    else:
        click.echo(f"report: {path}")
