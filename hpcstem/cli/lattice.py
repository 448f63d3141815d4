"""`hpcstem lattice`."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import hpcstem
from hpcstem.cli.show import echo_json, echo_table
from hpcstem.cli.study import study_options
from hpcstem.cli.threads import one_thread
from hpcstem.files import read_json, whole_file, write_json

if TYPE_CHECKING:
    from hpcstem.atoms import AtomTable
    from hpcstem.campaign.run import Run
    from hpcstem.execution import Executor
    from hpcstem.lattice.study_config import LatticeStudy


@click.group()
def command() -> None:
    """Lattice models of alloys, normal modes of their distortions, and profiles of order parameters."""


@command.command()
@study_options
def run(study: Path, out: Path, site: str, workers: int | None, dry_run: bool, as_json: bool) -> None:
    """Run STUDY, a YAML file or the name of a workflow that ships with hpcstem, such as lattice-model.

    Steps that are done are kept. With a site whose executor is mpi, start it by mpiexec.
    """
    one_thread()
    from hpcstem.campaign.run import Run
    from hpcstem.config import workflow_file
    from hpcstem.lattice.study_config import load_study

    loaded = load_study(workflow_file(study))
    if dry_run:
        echo_json(loaded.model_dump(mode="json"))
        return
    from hpcstem.execution import load_site, make_executor

    with make_executor(load_site(site), workers) as executor:
        is_root = getattr(executor, "is_root", True)
        shown = is_root and not as_json
        with _held(Run(out), executor):
            results = _conduct(loaded, Run(out), executor, shown)
    if as_json and is_root:
        echo_json(results | {"out": str(out.resolve())})
    elif is_root:
        _show(loaded, results)
        click.echo(f"results: {out.resolve()}")


@dataclass(frozen=True)
class _Step:
    """One part of a study."""

    name: str
    mark: str
    """Hash over all that the result depends on."""
    compute: Callable[[], Any]
    """Gives the result, the same on every rank, as values that JSON can hold."""
    write: Callable[[Any], list[Path]] = lambda result: []
    """Writes files beside the result, on one rank."""


@dataclass(frozen=True)
class _OnRoot:
    """Analysis whose `finish` does the work: an executor finishes once, and shares the answer or the error."""

    work: Callable[[], Any]

    def process(self, batch: None) -> None:
        """Do nothing."""

    def merge(self, left: None, right: None) -> None:
        """Do nothing."""

    def finish(self, partial: None) -> Any:
        """Do the work."""
        return self.work()


def _on_root(executor: Executor, work: Callable[[], Any]) -> Any:
    """Do work on one process, so that ranks neither write the same file nor wait for one that failed."""
    return executor.run(_OnRoot(work), [None]) if executor.name == "mpi" else work()


@contextmanager
def _held(run: Run, executor: Executor) -> Iterator[None]:
    """Hold the folder for these processes alone."""
    with ExitStack() as stack:
        _on_root(executor, lambda: stack.enter_context(run.locked()))
        yield


def _conduct(study: LatticeStudy, run: Run, executor: Executor, shown: bool) -> dict[str, Any]:
    """Compute the steps that are not done, and read the others."""
    results: dict[str, Any] = {}
    steps = _steps(study, run, executor, results)
    kept = _on_root(executor, lambda: {step.name for step in steps if run.is_done(step.name, step.mark)})
    for step in steps:
        started = time.monotonic()
        path = run.path(f"results/{step.name}.json")
        if step.name in kept:
            results[step.name] = _on_root(executor, partial(read_json, path))
        else:
            results[step.name] = step.compute()
            _on_root(executor, partial(_finish, run, step, path, results[step.name], started))
        if shown:
            click.echo(f"{step.name:<24} " + ("kept" if step.name in kept else f"{time.monotonic() - started:.1f} s"))
    return results


def _finish(run: Run, step: _Step, path: Path, result: Any, started: float) -> None:
    from hpcstem.campaign.run import Outputs

    write_json(path, result)
    written = step.write(result)
    run.finish(step.name, step.mark, Outputs((path, *written)), time.monotonic() - started)


def _steps(study: LatticeStudy, run: Run, executor: Executor, results: dict[str, Any]) -> list[_Step]:
    import numpy as np

    from hpcstem.campaign.run import fingerprint
    from hpcstem.lattice.boundary import boundary_results, order_map
    from hpcstem.lattice.images import image_atoms, sites_of
    from hpcstem.lattice.study import fit_results, mode_results, site_results

    of_images, of_fits, of_boundary = np.random.SeedSequence(study.seed).spawn(3)
    names = [image.name for image in study.images]
    atoms = dict(zip(names, image_atoms(study, of_images.spawn(len(names))), strict=True))
    sites = {name: sites_of(name, table, study.species) for name, table in atoms.items()}
    steps: list[_Step] = []

    def add(name: str, settings: Any, inputs: list[Any], compute: Callable[[], Any], **more: Any) -> None:
        steps.append(_Step(name, fingerprint(settings, {"of": inputs}), compute, **more))

    digests = {name: _digest(table.positions_A, table.species) for name, table in atoms.items()}
    record = study.model_dump(mode="json") | {"hpcstem": hpcstem.__version__}
    add("study", record, [], lambda: record)
    for name in names:
        add(
            f"sites-{name}",
            list(study.species),
            [digests[name]],
            partial(site_results, sites[name]),
            write=partial(_write_atoms, run.path(f"atoms/{name}.parquet"), atoms[name]),
        )
    if study.fit is not None:
        settings = study.fit.model_dump(mode="json") | {"seed": study.seed}
        for number, (name, seed) in enumerate(zip(names, of_fits.spawn(len(names)), strict=True)):
            compute = partial(fit_results, name, sites[name], study.fit, executor, seed)
            add(f"fit-{name}", settings, [number, digests[name]], compute)
    if study.modes is not None:
        compute = partial(mode_results, sites, study.modes, executor)
        add("modes", study.modes.model_dump(mode="json"), [digests], compute)
    if study.boundary is not None:
        order = order_map(study.boundary, of_boundary)
        add("boundary", {}, [_digest(order.x_A, order.z_A, order.eta), order.sigma], partial(boundary_results, order))
    add(
        "figures",
        record,
        [step.mark for step in steps],
        lambda: None,
        write=lambda _: _draw(study, run, results),
    )
    return steps


def _digest(*arrays: Any) -> str:
    return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()


def _write_atoms(path: Path, atoms: AtomTable, result: Any) -> list[Path]:
    atoms.write(path)
    return [path]


def _draw(study: LatticeStudy, run: Run, results: dict[str, Any]) -> list[Path]:
    from hpcstem.lattice import figures_alloy, figures_order
    from hpcstem.report.style import house_style

    drawn = {}
    names = [image.name for image in study.images]
    truths = {image.name: (image.made.model, list(image.made.weights)) for image in study.images if image.made}
    if study.fit is not None:
        sites, fits = ({name: results[f"{kind}-{name}"] for name in names} for kind in ("sites", "fit"))
        drawn["alloys"] = house_style(figures_alloy.draw_alloys)(sites, fits, truths, study.species)
        drawn["configurations"] = house_style(figures_alloy.draw_configurations)(fits)
    if study.modes is not None:
        drawn["modes"] = house_style(figures_order.draw_modes)(results["modes"], study.modes.n_dominant)
        if study.modes.landau:
            drawn["landau"] = house_style(figures_order.draw_landau)(results["modes"]["landau"])
    if study.boundary is not None:
        made = study.boundary.made
        truth = None if made is None else made.recovery
        drawn["boundary"] = house_style(figures_order.draw_boundary)(results["boundary"], truth)
    paths = [run.path(f"figures/{name}.png") for name in drawn]
    for path, figure in zip(paths, drawn.values(), strict=True):
        with whole_file(path) as temporary:
            figure.savefig(temporary, format="png", dpi=150)
    return paths


def _show(study: LatticeStudy, results: dict[str, Any]) -> None:
    """Print the numbers that a person looks for first."""
    rows: list[tuple[object, ...]] = []
    for image in study.images if study.fit is not None else ():
        for fit in results[f"fit-{image.name}"]["models"]:
            numbers = zip(fit["weights_kT"], fit["sigma_kT"], fit["cramer_rao_kT"], strict=True)
            cells = [f"{w:+.3f} ± {s:.3f} (bound {b:.3f})" for w, s, b in numbers]
            settled = "" if fit["converged"] else "not settled"
            rows.append(
                (image.name, fit["model"], *cells, f"s = {fit['distance']:.3f}, p = {fit['p_value']:.2f}", settled)
            )
    echo_table(rows)
    for one in results["modes"]["images"] if study.modes is not None else ():
        local, everywhere = ("{:.2f} ± {:.2f}".format(*one[key]) for key in ("local_breaking", "global_breaking"))
        click.echo(f"{one['name']}: symmetry breaking of a site {local}, of the image {everywhere}")
    if study.boundary is not None:
        length, outer = (results["boundary"][key] for key in ("correlation_length_A", "extrapolation_A"))
        click.echo("correlation length {:.2f} ± {:.2f} Å".format(*length))
        click.echo("extrapolation length {:.2f} ± {:.2f} Å".format(*outer))
