"""Stage `training`: a small ensemble trained beside, to see the step."""

from __future__ import annotations

import shutil
import time
from typing import Any

from hpcstem.campaign.progress import progress_bar
from hpcstem.campaign.run import Outputs
from hpcstem.campaign.schema import Campaign
from hpcstem.campaign.stage import Job, Stage
from hpcstem.files import read_json, write_json


def settings(campaign: Campaign) -> Any:
    """The `training` section; None leaves the stage out."""
    return None if campaign.training is None else campaign.training.model_dump(mode="json")


def work(job: Job) -> Outputs:
    """Write an ensemble to `training/ensemble` and its history to `training/training.json`."""
    from hpcstem.segmentation.ensemble_training import is_trained_from, train_ensemble

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

        ensemble = train_ensemble(config, folder, follow)
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


STAGE = Stage("training", "train a small ensemble on simulated images", (), settings, work)
