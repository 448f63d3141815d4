"""The queue on one screen: counts by axis of the sweep, and what failed and why."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hpcstem.simulation.queue import STATES, JobStatus

_MOST_VALUES = 24
"""An axis with more values than this is left out unless it is asked for."""


@dataclass(frozen=True)
class AxisValue:
    """Jobs with one value on one axis.

    Parameters
    ----------
    axis, value
        Where they stand.
    counts
        Number of jobs in each state that occurs.
    """

    axis: str
    value: str
    counts: Mapping[str, int]


@dataclass(frozen=True)
class Failure:
    """Jobs that failed for the same reason, numbers apart.

    Parameters
    ----------
    reason
        What the first of them says.
    n_jobs
        How many.
    example
        Title of the first.
    key
        Its key.
    where
        Values on the axes that all of them share.
    """

    reason: str
    n_jobs: int
    example: str
    key: str
    where: Mapping[str, str]


def by_axis(jobs: Sequence[JobStatus], axes: Sequence[str] = ()) -> list[AxisValue]:
    """Return the counts of each value of each axis.

    Parameters
    ----------
    jobs
        The jobs.
    axes
        Axes to show; none: those with two values or more, and not very many.
    """
    if not axes:
        values: dict[str, set[str]] = {}
        for job in jobs:
            for axis, value in job.labels.items():
                values.setdefault(axis, set()).add(value)
        axes = [axis for axis, found in values.items() if 2 <= len(found) <= _MOST_VALUES]
    rows = []
    for axis in axes:
        counts: dict[str, Counter[str]] = {}
        for job in jobs:
            counts.setdefault(job.labels.get(axis, ""), Counter())[job.state] += 1
        for value in sorted(counts, key=_natural):
            if value:
                rows.append(AxisValue(axis, value, _in_order(counts[value])))
    return rows


def failures(jobs: Sequence[JobStatus]) -> list[Failure]:
    """Return the reasons of failure, the most frequent first."""
    groups: dict[str, list[JobStatus]] = {}
    for job in jobs:
        if job.state == "FIZZLED":
            groups.setdefault(re.sub(r"[0-9a-f]{16,}|[-+]?\d[\d.e+-]*", "#", job.failure), []).append(job)
    found = []
    for group in sorted(groups.values(), key=len, reverse=True):
        shared = set(group[0].labels.items()).intersection(*(job.labels.items() for job in group))
        where = {axis: value for axis, value in group[0].labels.items() if (axis, value) in shared}
        found.append(Failure(group[0].failure, len(group), group[0].name, group[0].key, where))
    return found


def _in_order(counts: Mapping[str, int]) -> dict[str, int]:
    return {state: counts[state] for state in STATES if counts.get(state)}


def _natural(value: str) -> tuple[float, str]:
    try:
        return float(value), value
    except ValueError:
        return float("inf"), value
