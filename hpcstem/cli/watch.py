"""`hpcstem watch`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hpcstem.cli.show import echo_json, json_option
from hpcstem.cli.threads import one_thread

if TYPE_CHECKING:
    from hpcstem.campaign.watching.records import FrameRecord


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for the atoms and the report.")
@click.option("--model", default="graphene-si", show_default=True, help="Folder or name of the ensemble.")
@click.option("--refine/--no-refine", default=True, show_default=True, help="Fit the positions to the frames.")
@click.option("--pixel-size-A", "pixel_size_A", type=float, help="Pixel size [Å], where the files have none.")
@click.option("--frame-time-s", "frame_time_s", type=float, help="Time from frame to frame, where the files say none.")
@click.option(
    "--settle-s",
    "settle_s",
    type=click.FloatRange(0),
    default=1.0,
    show_default=True,
    help="Time without change after which a file counts as closed.",
)
@click.option("--region-size-A", "region_size_A", default=12.0, show_default=True, help="Side of flagged regions [Å].")
@json_option
def command(
    folder: Path,
    out: Path,
    model: str,
    refine: bool,
    pixel_size_A: float | None,
    frame_time_s: float | None,
    settle_s: float,
    region_size_A: float,
    as_json: bool,
) -> None:
    """Decode each frame that a microscope writes to FOLDER, until Ctrl-C or SIGTERM; started again, go on."""
    one_thread()
    from hpcstem.campaign.watching import WatchSettings, watch

    def show(record: FrameRecord) -> None:
        found = [", ".join(f"{n} {symbol}" for symbol, n in record.n_atoms.items()) or "no atoms"]
        found += [f"{n} × {kind}" for kind, n in record.defects.items()]
        if record.likeness is not None and record.unlike:
            found.append(f"unlike the training images (score {record.likeness['score']:.1f}, limit 1)")
        if record.latency_s is not None:
            found.append(f"{record.latency_s:.1f} s after the file's last change")
        click.echo(f"{record.path} frame {record.frame}: {'; '.join(found)}", err=as_json)

    def begin(about: str) -> None:
        click.echo(f"watching {folder.resolve()}: {about}; report: {(out / 'report.html').resolve()}", err=as_json)

    def complain(path: Path, reason: str) -> None:
        click.echo(f"{path}: {reason.replace(str(path), 'the file')}", err=True)

    settings = WatchSettings(model, refine, pixel_size_A, frame_time_s, settle_s, region_size_A)
    summary = watch(folder, out, settings, show, begin, complain)
    if as_json:
        echo_json({"out": str(out.resolve()), **asdict(summary)})
        return
    click.echo(f"stopped; {summary.n_frames} frames of {summary.n_files} files, {summary.n_frames_now} of them now")
    if summary.n_unlike:
        click.echo(f"  {summary.n_unlike} frames are not like the images that the ensemble was trained on")
    for path, problem in summary.problems.items():
        click.echo(f"  {path}: {problem.replace(path, 'the file')}")
