"""`hpcstem train`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hpcstem.cli.reference import examined
from hpcstem.cli.show import echo_json, json_option

if TYPE_CHECKING:
    from hpcstem.execution.rendezvous import GroupKind
    from hpcstem.segmentation.ensemble import Ensemble
    from hpcstem.segmentation.training_config import TrainingConfig


@click.command()
@click.argument("config", type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for the ensemble.")
@click.option("--site", help="Site configuration, to train members on Dask workers; without it, in this process.")
@click.option("--ranks", type=click.IntRange(min=1), default=1, show_default=True, help="Processes per member.")
@click.option(
    "--group",
    type=click.Choice(["horovod", "torch"]),
    help="What the processes of a member talk over.  [default: horovod where it is installed]",
)
@click.option(
    "--mix",
    multiple=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of labelled frames, or of structures (*.xyz), to train on as well; may be repeated.",
)
@click.option(
    "--reference/--no-reference",
    default=True,
    show_default=True,
    help="End as `hpcstem reference` does, where that has not been done.",
)
@click.option("--dry-run", is_flag=True, help="Check the configuration; train nothing.")
@json_option
def command(
    config: Path,
    out: Path,
    site: str | None,
    ranks: int,
    group: GroupKind | None,
    mix: tuple[Path, ...],
    reference: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Train the ensemble that CONFIG describes; run again, it goes on where it stopped."""
    from hpcstem.config import checked, read_yaml, workflow_file
    from hpcstem.segmentation.reference import load_reference
    from hpcstem.segmentation.training_config import TrainingConfig

    path = workflow_file(config)
    training = checked(TrainingConfig, read_yaml(path), str(path)).with_paths_from(path.parent).mixed_with(mix)
    if dry_run:
        echo_json(training.model_dump(mode="json"))
        return
    ensemble = _trained(training, out, site, ranks, group)
    if reference and (ensemble.card.confidence is None or load_reference(out, ensemble) is None):
        ensemble, _ = examined(out)
    if as_json:
        echo_json({"ensemble": str(out.resolve()), "sha256": ensemble.digest, "metrics": ensemble.card.metrics})
        return
    click.echo(f"ensemble: {out.resolve()}")
    for symbol, metric in ensemble.card.metrics.items():
        click.echo(
            f"held-out {symbol}: precision {metric['precision']:.4f}, recall {metric['recall']:.4f}, "
            f"error {metric['rmse_A']:.3f} Å over {metric['n_true']} atoms"
        )


def _trained(
    training: TrainingConfig, out: Path, site_name: str | None, ranks: int, group: GroupKind | None
) -> Ensemble:
    """Train in this process, or on the workers of a site."""
    from hpcstem.campaign.progress import TaskBars
    from hpcstem.segmentation.ensemble_training import train_ensemble
    from hpcstem.segmentation.stop_request import StopRequest

    if site_name is None and ranks == 1:
        with TaskBars() as bars, StopRequest() as stop:
            return train_ensemble(training, out, bars.follow, stop_requested=lambda: stop.requested)

    from hpcstem.execution import load_site
    from hpcstem.execution.ensemble_placement import PlacedTraining, train_placed
    from hpcstem.execution.rendezvous import installed_group
    from hpcstem.execution.training_workers import training_executor

    site = load_site(site_name or "local")
    placed = PlacedTraining(ranks, group or installed_group(), site.retries)
    with TaskBars() as bars, StopRequest() as stop, training_executor(site, ranks) as executor:
        return train_placed(training, out, executor, placed, bars.follow, lambda: stop.requested)
