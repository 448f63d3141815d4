"""`hpcstem kinetics`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hpcstem.cli.show import echo_json, echo_table, json_option
from hpcstem.cli.study import study_options

if TYPE_CHECKING:
    from ase import Atoms

    from hpcstem.kinetics.rates import Rates
    from hpcstem.kinetics.study import ChainResult, StudyResult
    from hpcstem.kinetics.study_config import StudyConfig


@click.group()
def command() -> None:
    """Classes of defects, how they change, how long they last, how fast they move."""


@command.command()
@study_options
def run(study: Path, out: Path, site: str, workers: int | None, dry_run: bool, as_json: bool) -> None:
    """Run STUDY, a YAML file or the name of a workflow that ships with hpcstem, such as defect-kinetics.

    Movies that were observed before are not observed again.
    """
    from hpcstem.config import workflow_file
    from hpcstem.kinetics.study_config import load_study

    config = load_study(workflow_file(study))
    if dry_run:
        echo_json(config.model_dump(mode="json"))
        return
    from hpcstem.campaign.progress import progress_bar
    from hpcstem.campaign.run import Run
    from hpcstem.execution import load_site, make_executor
    from hpcstem.kinetics.results import summary, write_results
    from hpcstem.kinetics.study import analyse, observe_movies

    with Run(out).locked():
        with (
            make_executor(load_site(site), workers) as executor,
            progress_bar("observe", config.n_movies, "movie") as update,
        ):
            found = observe_movies(config, out, lambda analysis, batches: executor.run(analysis, batches, update))
        result = analyse(config, found)
        write_results(out, config, result)
        figures = _write_figures(out, config, result)
    if as_json:
        echo_json(summary(config, result) | {"out": str(out.resolve()), "figures": figures})
        return
    _show(result)
    click.echo(f"results: {out.resolve()}")


@command.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("runs", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option(
    "--reference",
    "references",
    multiple=True,
    metavar="SYMBOL=EV",
    help="Energy of one atom in its reference [eV], such as C=-49.1; once for each species.",
)
@json_option
def energies(folder: Path, runs: tuple[Path, ...], references: tuple[str, ...], as_json: bool) -> None:
    """Give the library of the study in FOLDER the energies of the relaxed cells of RUNS that hold the same defects.

    What is written is the energy of the cell less that of the reference of each of its atoms.
    """
    from hpcstem.files import whole_file
    from hpcstem.kinetics.figures import library_figure
    from hpcstem.kinetics.library import BuildLibrary, with_energies
    from hpcstem.kinetics.results import write_library
    from hpcstem.kinetics.study import read_study

    reference_eV = dict(_reference(text) for text in references)
    config, found = read_study(folder)
    builder = BuildLibrary(config.tolerance_A)
    structures = [structure for run in runs for structure in _relaxed_cells(run)]
    library = with_energies(
        builder.finish(builder.process(found.seen)), structures, reference_eV, config.observe.n_shells
    )
    write_library(folder / "library", library, {"study": config.name, "seed": config.seed})
    with whole_file(folder / "figures" / "library.png") as temporary:
        library_figure(library).savefig(temporary, format="png", dpi=150)
    rows = [(e.name, e.kind, e.count, e.energy_eV, e.energy_source) for e in library if e.energy_eV is not None]
    if as_json:
        echo_json([dict(zip(("name", "kind", "count", "energy_eV", "source"), row, strict=True)) for row in rows])
        return
    click.echo(f"{len(rows)} of {len(library)} structures have an energy, from {len(structures)} relaxed cells")
    echo_table([(name, kind, f"{energy_eV:.3f} eV", source) for name, kind, _, energy_eV, source in rows])


def _reference(text: str) -> tuple[str, float]:
    symbol, _, value = text.partition("=")
    try:
        return symbol, float(value)
    except ValueError as error:
        raise click.BadParameter(f"{text!r}, wanted SYMBOL=EV, such as C=-49.1", param_hint="--reference") from error


def _relaxed_cells(run: Path) -> list[tuple[str, Atoms, float]]:
    """Name, structure and energy [eV] of the converged relaxations of a run directory."""
    from hpcstem.errors import HpcstemError
    from hpcstem.files import inside, read_json
    from hpcstem.simulation.results import RESULT_FILE, JobResult
    from hpcstem.structure.exchange import read_xyz

    files = sorted((run / "simulation" / "jobs").glob(f"*/{RESULT_FILE}"))
    if not files:
        raise HpcstemError(f"{run} has no results of jobs", wanted="a run directory whose stage `simulation` is done")
    found = []
    for file in files:
        result = JobResult.from_document(read_json(file))
        if result.kind == "relax" and result.converged:
            atoms = read_xyz(inside(run / "simulation", result.structure))[0][-1]
            found.append((result.name, atoms, result.energy_eV))
    return found


def _write_figures(out: Path, config: StudyConfig, result: StudyResult) -> list[str]:
    from hpcstem.files import whole_file
    from hpcstem.kinetics import figures
    from hpcstem.kinetics.results import time_suffix

    simulate, classes = config.simulate, result.classes
    truth = None if simulate is None else simulate.movie.diffusion_A2_per_frame / config.frame_time_s
    drawn = {"library": figures.library_figure(result.library)}
    for chain in result.chains:
        short, suffix = chain.matrices[0], time_suffix(result, chain)
        seen = chain.counts[0].counts.sum(axis=1)
        found = {
            "transition-matrix": figures.matrix_figure(short, classes, seen),
            "survival": figures.survival_figure(chain.dwells, chain.lifetimes, classes, chain.frame_time_s),
            "chapman-kolmogorov": figures.chapman_kolmogorov_figure(short, chain.chapman_kolmogorov, classes),
        }
        if chain.diffusion:
            found["diffusion"] = figures.diffusion_figure(chain.diffusion, config.observe.defect_gate_A, truth)
        drawn |= {f"{name}{suffix}": figure for name, figure in found.items()}
    for name, figure in drawn.items():
        with whole_file(out / "figures" / f"{name}.png") as temporary:
            figure.savefig(temporary, format="png", dpi=150)
    return [f"figures/{name}.png" for name in drawn]


def _show(result: StudyResult) -> None:
    for chain in result.chains:
        if len(result.chains) > 1:
            click.echo(f"a frame every {chain.frame_time_s:g} s:")
        _show_chain(result.classes, chain)
    if isinstance(result.rates, str):
        click.echo(f"no rates of all frame times together: {result.rates}")
    elif result.rates is not None:
        _show_rates(result.classes, result.rates)
    click.echo(f"library: {len(result.library)} structures from {sum(e.count for e in result.library)} sightings")


def _show_chain(classes: Sequence[str], chain: ChainResult) -> None:
    matrix, time_s = chain.matrices[0], chain.frame_time_s
    low, high = matrix.interval
    rows: list[tuple[object, ...]] = [("", *classes, "lifetime")]
    for state, name in enumerate(classes):
        lifetime = chain.lifetimes[state]
        cells = (
            f"{p:.3f} ({a:.3f}-{b:.3f})"
            for p, a, b in zip(matrix.estimate[state], low[state], high[state], strict=True)
        )
        mean_s, low_s, high_s = (
            time_s * value for value in (lifetime.mean_frames, lifetime.low_frames, lifetime.high_frames)
        )
        shown = f"{mean_s:.0f} s ({low_s:.0f}-{high_s:.0f})" if lifetime.events else f"above {low_s:.0f} s"
        rows.append((name, *cells, shown))
    echo_table(rows)
    for test in chain.tests:
        click.echo(f"p = {test.p_value:.3g} for: {test.hypothesis}")
    for name, found in chain.diffusion.items():
        value, error = 0.01 * found.coefficient_A2_per_s, 0.01 * found.standard_error_A2_per_s
        click.echo(f"diffusion, {name}: {value:.2e} ± {error:.1e} nm²/s")


def _show_rates(classes: Sequence[str], rates: Rates) -> None:
    click.echo("rates of all frame times together [1/s]:")
    rows: list[tuple[object, ...]] = [("", *classes)]
    for state, name in enumerate(classes):
        ends = zip(rates.estimate[state], rates.low[state], rates.high[state], strict=True)
        shown = [f"{value:.2e} ({low:.0e}-{high:.0e})" for value, low, high in ends]
        rows.append((name, *shown[:state], "", *shown[state + 1 :]))
    echo_table(rows)
    click.echo(f"p = {rates.agreement.p_value:.3g} for: {rates.agreement.hypothesis}")
