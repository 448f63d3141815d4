"""`hpcstem doctor`."""

from __future__ import annotations

import sys
from dataclasses import asdict

import click

from hpcstem.cli.show import echo_json, echo_table, json_option


@click.command()
@json_option
def command(as_json: bool) -> None:
    """Say what works on this machine, one line per check; exit with 1 if something needed is broken."""
    from hpcstem.checks import Status
    from hpcstem.execution import checks as execution_checks
    from hpcstem.simulation.checks import checks as simulation_checks

    found = [*execution_checks(), *simulation_checks()]
    if as_json:
        echo_json([asdict(check) for check in found])
    else:
        echo_table(
            [(check.status.value, check.name, check.detail, f"→ {check.fix}" if check.fix else "") for check in found]
        )
    if any(check.status is Status.BROKEN for check in found):
        sys.exit(1)
