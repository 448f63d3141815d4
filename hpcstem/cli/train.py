"""`hpcstem train`."""

from __future__ import annotations

from pathlib import Path

import click

from hpcstem.cli.show import echo_json, json_option


@click.command()
@click.argument("config", type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for the ensemble.")
@click.option("--dry-run", is_flag=True, help="Check the configuration; train nothing.")
@json_option
def command(config: Path, out: Path, dry_run: bool, as_json: bool) -> None:
    """Train the ensemble that CONFIG describes; run again, it trains only the members that are missing."""
    from hpcstem.campaign.progress import TaskBars
    from hpcstem.config import checked, read_yaml, shipped_file
    from hpcstem.segmentation.training import TrainingConfig

    path = config if config.is_file() else shipped_file("workflows", str(config))
    training = checked(TrainingConfig, read_yaml(path), str(path))
    if dry_run:
        echo_json(training.model_dump(mode="json"))
        return
    from hpcstem.segmentation.ensemble_training import train_ensemble

    with TaskBars() as bars:
        ensemble = train_ensemble(training, out, bars.follow)
    if as_json:
        echo_json({"ensemble": str(out.resolve()), "sha256": ensemble.digest, "metrics": ensemble.card.metrics})
        return
    click.echo(f"ensemble: {out.resolve()}")
    for symbol, metric in ensemble.card.metrics.items():
        click.echo(
            f"held-out {symbol}: precision {metric['precision']:.4f}, recall {metric['recall']:.4f}, "
            f"error {metric['rmse_A']:.3f} Å over {metric['n_true']} atoms"
        )
