"""Batch scripts from the templates in `launchers/templates`."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from hpcstem.config import shipped_folder
from hpcstem.errors import ConfigError
from hpcstem.execution.batch.job import BatchJob
from hpcstem.execution.launcher import launch_words
from hpcstem.execution.site import Site


def render_script(site: Site, job: BatchJob) -> str:
    """Text of the batch script of a job; every value in it is quoted.

    Parameters
    ----------
    site
        The machine; its batch system chooses the template of the head.
    job
        The job; its kind chooses the template of the body.

    Raises
    ------
    ConfigError
        The site has no batch system, or no launcher where the job is more than one process.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    if site.scheduler.kind == "none":
        raise ConfigError("site has no batch system", "scheduler.kind: none", "a --site with slurm, pbs or lsf")
    environment = Environment(
        loader=FileSystemLoader(shipped_folder("launchers") / "templates"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701  it is a script, not HTML; the filters quote
    )
    environment.filters["quoted"] = lambda value: shlex.quote(str(value))
    environment.filters["words"] = _quoted_words
    return environment.get_template(f"{job.kind}.sh").render(
        head=f"{site.scheduler.kind}.sh",
        site=site,
        job=job,
        hours=_clock(job.size.walltime_s),
        minutes=_clock(job.size.walltime_s).rpartition(":")[0],
        ranks_per_node=job.size.ranks_per_node or site.workers_per_node,
        launch=lambda per_node: launch_words(site, job.size.nodes, per_node),
    )


def _quoted_words(words: str | Sequence[str]) -> str:
    return shlex.join(words.split(" ") if isinstance(words, str) else words)


def _clock(seconds: int) -> str:
    """Hours, minutes and seconds, rounded up to whole minutes, which is what batch systems count in."""
    minutes = -(-seconds // 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:00"
