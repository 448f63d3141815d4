"""`hpcstem reference`."""

from __future__ import annotations

import click

from hpcstem.cli.show import echo_json, json_option
from hpcstem.cli.threads import one_thread


@click.command()
@click.argument("model")
@json_option
def command(model: str, as_json: bool) -> None:
    """Keep beside the ensemble MODEL what its training images look like, for `decode` to compare movies with."""
    one_thread()
    from hpcstem.campaign.progress import progress_bar
    from hpcstem.segmentation.ensemble import Ensemble, find_ensemble
    from hpcstem.segmentation.reference import N_HELD_OUT, N_IMAGES, make_reference, save_reference

    ensemble = Ensemble.load(model)
    with progress_bar("reference", N_IMAGES + N_HELD_OUT, "image") as update:
        reference = make_reference(ensemble, progress=update)
    path = save_reference(find_ensemble(model), reference)
    if as_json:
        echo_json({"reference": str(path.resolve()), "threshold": reference.threshold})
        return
    click.echo(f"{path}: {reference.n_images} images; 199 of 200 others are within distance {reference.threshold:.1f}")
