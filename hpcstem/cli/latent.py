"""`hpcstem latent`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hpcstem.cli.show import echo_json, echo_table
from hpcstem.cli.study import study_options

if TYPE_CHECKING:
    from hpcstem.latent.study import StudyResult
    from hpcstem.latent.study_config import StudyConfig


@click.group()
def command() -> None:
    """What sub-images around atoms are made of, with and without their turns."""


@command.command()
@study_options
def run(study: Path, out: Path, site: str, workers: int | None, dry_run: bool, as_json: bool) -> None:
    """Run STUDY, a YAML file or the name of a workflow that ships with hpcstem, such as rvae-graphene.

    What was cut or learned before is not done again; training goes on after its last whole epoch.
    """
    from hpcstem.config import workflow_file
    from hpcstem.latent.study_config import load_study

    config = load_study(workflow_file(study))
    if dry_run:
        echo_json(config.model_dump(mode="json"))
        return
    from hpcstem.campaign.progress import TaskBars
    from hpcstem.campaign.run import Run
    from hpcstem.execution import load_site, make_executor
    from hpcstem.latent.results import summary, write_results
    from hpcstem.latent.study import run_study

    with Run(out).locked():
        with make_executor(load_site(site), workers) as executor, TaskBars() as bars:

            def cut(analysis, batches):  # type: ignore[no-untyped-def]
                return executor.run(
                    analysis, batches, lambda done: bars.follow("sub-images", done, len(batches), float("nan"))
                )

            result = run_study(config, out, cut, bars.follow)
        write_results(out, config, result)
        figures = _write_figures(out, config, result)
    found = summary(config, result)
    if as_json:
        echo_json(found | {"out": str(out.resolve()), "figures": figures})
        return
    for window in found["windows"]:
        _show(window)
    click.echo(f"results: {out.resolve()}")


def _write_figures(out: Path, config: StudyConfig, result: StudyResult) -> list[str]:
    from hpcstem.files import whole_file
    from hpcstem.latent import figures

    written = []
    for window in result.windows:
        drawn = {
            "comparison": figures.comparison_figure(window),
            "maps": figures.maps_figure(window, result.movies, config.n_shown),
            "distributions": figures.distributions_figure(window),
            "mixtures": figures.mixture_figure(window),
            "similarity": figures.similarity_figure(window),
            "loss": figures.loss_figure(window),
        }
        for name, unmixed in window.unmixed.items():
            drawn[f"unmixed-{name}"] = figures.unmixed_figure(name, unmixed.components)
        for name, figure in drawn.items():
            path = f"figures/{window.images.folder.name}-{name}.png"
            with whole_file(out / path) as temporary:
                figure.savefig(temporary, format="png", dpi=130)
            written.append(path)
    return written


def _show(window: dict[str, Any]) -> None:
    rows: list[tuple[object, ...]] = [
        ("sub-images", f"{window['n_sub_images']:,}, half width {window['half_width_A']:g} Å"),
        ("left out at the edge", f"{window['n_left_out_at_the_edge']:,}"),
        ("epochs of the rotational autoencoder", window["rotational"]["epochs"]),
    ]
    checks = window["against_bonds"]
    if "angle_resultant" in checks:
        rows.append(("angle against bonds", f"resultant {checks['angle_resultant']:.3f} modulo 120°"))
        rows.append(("right sublattice", f"{checks['right_sublattice']:.1%} of crystalline sites"))
    if "right_grain" in checks:
        rows.append(("right grain", f"{checks['right_grain']:.1%} of crystalline sites"))
    if "crystallinity" in checks:
        order = checks["crystallinity"]
        rows.append(
            (
                "crystalline above other sites",
                f"area under the curve {order['area_under_curve_of_oddness']:.3f} by oddness, "
                f"{order['area_under_curve']:.3f} by content {order['latent']}",
            )
        )
    echo_table(rows)
