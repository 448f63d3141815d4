"""Picking jobs of the queue by where they stand on the axes of their sweep, by state, or by key."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hpcstem.errors import ConfigError
from hpcstem.simulation.queue import STATES


@dataclass(frozen=True)
class Selection:
    """Which jobs; each condition narrows it, and none means all.

    Parameters
    ----------
    labels
        Axis and value, as in the sweep: `("temperature_K", "300")`. Values of the same axis are alternatives.
    states
        Alternatives of states.
    keys
        Beginnings of keys, alternatives.
    """

    labels: tuple[tuple[str, str], ...] = ()
    states: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()

    def query(self) -> dict[str, Any]:
        """Return the filter of the collection `fireworks`."""
        query: dict[str, Any] = {}
        for axis in dict.fromkeys(axis for axis, _ in self.labels):
            query[f"spec.labels.{axis}"] = {"$in": [value for name, value in self.labels if name == axis]}
        if self.states:
            query["state"] = {"$in": list(self.states)}
        if self.keys:
            query["spec.key"] = {"$regex": f"^({'|'.join(self.keys)})"}
        return query


def select(where: Sequence[str] = (), states: Sequence[str] = (), keys: Sequence[str] = ()) -> Selection:
    """Return a selection from what a person writes.

    Parameters
    ----------
    where
        `axis=value`, such as `temperature_K=300`.
    states
        FireWorks' states, in any case.
    keys
        Beginnings of keys.

    Raises
    ------
    ConfigError
        One of them says nothing that a job could be.
    """
    labels = []
    for text in where:
        axis, equals, value = text.partition("=")
        if not equals or not re.fullmatch(r"\w+", axis):
            raise ConfigError("selection of jobs", repr(text), "axis=value, such as temperature_K=300")
        labels.append((axis, value))
    upper = tuple(state.upper() for state in states)
    unknown = [state for state in upper if state not in STATES]
    if unknown:
        raise ConfigError("state of jobs", unknown[0], f"one of {', '.join(STATES)}")
    wrong = [key for key in keys if not re.fullmatch("[0-9a-f]{1,64}", key)]
    if wrong:
        raise ConfigError("key of a job", repr(wrong[0]), "its first hexadecimal digits")
    return Selection(tuple(labels), upper, tuple(keys))
