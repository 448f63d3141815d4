"""Stage `training`: a small ensemble trained beside, to see the step."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpcstem.campaign.progress import progress_bar
from hpcstem.campaign.run import Outputs
from hpcstem.campaign.schema import Campaign
from hpcstem.campaign.stage import Job, Stage
from hpcstem.files import read_json, write_json

if TYPE_CHECKING:
    from hpcstem.segmentation.ensemble import Ensemble
    from hpcstem.segmentation.ensemble_training import Progress
    from hpcstem.segmentation.training_config import TrainingConfig


def settings(campaign: Campaign) -> Any:
    """The `training` section; None leaves the stage out."""
    return None if campaign.training is None else campaign.training.model_dump(mode="json")


def work(job: Job) -> Outputs:
    """Write an ensemble to `training/ensemble` and its history to `training/training.json`."""
    from hpcstem.segmentation.ensemble_training import is_trained_from

    config = job.campaign.training
    assert config is not None  # noqa: S101 - a stage without settings does not run
    folder = job.run.path("training/ensemble")
    if folder.exists() and not is_trained_from(folder, config):
        shutil.rmtree(folder)
    started = time.monotonic()
    with progress_bar("train", config.members * config.steps, "step") as update:

        def follow(task: str, done: int, total: int, loss: float) -> None:
            if task.startswith("member"):
                update((int(task.split()[1]) - 1) * total + done)
            elif task.endswith("members"):
                update(done)

        ensemble = _trained(config, folder, job, follow)
    histories = [read_json((folder / name).with_suffix(".json")) for name in ensemble.card.members]
    path = job.run.path("training/training.json")
    write_json(
        path,
        {
            "seconds": time.monotonic() - started,
            "steps": config.steps,
            "step": histories[0]["step"],
            "loss": histories[0]["loss"],
            "n_parameters": sum(w.numel() for w in ensemble.weights[0].values()),
            "metrics": ensemble.card.metrics,
            "note": "Trained in this run to show the step; the atoms above were found by the ensemble named there.",
        },
    )
    weights = tuple(folder / name for name in ensemble.card.members)
    return Outputs((*weights,), (path, folder / "ensemble.json"))


def _trained(config: TrainingConfig, folder: Path, job: Job, follow: Progress) -> Ensemble:
    """Train in this process, or all members at the same time where the site has workers for it."""
    from hpcstem.execution import load_site
    from hpcstem.execution.training_workers import ranks_per_member, training_executor
    from hpcstem.segmentation.ensemble_training import train_ensemble

    site = load_site(job.campaign.site)
    ranks = ranks_per_member(site, config.members, config.batch_size)
    if ranks is None:
        return train_ensemble(config, folder, follow)
    from hpcstem.execution.ensemble_placement import PlacedTraining, train_placed
    from hpcstem.execution.rendezvous import installed_group

    with training_executor(site, ranks) as executor:
        return train_placed(config, folder, executor, PlacedTraining(ranks, installed_group(), site.retries), follow)


STAGE = Stage("training", "train a small ensemble on simulated images", (), settings, work)
