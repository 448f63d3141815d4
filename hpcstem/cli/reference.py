"""`hpcstem reference`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hpcstem.cli.show import echo_json, json_option
from hpcstem.cli.threads import one_thread

if TYPE_CHECKING:
    from hpcstem.segmentation.ensemble import Ensemble
    from hpcstem.segmentation.reference import Reference


@click.command()
@click.argument("model")
@json_option
def command(model: str, as_json: bool) -> None:
    """Look at images like those that the ensemble MODEL was trained on, and keep what they tell of it.

    `decode` then knows the chance that an atom is there, and compares movies with the training images.
    """
    one_thread()
    from hpcstem.segmentation.ensemble import find_ensemble

    ensemble, reference = examined(find_ensemble(model))
    if as_json:
        echo_json({"ensemble": ensemble.name, "sha256": ensemble.digest, "threshold": reference.threshold})
        return
    click.echo(
        f"{ensemble.name}: {reference.n_images} images; 199 of 200 others are within distance {reference.threshold:.1f}"
    )
    confidence = ensemble.card.confidence
    if confidence is not None:
        click.echo(f"atoms found that are not there: {confidence.n_false} of {confidence.n_found}")


def examined(folder: Path) -> tuple[Ensemble, Reference]:
    """Draw the images and look at them, with a progress bar."""
    from hpcstem.campaign.progress import progress_bar
    from hpcstem.segmentation.reference import N_FAINT, N_HELD_OUT, N_IMAGES, examine

    with progress_bar("reference", N_IMAGES + N_HELD_OUT + N_FAINT, "image") as update:
        return examine(folder, N_IMAGES, N_HELD_OUT, N_FAINT, update)
