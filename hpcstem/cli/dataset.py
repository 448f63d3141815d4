"""`hpcstem decode` of many movies into one dataset."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hpcstem.cli.show import echo_json

if TYPE_CHECKING:
    from hpcstem.campaign.reprocessing import DatasetPlan, DatasetSummary
    from hpcstem.campaign.reprocessing.faults import Fault
    from hpcstem.campaign.schema import MovieSection

_EXIT_WITH_FAULTS = 4
_MOST_SHOWN = 20


def decode_dataset(
    patterns: tuple[str, ...],
    out: Path,
    manifest: Path | None,
    *,
    model: str,
    refine: bool,
    pixel_size_A: float | None,
    site: str,
    workers: int | None,
    chunk_MB: float | None,
    dry_run: bool,
    retry_faults: bool,
    as_json: bool,
) -> None:
    """Decode what is missing, print a summary, and exit with 4 where something failed."""
    from hpcstem.campaign.reprocessing import DatasetSettings, plan_reprocessing, reprocess
    from hpcstem.campaign.stopping import terminated_like_interrupted

    movies = _movies(patterns, manifest, pixel_size_A)
    settings = DatasetSettings(model, refine) if chunk_MB is None else DatasetSettings(model, refine, chunk_MB)
    if dry_run:
        plan = plan_reprocessing(movies, out, settings, retry_faults)
        echo_json(asdict(plan)) if as_json else _show_plan(plan)
        return
    with terminated_like_interrupted():
        summary = reprocess(movies, out, settings, site=site, workers=workers, retry_faults=retry_faults)
    if as_json:
        echo_json({"dataset": str(out.resolve()), **asdict(summary)})
    else:
        _show(summary, out)
    if summary.faults:
        sys.exit(_EXIT_WITH_FAULTS)


def _movies(patterns: tuple[str, ...], manifest: Path | None, pixel_size_A: float | None) -> list[MovieSection]:
    from hpcstem.campaign.reprocessing import find_movies, read_manifest

    if manifest is None:
        return find_movies(patterns, pixel_size_A)
    if patterns or pixel_size_A is not None:
        raise click.UsageError("--manifest goes without MOVIES and --pixel-size-A: its columns say both")
    return read_manifest(manifest)


def _show_plan(plan: DatasetPlan) -> None:
    click.echo(f"{plan.n_movies:,} movies, {plan.n_frames:,} frames, {plan.n_bytes / 1e9:.3g} GB of files")
    click.echo(f"to do: {plan.n_frames_to_do:,} frames in {plan.n_chunks:,} chunks")
    for path, reason in plan.unusable[:_MOST_SHOWN]:
        click.echo(f"  cannot be used: {reason if path in reason else f'{path}: {reason}'}")
    if len(plan.unusable) > _MOST_SHOWN:
        click.echo(f"  and {len(plan.unusable) - _MOST_SHOWN:,} more")


def _joined(faults: Iterable[Fault]) -> Iterator[Fault]:
    """Faults, those of neighbouring frames that say the same as one."""
    last: Fault | None = None
    for fault in faults:
        if last is not None and fault == replace(last, start=last.stop, stop=fault.stop, time=fault.time):
            last = replace(last, stop=fault.stop)
            continue
        if last is not None:
            yield last
        last = fault
    if last is not None:
        yield last


def _show(summary: DatasetSummary, out: Path) -> None:
    counts = ", ".join(f"{n:,} {symbol}" for symbol, n in summary.n_atoms.items())
    click.echo(
        f"{summary.n_movies_done:,} of {summary.n_movies:,} movies, {summary.n_frames_done:,} of "
        f"{summary.n_frames:,} frames, {counts or 'no atoms'}; {summary.n_frames_done_now:,} frames decoded now"
    )
    faults = list(_joined(summary.faults))
    for fault in faults[:_MOST_SHOWN]:
        frames = f"frames {fault.start} to {fault.stop - 1}" if fault.stop - fault.start > 1 else f"frame {fault.start}"
        where = fault.path if fault.start < 0 else f"{fault.path} {frames}"
        tried = f"tried {fault.attempts} times" if fault.attempts > 1 else "tried once"
        reason = f"; {fault.reason.replace(fault.path, 'the file')}" if fault.reason else ""
        click.echo(f"  {where}: {fault.cause}, {tried}{reason}")
    if len(faults) > _MOST_SHOWN:
        click.echo(f"  and {len(faults) - _MOST_SHOWN:,} more")
    for one in summary.unlike[:_MOST_SHOWN]:
        click.echo(
            f"warning: {one.path} is not like the images that the ensemble was trained on (score {one.score:.1f}, "
            f"limit 1): {one.because}",
            err=True,
        )
    if len(summary.unlike) > _MOST_SHOWN:
        click.echo(f"warning: and {len(summary.unlike) - _MOST_SHOWN:,} movies more", err=True)
    if summary.faults:
        click.echo(f"faults: {(out / 'faults.parquet').resolve()}")
    click.echo(f"atoms: {(out / 'atoms').resolve()}")
