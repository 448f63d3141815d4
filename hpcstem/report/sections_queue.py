"""The section that shows what a queue has found for a run, read from what `hpcstem queue analyse` wrote into it."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from hpcstem.files import inside
from hpcstem.report.figures_region import cell_view
from hpcstem.report.formatting import count, plus_minus, quantity, yes_no
from hpcstem.report.page import Block, Picture, Section, Table, Words, shortened
from hpcstem.report.records import QueueAnalysis, Relaxation, RingRow, read_record
from hpcstem.report.run import Run
from hpcstem.structure.exchange import read_xyz

_LISTED_ROWS = 40


def queues_section(run: Run) -> Section | None:
    """Lead to the pages of queues in folders of the run, each with its jobs and first structures; None without one."""
    blocks: list[Block] = []
    for page in sorted(run.folder.glob("*/report.html")):
        name = page.relative_to(run.folder).as_posix()
        blocks += [*_findings(page.parent), Words(f"All results of this queue: {name}", quote(name))]
    return Section("queues", "Simulations in a queue", blocks) if blocks else None


def _findings(folder: Path) -> list[Block]:
    found = read_record(folder / "analysis.json", QueueAnalysis)
    if found is None:
        return []
    counts = ", ".join(f"{count(n)} {state}" for state, n in found.counts.items())
    blocks: list[Block] = [Words(f"Jobs: {counts or 'none'}.")]
    if found.relaxations:
        rows = [row for relaxation in found.relaxations for row in _rows(relaxation)]
        shown, note = shortened(rows, _LISTED_ROWS, "rows")
        header = (
            "Structure", "Converged", "Energy [eV]", "Ring", "Rings given", "Relaxed", "Bonds given [Å]", "Relaxed [Å]",
        )  # fmt: skip
        caption = (
            "Rings and the bonds around them, mean ± standard deviation, in the structures as they were given to the "
            f"queue, which are as imaged where they were cut out of a movie, and relaxed. {note}"
        ).strip()
        blocks.append(Table(header, shown, caption))
    if found.relaxations and found.structures:
        first = found.relaxations[0]
        cell = read_xyz(inside(folder, found.structures))[0][0]
        caption = f"{first.name}, by {first.method}, from above. y points down, as in the images."
        blocks.append(Picture(cell_view(cell), caption))
    return blocks


def _rows(relaxation: Relaxation) -> list[tuple[str, ...]]:
    given, relaxed = ({row.size: row for row in rows} for rows in (relaxation.given, relaxation.relaxed))
    head = (relaxation.name, yes_no(relaxation.converged), quantity(relaxation.energy_eV, 3))
    return [
        (*head, str(size), _number(given.get(size)), _number(relaxed.get(size)), _bond(given.get(size)),
         _bond(relaxed.get(size)))
        for size in sorted(given | relaxed)
    ]  # fmt: skip


def _number(row: RingRow | None) -> str:
    return count(row.n_rings if row else 0)


def _bond(row: RingRow | None) -> str:
    return plus_minus(row.length_A if row else None, row.length_spread_A if row else None, 3)
