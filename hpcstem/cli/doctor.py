"""`hpcstem doctor`."""

from __future__ import annotations

import sys
from dataclasses import asdict

import click

from hpcstem.cli.show import echo_json, echo_table, json_option


@click.command()
@click.option("--site", help="Try what a site configuration says too; most of it shows within a batch job.")
@json_option
def command(site: str | None, as_json: bool) -> None:
    """Say what works on this machine, one line per check; exit with 1 if something needed is broken."""
    from hpcstem.checks import Status
    from hpcstem.execution import checks as execution_checks
    from hpcstem.execution import load_site
    from hpcstem.execution.site_checks import site_checks
    from hpcstem.simulation.checks import checks as simulation_checks

    loaded = None if site is None else load_site(site)
    found = [*execution_checks(loaded), *simulation_checks()]
    if site is not None and loaded is not None:
        found += site_checks(loaded, site)
    if as_json:
        echo_json([asdict(check) for check in found])
    else:
        echo_table(
            [(check.status.value, check.name, check.detail, f"→ {check.fix}" if check.fix else "") for check in found]
        )
    if any(check.status is Status.BROKEN for check in found):
        sys.exit(1)
