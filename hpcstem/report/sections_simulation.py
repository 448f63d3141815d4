"""Sections that show the cell cut out for simulation and what the simulation made of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hpcstem.report.figures_region import cell_view, displacements_A, relaxation
from hpcstem.report.figures_traces import temperature_traces
from hpcstem.report.formatting import (
    UNKNOWN,
    count,
    duration,
    pair_label,
    plus_minus,
    quantity,
    yes_no,
)
from hpcstem.report.page import Absent, Block, Facts, Picture, Section, Table, Words, shortened
from hpcstem.report.records import Comparison, Job, Region
from hpcstem.report.run import Run
from hpcstem.report.trajectories import TemperatureTrace, read_last_structure, read_temperature_trace

if TYPE_CHECKING:
    from ase import Atoms

_LISTED_JOBS = 200
_KEY_DIGITS = 8
_SHOWN_TRACES = 12
_TEMPERATURE_IN_NAME = re.compile(r"(\d+(?:\.\d+)?)K$")


def region_section(run: Run) -> Section:
    """Show the region, its relaxed form, and how far the atoms moved."""
    title = "Region for simulation"
    blocks: list[Block] = []
    region = run.structure.region if run.structure else None
    if region:
        blocks.append(_region_facts(region))
    cell_path, relaxed_path = (
        run.folder / "structure" / "region.xyz",
        run.folder / "simulation" / "relaxed.xyz",
    )
    if not cell_path.exists():
        return Section("region", title, [*blocks, Absent("The cell for simulation is", "structure")])
    decoded = read_last_structure(cell_path)
    if not relaxed_path.exists():
        caption = "The cell for simulation as decoded, from above. y points down, as in the images."
        blocks += [Picture(cell_view(decoded), caption), Absent("The relaxed cell is", "simulation")]
        return Section("region", title, blocks)
    relaxed = read_last_structure(relaxed_path)
    if list(decoded.symbols) != list(relaxed.symbols):
        caption = "The relaxed cell from above."
        words = "It does not hold the atoms of the decoded cell in the same order: the two cannot be compared."
        blocks += [Picture(cell_view(relaxed), caption), Words(words)]
        return Section("region", title, blocks)
    blocks.append(_relaxation_picture(decoded, relaxed))
    comparison = run.simulation.comparison if run.simulation else None
    if comparison:
        blocks.append(_comparison_table(comparison))
    return Section("region", title, blocks)


def simulation_section(run: Run) -> Section:
    """Energies, bond lengths and temperatures of the jobs."""
    if run.simulation is None:
        absent = Absent("Energies, bonds and temperatures are", "simulation")
        return Section("simulation", "Simulation", [absent])
    blocks: list[Block] = []
    if run.simulation.method:
        blocks.append(Words(f"Method: {run.simulation.method}."))
    jobs = run.simulation.jobs
    blocks.append(_job_table(jobs))
    traces = _traces(run.folder / "simulation", jobs)
    if traces:
        caption = "Instantaneous temperature of each molecular-dynamics run; dashed, the thermostat's temperature."
        shown = sorted(traces, key=lambda trace: (trace.target_K is None, trace.target_K or 0.0, trace.label))
        if len(shown) > _SHOWN_TRACES:
            caption += f" The first {_SHOWN_TRACES} of {len(shown)} runs."
        blocks.append(Picture(temperature_traces(shown[:_SHOWN_TRACES]), caption))
    bonds = _bond_table(jobs)
    if bonds.rows:
        blocks.append(bonds)
    return Section("simulation", "Simulation", blocks)


def _region_facts(region: Region) -> Facts:
    centre = UNKNOWN
    if region.centre_A:
        centre = f"x {quantity(region.centre_A[0], 1, 'Å')}, y {quantity(region.centre_A[1], 1, 'Å')}"
    return Facts(
        [
            ("Movie and frame", f"{region.movie or UNKNOWN}, frame {count(region.frame)}"),
            ("Centre in the frame", centre),
            ("Side", quantity(region.size_A, 1, "Å")),
            ("Atoms", f"{count(region.n_atoms)} decoded, and {count(region.n_H)} H added at cut edges"),
            ("Formula", region.formula or UNKNOWN),
            ("Chosen because", region.reason or UNKNOWN),
            ("Mean detection by the ensemble", quantity(region.mean_detection, 3)),
            ("Mean uncertainty of a position", quantity(region.mean_sigma_A, 3, "Å")),
        ]
    )


def _relaxation_picture(decoded: Atoms, relaxed: Atoms) -> Picture:
    displacement = displacements_A(decoded, relaxed)
    length = np.linalg.norm(displacement[:, :2], axis=1)
    height = relaxed.positions[:, 2]
    caption = (
        "The cell from above before and after relaxation. Left, relaxed atoms and bonds, with the decoded "
        "positions as open circles; right, the in-plane displacement of each atom "
        f"(median {np.median(length):.3f} Å, largest {length.max():.3f} Å). The relaxed sheet spans "
        f"{np.ptp(height):.2f} Å in height. Bonds are drawn up to 1.15 times the sum of the covalent radii, "
        "and not across the boundary of the cell. y points down, as in the images."
    )
    return Picture(relaxation(decoded, relaxed), caption)


def _comparison_table(comparison: Comparison) -> Table:
    row = (
        quantity(comparison.mean_error_x_percent, 2),
        quantity(comparison.mean_error_y_percent, 2),
        quantity(comparison.bond_error_x_percent, 2),
        quantity(comparison.bond_error_y_percent, 2),
        quantity(comparison.rms_displacement_A, 3),
        quantity(comparison.max_displacement_A, 3),
    )
    header = (
        "Mean error in x [%]",
        "Mean error in y [%]",
        "Bond vectors, x [%]",
        "Bond vectors, y [%]",
        "RMS displacement [Å]",
        "Largest displacement [Å]",
    )
    return Table(header, [row], "Decoded against relaxed coordinates, atom by atom.", text_columns=0)


def _job_table(jobs: list[Job]) -> Table:
    rows = [
        (
            job.label,
            job.key[:_KEY_DIGITS],
            job.state or UNKNOWN,
            yes_no(job.converged),
            job.host or UNKNOWN,
            quantity(job.temperature_K, 0),
            plus_minus(job.temperature_mean_K, job.temperature_std_K, 0),
            count(job.n_steps),
            quantity(job.energy_eV, 3),
            quantity(job.energy_drift_meV_per_atom_ps, 2),
            duration(job.wall_s),
        )
        for job in jobs
    ]
    header = (
        "Job", "Key", "State", "Converged", "Host", "Set [K]", "Reached [K]", "Steps", "Energy [eV]",
        "Drift [meV/atom/ps]", "Wall time",
    )  # fmt: skip
    shown, note = shortened(rows, _LISTED_JOBS, "jobs")
    return Table(header, shown, f"Jobs; temperatures as mean ± standard deviation. {note}".strip(), text_columns=5)


def _bond_table(jobs: list[Job]) -> Table:
    rows = [
        (job.label, pair_label(pair), plus_minus(bond.mean_A, bond.std_A, 3), count(bond.n))
        for job in jobs
        for pair, bond in job.bonds.items()
    ]
    shown, note = shortened(rows, _LISTED_JOBS, "rows")
    caption = f"Bond lengths, mean ± standard deviation. {note}".strip()
    return Table(("Job", "Bond", "Length [Å]", "Bonds"), shown, caption, text_columns=2)


def _traces(folder: Path, jobs: list[Job]) -> list[TemperatureTrace]:
    """Traces of `nvt-*.xyz`, each with the set temperature that its name and the list of jobs give."""
    targets = {job.temperature_K for job in jobs if job.kind == "nvt"}
    traces = []
    for path in sorted(folder.glob("nvt-*.xyz")):
        named = _TEMPERATURE_IN_NAME.search(path.stem)
        target = float(named.group(1)) if named and float(named.group(1)) in targets else None
        trace = read_temperature_trace(path, path.stem.removeprefix("nvt-").replace("K", " K"), target)
        if trace is not None:
            traces.append(trace)
    return traces
