"""`hpcstem train`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hpcstem.cli.show import echo_json, json_option

if TYPE_CHECKING:
    from hpcstem.execution.rendezvous import GroupKind
    from hpcstem.segmentation.ensemble import Ensemble
    from hpcstem.segmentation.training import TrainingConfig


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
@click.option("--dry-run", is_flag=True, help="Check the configuration; train nothing.")
@json_option
def command(
    config: Path, out: Path, site: str | None, ranks: int, group: GroupKind | None, dry_run: bool, as_json: bool
) -> None:
    """Train the ensemble that CONFIG describes; run again, it goes on where it stopped."""
    from hpcstem.config import checked, read_yaml, shipped_file
    from hpcstem.segmentation.training import TrainingConfig

    path = config if config.is_file() else shipped_file("workflows", str(config))
    training = checked(TrainingConfig, read_yaml(path), str(path))
    if dry_run:
        echo_json(training.model_dump(mode="json"))
        return
    ensemble = _trained(training, out, site, ranks, group)
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
    from hpcstem.errors import ConfigError
    from hpcstem.segmentation.ensemble_training import train_ensemble
    from hpcstem.segmentation.stop_request import StopRequest

    if site_name is None and ranks == 1:
        with TaskBars() as bars, StopRequest() as stop:
            return train_ensemble(training, out, bars.follow, stop_requested=lambda: stop.requested)

    from hpcstem.execution import DaskExecutor, load_site, make_executor
    from hpcstem.execution.ensemble_placement import PlacedTraining, train_placed
    from hpcstem.execution.local_cluster import available_cores
    from hpcstem.execution.rendezvous import installed_group

    site = load_site(site_name or "local")
    # In batch jobs the site says how many; the cores of this machine say nothing of those.
    n_workers = max(ranks, site.workers or available_cores()) if site.scheduler.kind == "none" else None
    placed = PlacedTraining(ranks, group or installed_group(), site.retries)
    with TaskBars() as bars, StopRequest() as stop, make_executor(site, n_workers) as executor:
        if not isinstance(executor, DaskExecutor):
            raise ConfigError(f"executor of site {site_name}", site.executor, "dask, to place members on its workers")
        return train_placed(training, out, executor, placed, bars.follow, lambda: stop.requested)
