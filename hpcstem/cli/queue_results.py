"""`hpcstem queue export|analyse|web`: what the jobs of a queue have found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from hpcstem.cli.queue_place import opened, place_options, selection_options
from hpcstem.cli.show import echo_json, echo_table, json_option


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@place_options
@selection_options
@json_option
def export(
    file: Path,
    db: str,
    folder: Path | None,
    query: dict[str, Any],
    as_json: bool,
) -> None:
    """Write jobs to FILE: .parquet a table of all, .xyz or .db (ASE) the last structure of those that have ended."""
    from hpcstem.simulation.export import export as written
    from hpcstem.simulation.records import adsorption_energies_eV, read_records

    with opened(db, folder) as queue:
        # Energies of adsorption refer to jobs that the selection may leave out.
        energies_eV = adsorption_energies_eV(read_records(queue.launchpad))
        n_jobs = written(file, read_records(queue.launchpad, query), energies_eV, queue.folder)
    if as_json:
        echo_json({"file": file.resolve(), "jobs": n_jobs})
    else:
        click.echo(f"{n_jobs} jobs: {file}")


@click.command()
@place_options
@selection_options
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for the report and tables.")
@json_option
def analyse(
    db: str,
    folder: Path | None,
    query: dict[str, Any],
    out: Path,
    as_json: bool,
) -> None:
    """Write a report, tables and relaxed structures: rings, bonds, events, adsorbates, energies."""
    import csv
    import io

    from hpcstem.campaign.progress import progress_bar
    from hpcstem.files import write_json, write_text
    from hpcstem.report.queue import QueueFindings, build_queue_report
    from hpcstem.simulation.queue import queue_status
    from hpcstem.simulation.records import adsorption_rows, read_records
    from hpcstem.simulation.relaxations import relaxed_sheets
    from hpcstem.simulation.trajectories import analyse as analysed
    from hpcstem.simulation.trajectories import ring_rows
    from hpcstem.structure.exchange import write_xyz

    with opened(db, folder) as queue:
        records, chosen = read_records(queue.launchpad), read_records(queue.launchpad, query)
        status, place = queue_status(queue.launchpad, query), queue.folder
    wanted = {one.key for one in chosen}
    tables = []
    with progress_bar("analyse", len(wanted), "job") as update:
        for table in analysed(records, place, wanted):
            tables.append(table)
            update(len(tables))
    adsorption = adsorption_rows(records, wanted)
    rows = ring_rows(tables)
    relaxed = list(relaxed_sheets(records, place, wanted))
    if relaxed:
        write_xyz(out / "relaxed.xyz", [atoms for _, atoms in relaxed], {"queue": str(place)})
    structures = "relaxed.xyz" if relaxed else None
    summary = {"counts": dict(status.counts), "relaxations": [table for table, _ in relaxed], "structures": structures}
    write_json(out / "analysis.json", summary | {"trajectories": tables, "adsorption": adsorption})
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else ["name"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(out / "rings.csv", text.getvalue())
    report = build_queue_report(QueueFindings(place, status, chosen, tables, adsorption), out / "report.html")
    if as_json:
        echo_json({"trajectories": tables, "adsorption": adsorption, "report": report.resolve()})
        return
    _print(tables, rows, adsorption)
    click.echo(report)


def _print(tables: list[dict[str, Any]], rows: list[dict[str, Any]], adsorption: list[dict[str, Any]]) -> None:
    if tables:
        _print_runs(tables, rows)
    if adsorption:
        head = ("adsorbed", "E_ads (eV)", "published (eV)")
        energies = [
            (one["name"], f"{one['adsorption_energy_eV']:+.3f}", one["published_eV"] or "") for one in adsorption
        ]
        echo_table([head, *energies])


def _print_runs(tables: list[dict[str, Any]], rows: list[dict[str, Any]]) -> None:
    head = ("run", "T asked (K)", "T (K)", "drift (meV/atom/ps)", "bond broken (fs)", "5-7-7-5 (fs)", "hole healed")
    echo_table(
        [head]
        + [
            (
                table["name"],
                f"{table['temperature_K']:g}",
                f"{table['temperature_mean_K']:.0f} ± {table['temperature_std_K']:.0f}",
                "" if table["drift_eV_atom_ps"] is None else f"{1000 * table['drift_eV_atom_ps']:.2f}",
                "" if table["first_bond_broken_at_fs"] is None else f"{table['first_bond_broken_at_fs']:g}",
                ", ".join(f"{time_fs:g}" for time_fs in table["stone_wales_at_fs"]),
                "" if table["healed"] is None else f"{100 * table['healed']:.0f} %",
            )
            for table in tables
        ]
    )
    echo_table(
        [("run", "ring", "number", "length (Å)", "angle (°)", "published (Å)")]
        + [
            (
                row["name"],
                row["size"],
                row["n_rings"],
                f"{row['length_A']:.3f} ± {row['length_spread_A']:.3f}",
                f"{row['angle_deg']:.1f} ± {row['angle_spread_deg']:.1f}",
                "" if row["published_length_A"] is None else f"{row['published_length_A']:.3f}",
            )
            for row in rows
        ]
    )


@click.command()
@place_options
@click.option("--port", default=8050, show_default=True, type=click.IntRange(0, 65535), help="0 for any free one.")
def web(db: str, folder: Path | None, port: int) -> None:
    """Serve a page about the queue to browsers on this machine, until Ctrl-C."""
    import socket

    from hpcstem.errors import HpcstemError
    from hpcstem.simulation.queue import queue_status
    from hpcstem.simulation.web import QueueServer

    with opened(db, folder) as queue:
        try:
            # Not --db itself, which may be a URI with a password.
            server = QueueServer(port, lambda: queue_status(queue.launchpad), f"Queue {queue.folder.name}")
        except OSError as error:
            raise HpcstemError(f"cannot use port {port}", error.strerror, "another --port") from error
        with server:
            number = server.server_address[1]
            click.echo(f"{server.url}\nfrom elsewhere: ssh -L {number}:127.0.0.1:{number} {socket.gethostname()}")
            server.serve_forever()
