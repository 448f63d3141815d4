"""Formats read through rosettasciio, which is an optional extra: DM3, DM4, MRC and HSPY."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hpcstem.errors import MovieError
from hpcstem.frames.found import Axis, Found, number, pick
from hpcstem.frames.readers.choice import choose
from hpcstem.frames.readers.layout import FrameLayout, layout_of

_MODULES = {
    ".dm3": "digitalmicrograph",
    ".dm4": "digitalmicrograph",
    ".mrc": "mrc",
    ".mrcs": "mrc",
    ".hspy": "hspy",
}
_RULES = (
    ("Acquisition_instrument/TEM/beam_energy", "voltage_kV", 1.0),
    ("Acquisition_instrument/TEM/beam_current", "beam_current_pA", 1e3),
    ("Acquisition_instrument/TEM/convergence_angle", "convergence_angle_mrad", 1.0),
)
_DM_RULES = (
    ("Microscope Info/Voltage", "voltage_kV", 1e-3),
    ("Microscope Info/Probe Current (nA)", "beam_current_pA", 1e3),
    ("DigiScan/Sample Time", "dwell_time_us", 1.0),
)


class RosettaFrames:
    """Frames of one signal, read lazily in the calling thread."""

    dataset: str | None

    def __init__(self, data: Any, layout: FrameLayout, found: Found, name: str) -> None:
        self.shape, self.dtype, self.found, self.dataset = layout.shape, np.dtype(data.dtype), found, name
        self._data, self._layout = data, layout

    def read(self, start: int, stop: int) -> np.ndarray:
        """Read frames."""
        block = self._data[self._layout.index(start, stop)].compute(scheduler="synchronous")
        return self._layout.arrange(np.asarray(block))

    def missing(self, start: int, stop: int) -> tuple[()]:
        """Nothing is known to be missing before it is read."""
        return ()

    def close(self) -> None:
        """Drop the lazy array, and with it the file."""
        del self._data


def open_frames(path: Path, dataset: str | None) -> RosettaFrames:
    """Open the signal titled `dataset`, or the only one that can be a movie.

    Raises
    ------
    MovieError
        The extra `formats` is not installed, or there is no movie in the file.
    """
    suffix = path.suffix.casefold()
    try:
        module = importlib.import_module(f"rsciio.{_MODULES[suffix]}")
    except ImportError as error:
        raise MovieError(f"{path} needs rosettasciio", error, "pip install 'hpcstem[formats]'") from error
    signals: dict[str, Any] = {}
    for signal in module.file_reader(str(path), lazy=True):
        title = signal.get("metadata", {}).get("General", {}).get("title") or path.stem
        signals[title if title not in signals else f"{title} {len(signals)}"] = signal
    candidates = {name: (tuple(s["data"].shape), np.dtype(s["data"].dtype)) for name, s in signals.items()}
    name = choose(candidates, dataset, path)
    data, axes = signals[name]["data"], _axes(signals[name], len(candidates[name][0]))
    layout = layout_of(data.shape, np.dtype(data.dtype), path, [axis.get("name") or "" for axis in axes])
    steps = [Axis(number(axis.get("scale")) or 0.0, str(axis.get("units") or "")) for axis in axes]
    frames = None if layout.frame_axis is None else steps[layout.frame_axis]
    original = signals[name].get("original_metadata", {})
    tags = original.get("ImageList", {}).get("TagGroup0", {}).get("ImageTags", {})
    values = pick(tags, _DM_RULES) | pick(signals[name].get("metadata", {}), _RULES)
    found = Found(f"rosettasciio, {suffix}", steps[layout.row_axis], steps[layout.column_axis], frames, values=values)
    return RosettaFrames(data, layout, found, name)


def _axes(signal: Mapping[str, Any], n_axes: int) -> list[Mapping[str, Any]]:
    """Axes in the order of the array; empty ones where the file tells none."""
    axes = sorted(signal.get("axes", []), key=lambda axis: axis.get("index_in_array", 0))
    return axes if len(axes) == n_axes else [{}] * n_axes
