"""One self-contained HTML page of a queue of simulations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hpcstem.files import inside
from hpcstem.report.build import write_page
from hpcstem.report.figures_dynamics import dynamics_figure
from hpcstem.report.figures_region import cell_view
from hpcstem.report.formatting import UNKNOWN, count, duration, plus_minus, quantity, yes_no
from hpcstem.report.movie import movie
from hpcstem.report.page import Block, Facts, Picture, Player, Section, Table, Words, shortened
from hpcstem.report.trajectories import read_energy_trace, read_last_structure
from hpcstem.simulation.jobs import RELAX
from hpcstem.simulation.published import ADSORBATES, ANGLES, CR_C_LENGTH_A
from hpcstem.simulation.queue import QueueStatus
from hpcstem.simulation.records import JobRecord
from hpcstem.simulation.summary import by_axis, failures
from hpcstem.simulation.trajectories import ring_rows
from hpcstem.structure.exchange import read_xyz

_LISTED = 200
_SHOWN_STRUCTURES, _SHOWN_RUNS = 6, 8
_PLAYER_BYTES = 3_000_000
"""For the positions of all trajectories together, of the 8 MB of a page."""


@dataclass(frozen=True)
class QueueFindings:
    """What a queue holds and what its jobs have found.

    Parameters
    ----------
    folder
        Folder of its files.
    status
        The queue.
    records
        Jobs to show.
    tables
        Tables of molecular dynamics, as `hpcstem.simulation.trajectories.analyse` yields them.
    adsorption
        Rows of `hpcstem.simulation.records.adsorption_rows`.
    """

    folder: Path
    status: QueueStatus
    records: Sequence[JobRecord]
    tables: Sequence[dict[str, Any]] = field(default_factory=list)
    adsorption: Sequence[dict[str, Any]] = field(default_factory=list)


def build_queue_report(found: QueueFindings, output: Path) -> Path:
    """Write the report of a queue: one HTML file that needs nothing else.

    Parameters
    ----------
    found
        What to report.
    output
        The file to write.

    Raises
    ------
    HpcstemError
        A damaged file of a job (named), or a page over 8 MB at every resolution.
    """
    sections = [
        queue_section(found.status, found.records),
        structures_section(found),
        adsorption_section(found),
        rings_section(found.tables),
        dynamics_section(found),
    ]
    filled = [section for section in sections if section.blocks]
    return write_page(output, found.folder.name, "Report of a queue of hpcstem", filled)


def queue_section(status: QueueStatus, records: Sequence[JobRecord]) -> Section:
    """Show the jobs by state and axis, what failed and why, and the methods."""
    results = [one.result for one in records if one.result is not None]
    wall_s = sum(result.wall_s for result in results)
    methods = sorted({result.method for result in results})
    blocks: list[Block] = [
        Facts(
            [
                ("Jobs", ", ".join(f"{count(n)} {state}" for state, n in status.counts.items()) or "none"),
                ("Methods", "; ".join(methods) or UNKNOWN),
                ("Time of the processes that ended jobs", duration(wall_s)),
                *[("Remark", remark) for remark in sorted({text for one in results for text in one.remarks})],
            ]
        )
    ]
    axes = by_axis(status.jobs)
    if axes:
        rows = [(row.axis, row.value, ", ".join(f"{n} {state}" for state, n in row.counts.items())) for row in axes]
        blocks.append(Table(("Axis", "Value", "Jobs"), rows, "Jobs by axis of the sweep.", text_columns=3))
    failed = failures(status.jobs)
    if failed:
        failed_rows = [
            (
                count(one.n_jobs),
                one.reason,
                f"{one.example} ({one.key[:12]})",
                ", ".join(f"{axis}={value}" for axis, value in one.where.items()),
            )
            for one in failed
        ]
        shown, note = shortened(failed_rows, _LISTED, "reasons")
        caption = f"What failed and why. {note}".strip()
        blocks.append(Table(("Jobs", "Reason", "Such as", "All of them"), shown, caption, text_columns=4))
    return Section("queue", "Queue", blocks)


def structures_section(found: QueueFindings) -> Section:
    """Show what the relaxations have found."""
    relaxed = [one.result for one in found.records if one.result is not None and one.result.kind == RELAX]
    if not relaxed:
        return Section("structures", "Relaxed structures")
    rows = [
        (
            one.name,
            one.method,
            yes_no(one.converged),
            count(one.n_steps),
            quantity(one.max_force_eV_A, 4),
            quantity(one.energy_eV, 3),
        )
        for one in relaxed
    ]
    shown, note = shortened(rows, _LISTED, "relaxations")
    header = ("Structure", "Method", "Converged", "Steps", "Largest force [eV/Å]", "Energy [eV]")
    blocks: list[Block] = [Table(header, shown, f"Relaxations. {note}".strip(), text_columns=3)]
    # Adsorbates alone say nothing as a picture.
    drawn = [one for one in found.records if one.result in relaxed and one.labels.get("role") != "isolated"]
    for one in drawn[:_SHOWN_STRUCTURES]:
        if one.result is not None:
            cell = read_last_structure(inside(found.folder, one.result.structure))
            caption = (
                f"{one.result.name}: relaxed, from above, by {one.result.method}. y points down, as in the images."
            )
            if len(drawn) > _SHOWN_STRUCTURES:
                caption += f" One of the first {_SHOWN_STRUCTURES} of {len(drawn)}."
            blocks.append(Picture(cell_view(cell), caption))
    return Section("structures", "Relaxed structures", blocks)


def adsorption_section(found: QueueFindings) -> Section:
    """Show energies of adsorption and how adsorbates move, beside published numbers."""
    blocks: list[Block] = []
    if found.adsorption:
        rows = [
            (
                row["name"],
                row["method"],
                quantity(row["adsorption_energy_eV"], 3),
                row["published_eV"] or UNKNOWN,
                quantity(row["above_hollow_eV"], 3),
                quantity(row["published_above_hollow_eV"], 3),
            )
            for row in found.adsorption
        ]
        header = (
            "Structure", "Method", "E_ads [eV]", "Published [eV]", "Over hollow [eV]", "Published [eV]",
        )  # fmt: skip
        shown, note = shortened(rows, _LISTED, "energies")
        caption = (
            "Energies of adsorption: E(sheet) + E(adsorbate) − E(sheet with adsorbate), positive where it is bound. "
            "Published: numbers that a study of a patch of 91 atoms printed, by PBE without spin, as printed: its "
            "formula is the same, its numbers are negative for what is bound. Energies over that of the hollow site "
            f"are of totals, all else the same. {note}"
        ).strip()
        blocks.append(Table(header, shown, caption, text_columns=2))
    moving = [table for table in found.tables if "adsorbate" in table]
    if moving:
        shown, note = shortened([_motion_row(table) for table in moving], _LISTED, "runs")
        caption = (
            f"Adsorbates in molecular dynamics: means over each run. Published, at 300 K: {ADSORBATES}, wholly or in "
            f"part; Cr over a hollow is {CR_C_LENGTH_A:.3f} Å from its nearest atoms. {note}"
        ).strip()
        header = (
            "Run", "Sites, share of frames", "Height [Å]", "Nearest atom [Å]", "Diffusion [Å²/ps]", "Hole healed [%]",
        )  # fmt: skip
        blocks.append(Table(header, shown, caption, text_columns=2))
    return Section("adsorption", "Adsorbates", blocks)


def rings_section(tables: Sequence[dict[str, Any]]) -> Section:
    """Show bond lengths and angles by size of ring, beside published lengths."""
    rows = [
        (
            row["name"],
            str(row["size"]),
            count(row["n_rings"]),
            plus_minus(row["length_A"], row["length_spread_A"], 3),
            quantity(row["published_length_A"], 3),
            plus_minus(row["angle_deg"], row["angle_spread_deg"], 1),
        )
        for row in ring_rows(tables)
    ]
    if not rows:
        return Section("rings", "Rings and bonds")
    shown, note = shortened(rows, _LISTED, "rows")
    caption = (
        "Bonds and angles by atoms of a ring, mean ± standard deviation over the rings of all frames of the second "
        "half of a run. Published: a study of a patch of 91 atoms by PBE, at the same temperature; it says that "
        f"{ANGLES}. {note}"
    ).strip()
    header = ("Run", "Ring", "Rings", "Length [Å]", "Published [Å]", "Angle [°]")
    return Section("rings", "Rings and bonds", [Table(header, shown, caption)])


def dynamics_section(found: QueueFindings) -> Section:
    """Show what happened in molecular dynamics, as a table, as curves, and to play."""
    if not found.tables:
        return Section("dynamics", "Molecular dynamics")
    shown, note = shortened([_event_row(table) for table in found.tables], _LISTED, "runs")
    header = (
        "Run", "Method", "Length [fs]", "Reached [K]", "Drift [meV/atom/ps]", "First bond broken [fs]", "Bonds broken",
        "Bonds made", "5-7-7-5 at [fs]", "Hole healed [%]",
    )  # fmt: skip
    caption = (
        "Molecular dynamics: temperature as mean ± standard deviation over the second half; bonds broken and made as "
        f"of the last frame against the first; times at which a Stone-Wales defect 5-7-7-5 appears. {note}"
    ).strip()
    blocks: list[Block] = [Table(header, shown, caption, text_columns=2)]
    if len(found.tables) > _SHOWN_RUNS:
        blocks.append(Words(f"Shown below: the first {_SHOWN_RUNS} of {len(found.tables)} runs; --where chooses."))
    for table in found.tables[:_SHOWN_RUNS]:
        blocks += _run_blocks(table, found.folder, _PLAYER_BYTES // min(len(found.tables), _SHOWN_RUNS))
    return Section("dynamics", "Molecular dynamics", blocks)


def _run_blocks(table: dict[str, Any], folder: Path, largest_bytes: int) -> Iterator[Block]:
    path = inside(folder, table["trajectory"])
    what = f"{table['name']}, by {table['method']}"
    trace = read_energy_trace(path.with_name("energies.csv"))
    yield Picture(dynamics_figure(table, trace), f"{what}. Dashed, the thermostat's temperature.")
    caption = (
        f"{what}, from above; drag to turn it. Rings that are no hexagons are coloured: pentagons purple, heptagons "
        "green, octagons orange. Bonds are drawn up to the longest that counts as one, and not over the boundary of "
        "the cell."
    )
    yield Player(movie(read_xyz(path)[0], largest_bytes), caption)


def _event_row(table: dict[str, Any]) -> tuple[str, ...]:
    drift_eV = table["drift_eV_atom_ps"]
    return (
        table["name"],
        table["method"],
        quantity(table["length_fs"], 0),
        plus_minus(table["temperature_mean_K"], table["temperature_std_K"], 0),
        quantity(None if drift_eV is None else 1000 * drift_eV, 2),
        quantity(table["first_bond_broken_at_fs"], 0),
        count(table["bonds_broken_at_end"]),
        count(table["bonds_made_at_end"]),
        ", ".join(f"{time_fs:g}" for time_fs in table["stone_wales_at_fs"]) or UNKNOWN,
        _percent(table["healed"]),
    )


def _motion_row(table: dict[str, Any]) -> tuple[str, ...]:
    adsorbate = table["adsorbate"]
    heights_A, nearest_A = adsorbate["height_A"], adsorbate["nearest_atom_A"]
    return (
        table["name"],
        ", ".join(f"{site} {100 * share:.0f} %" for site, share in adsorbate["share_of_sites"].items()),
        quantity(sum(heights_A) / len(heights_A), 3),
        quantity(sum(nearest_A) / len(nearest_A), 3),
        quantity(adsorbate["diffusion_A2_ps"], 2),
        _percent(table["healed"]),
    )


def _percent(share: float | None) -> str:
    return quantity(None if share is None else 100 * share, 0)
