"""`hpcstem potentials`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from hpcstem.cli.show import echo_json, echo_table, json_option

_PATH = click.Path(path_type=Path)
_out = click.option("--out", required=True, type=_PATH, help="Folder for the results.")
_species = click.option("--species", default="C,Si", show_default=True, help="Chemical symbols, by commas.")
_window = click.option(
    "--window-A", "window_A", type=float, nargs=4, help="Field of view x0 y0 x1 y1 [Å]; by default the atoms' range."
)


@click.group()
def command() -> None:
    """Potentials from observed motion; also under `mpiexec -n N`."""


@contextmanager
def _ranks() -> Iterator[tuple[Any, bool]]:
    """Executor and whether this process prints and writes; MPI ranks where a launcher started several."""
    from hpcstem.errors import HpcstemError
    from hpcstem.execution import MPIExecutor, SerialExecutor
    from hpcstem.execution.ranks import launched_tasks

    if launched_tasks(os.environ) == 1:
        with SerialExecutor() as serial:
            yield serial, True
        return
    with MPIExecutor() as ranks:
        try:
            yield ranks, ranks.is_root
        except HpcstemError as error:
            if ranks.is_root:
                raise
            sys.exit(error.exit_status)


def _shown(executor: Any) -> Any:
    """Run analyses on the executor, each with a bar on the terminal."""
    from hpcstem.campaign.progress import progress_bar

    def run(analysis: Any, batches: Any) -> Any:
        with progress_bar("fit", len(batches), "block") as update:
            return executor.run(analysis, batches, on_batch=update)

    return run


@command.command()
@click.argument("atoms", type=_PATH)
@click.option("--gate-A", "gate_A", required=True, type=float, help="Longest step between frames [Å].")
@click.option("--max-gap", default=1, show_default=True, help="Frames in a row in which an atom may be missed.")
@click.option("--out", required=True, type=_PATH, help="Parquet file of the linked atoms.")
@json_option
def link(atoms: Path, gate_A: float, max_gap: int, out: Path, as_json: bool) -> None:
    """Give every atom of ATOMS (Parquet) an identity over the frames."""
    import numpy as np

    from hpcstem.atoms import AtomTable
    from hpcstem.structure.linking import link as linked

    with _ranks() as (_, is_root):
        if not is_root:
            return
        table = linked(AtomTable.read(atoms), gate_A, max_gap)
        table = table[np.lexsort((table.track, table.frame))]
        table.write(out)
        lengths = np.unique(table.track, return_counts=True)[1]
        summary = {
            "atoms": len(table),
            "tracks": len(lengths),
            "frames": len(np.unique(table.frame)),
            "median_track_frames": float(np.median(lengths)) if len(lengths) else 0.0,
        }
        _print(summary, as_json)


def _of_distances(function: Callable[..., None]) -> Callable[..., None]:
    """Arguments of `rdf` and `pmf`."""
    options = (
        click.argument("atoms", type=_PATH),
        _species,
        _window,
        click.option("--cutoff-A", "cutoff_A", default=8.0, show_default=True),
        _out,
        click.option(
            "--material",
            is_flag=True,
            help="Correct for each frame's own holes and edges, where the sheet does not fill the window.",
        ),
        json_option,
    )
    for option in reversed(options):
        function = option(function)
    return function


@command.command()
@_of_distances
@click.option("--bin-A", "bin_A", default=0.02, show_default=True)
def rdf(**given: Any) -> None:
    """Radial distribution functions and potentials of mean force of ATOMS (Parquet)."""
    _rdf_and_pmf(**given)


@command.command()
@_of_distances
@click.option("--bin-A", "bin_A", default=0.05, show_default=True)
def pmf(**given: Any) -> None:
    """Potentials of mean force of ATOMS (Parquet), with the reasons not to believe them."""
    _rdf_and_pmf(**given)


def _rdf_and_pmf(
    atoms: Path,
    species: str,
    window_A: tuple[float, ...] | None,
    cutoff_A: float,
    bin_A: float,
    material: bool,
    out: Path,
    as_json: bool,
) -> None:
    import numpy as np

    from hpcstem.atoms import AtomTable
    from hpcstem.files import whole_file, write_json
    from hpcstem.potentials.figures import draw_distributions
    from hpcstem.potentials.material import MaterialDistribution
    from hpcstem.potentials.pmf import equilibrium_warnings, mean_force_potential, past_correlation
    from hpcstem.potentials.rdf import RadialDistribution
    from hpcstem.potentials.table_blocks import BlockCounts, frame_blocks

    with _ranks() as (executor, is_root):
        table = AtomTable.read(atoms)
        window = window_A or (*table.positions_A.min(axis=0), *table.positions_A.max(axis=0))
        in_window = RadialDistribution(tuple(map(float, window)), _symbols(species), cutoff_A, bin_A)  # type: ignore[arg-type]
        analysis: Any = MaterialDistribution(in_window) if material else in_window
        blocks = executor.run(BlockCounts(analysis), frame_blocks(table))
        found, mean_force = mean_force_potential(analysis, blocks)
        reasons = equilibrium_warnings(blocks, past_correlation(table))
        if not is_root:
            return
        arrays: dict[str, Any] = {"r_A": found.r_A, "g": found.g, "g_kde": found.g_kde, "counts": found.counts}
        arrays |= {"w_kT": mean_force.w_kT, "w_error_kT": mean_force.error_kT, "w_kde_kT": mean_force.w_kde_kT}
        with whole_file(out / "rdf.npz") as temporary, open(temporary, "wb") as handle:
            np.savez(handle, **arrays)
        draw_distributions(found, mean_force, out / "rdf.png")
        wells = {}
        for pair, g, w in zip(found.species_pairs, found.g, mean_force.w_kT, strict=True):
            if np.isfinite(w).any():
                best = int(np.nanargmin(w))
                wells["-".join(pair)] = {"r_A": float(found.r_A[best]), "w_kT": float(w[best]), "g": float(g[best])}
        summary = {"frames": found.n_frames, "deepest": wells, "warnings": reasons}
        write_json(out / "rdf.json", summary)
        if as_json:
            echo_json(summary)
            return
        click.echo(f"{found.n_frames} frames")
        echo_table(
            [(pair, f"{w['r_A']:.3f} Å", f"{w['w_kT']:.2f} kT", f"g = {w['g']:.2f}") for pair, w in wells.items()]
        )
        for reason in reasons:
            click.echo(f"not an equilibrium potential: {reason}")


@command.command()
@click.argument("trajectory", type=_PATH)
@click.option("--config", type=_PATH, help="YAML file of settings, such as workflows/force-matching.yaml.")
@click.option("--interval-s", type=float, help="Time between frames [s].")
@click.option("--estimator", type=click.Choice(["auto", "euler", "trapezoid", "simpson", "lag1", "indirect"]))
@click.option("--basis", type=click.Choice(["splines", "gaussians"]))
@click.option("--cutoff-A", "cutoff_A", type=float)
@click.option("--low-A", "low_A", type=float, help="Shortest distance of the functions [Å].")
@click.option("--species", help="Chemical symbols, by commas.")
@_window
@_out
@json_option
def fit(trajectory: Path, config: Path | None, out: Path, as_json: bool, **given: Any) -> None:
    """Fit pair potentials to the motion in TRAJECTORY (linked Parquet, .npz, .h5 or .xyz).

    Started again with the same arguments after it was killed, it goes on from its checkpoints in --out.
    """
    from hpcstem.config import checked, read_yaml
    from hpcstem.potentials.settings import FitSettings
    from hpcstem.potentials.sources import open_trajectory
    from hpcstem.potentials.study import fit as fitted

    with _ranks() as (executor, is_root):
        value = read_yaml(config) if config else {}
        if given.get("species"):
            given["species"] = _symbols(given["species"])
        if isinstance(value, dict):
            value |= {key: part for key, part in given.items() if part}
        settings = checked(FitSettings, value, str(config or "command line"))
        source = open_trajectory(trajectory, settings.species, settings.window_A, settings.cutoff_A)
        study = fitted(_shown(executor), source, settings, out / "checkpoint")
        if is_root:
            _report(study, settings, out, as_json)


@command.command()
@click.argument("config", type=_PATH)
@_out
@json_option
def toy(config: Path, out: Path, as_json: bool) -> None:
    """Simulate the toy system of CONFIG, fit it, and compare with the truth."""
    from hpcstem.config import checked, read_yaml
    from hpcstem.potentials.settings import ToySettings
    from hpcstem.potentials.sources import open_trajectory
    from hpcstem.potentials.study import fit as fitted
    from hpcstem.potentials.toy_study import ToyFile, errors_against_truth

    with _ranks() as (executor, is_root):
        settings = checked(ToySettings, read_yaml(config), str(config))
        path = out / "toy.npz"
        executor.run(ToyFile(path), [settings])
        fit_settings = settings.fit
        source = open_trajectory(path, fit_settings.species, None, fit_settings.cutoff_A)
        study = fitted(_shown(executor), source, fit_settings, out / "checkpoint")
        if is_root:
            _report(study, fit_settings, out, as_json, errors_against_truth(study.potential, settings))


@command.command()
@click.argument("potential", type=_PATH)
@click.option("--depth-meV", "depth_meV", default=4.55, show_default=True, help="Depth that the first pair is given.")
@json_option
def compare(potential: Path, depth_meV: float, as_json: bool) -> None:
    """Hold POTENTIAL (.npz of `fit`) against Lennard-Jones parameters of the literature."""
    from dataclasses import asdict

    from hpcstem.potentials.export import read_potential
    from hpcstem.potentials.literature import LENNARD_JONES, calibrate_energy, compared

    with _ranks() as (_, is_root):
        if not is_root:
            return
        fitted = read_potential(potential)
        rows = compared(fitted, calibrate_energy(fitted, 0, depth_meV))
        if as_json:
            echo_json({"fit": [asdict(row) for row in rows], "literature": [asdict(row) for row in LENNARD_JONES]})
            return
        echo_table(
            [("source", "pair", "r_min (Å)", "depth (meV)", "U/kT")]
            + [
                (
                    "this fit",
                    "-".join(r.pair),
                    f"{r.minimum_A:.3f}",
                    f"{r.depth_meV:.2f} ± {r.error_meV:.2f}",
                    f"{r.depth_kT:.2f}",
                )
                for r in rows
            ]
            + [(r.source, "-".join(r.pair), f"{r.minimum_A:.3f}", f"{r.epsilon_meV:.2f}", "") for r in LENNARD_JONES]
        )


def _report(study: Any, settings: Any, out: Path, as_json: bool, truth: Any = None) -> None:
    """Write the results of a fit, and print them."""
    from hpcstem.potentials.results import write_results

    summary = write_results(out, study, settings, truth)
    if as_json:
        echo_json(summary)
        return
    potential = study.potential
    click.echo(
        f"{potential.n_intervals} intervals, {potential.estimator}, "
        + (f"kT {potential.kT:.4g} Å²/time" if study.kT_known else "kT not known")
    )
    for line in study.sentences():
        click.echo(line)
    for name, pair in summary["pairs"].items():
        if pair["identifiable"] and pair["minimum_A"] is not None:
            click.echo(f"{name}: minimum at {pair['minimum_A']:.3f} Å, {pair['depth_kT']:.2f} kT deep")
        elif pair["identifiable"]:
            click.echo(f"{name}: no well where the data speak")
    for name, values in (truth or {}).items():
        click.echo(
            f"{name}: error of U {values['error']:.3f}, depth {values['depth']:.3f} of {values['true_depth']:.3f}"
        )


def _symbols(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _print(summary: dict[str, Any], as_json: bool) -> None:
    if as_json:
        echo_json(summary)
    else:
        echo_table(list(summary.items()))
