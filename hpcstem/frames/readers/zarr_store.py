"""Zarr stores of version 2 and 3 in a folder, with the scales of OME-NGFF where they are given."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hpcstem.frames.found import Axis, Found
from hpcstem.frames.named_values import named_values
from hpcstem.frames.readers.choice import choose
from hpcstem.frames.readers.layout import FrameLayout, layout_of

_OME_UNITS = {
    "angstrom": "Å",
    "nanometer": "nm",
    "picometer": "pm",
    "micrometer": "um",
    "second": "s",
    "millisecond": "ms",
}


class ZarrFrames:
    """Frames of a Zarr array.

    A chunk that is not in the store counts as missing and is never read as its fill value. (Inside a shard the
    chunks cannot be told from fill values: there a missing frame shows as a constant one.)
    """

    def __init__(self, path: Path, array: Any, name: str | None, layout: FrameLayout, found: Found) -> None:
        self.shape, self.dtype, self.found, self.dataset = layout.shape, np.dtype(array.dtype), found, name
        self._path, self._array, self._layout = path, array, layout

    def read(self, start: int, stop: int) -> np.ndarray:
        """Read frames."""
        return self._layout.arrange(np.asarray(self._array[self._layout.index(start, stop)]))

    def missing(self, start: int, stop: int) -> set[int]:
        """Frames of which a chunk is not in the store."""
        lengths = self._array.shards or self._array.chunks
        axis = self._layout.frame_axis
        grid = [range(-(-size // length)) for size, length in zip(self._array.shape, lengths, strict=True)]
        missing: set[int] = set()
        if axis is not None:
            grid[axis] = range(start // lengths[axis], -(-stop // lengths[axis]))
        for chunk in itertools.product(*grid):
            key = self._array.metadata.encode_chunk_key(chunk)
            if (self._path / self._array.path / key).is_file():
                continue
            first = 0 if axis is None else chunk[axis] * lengths[axis]
            missing.update(range(first, first + (1 if axis is None else lengths[axis])))
        return missing.intersection(range(start, stop))

    def close(self) -> None:
        """Nothing stays open."""


def open_frames(path: Path, dataset: str | None) -> ZarrFrames:
    """Open the array `dataset` of a group, the obvious one, or the store that is an array itself."""
    import zarr

    node = zarr.open(store=path, mode="r")
    scales: dict[str, list[Axis]] = {}
    attributes = dict(node.attrs)
    name = None
    if isinstance(node, zarr.Group):
        scales = _ome_scales(attributes)
        found_members = sorted(node.members(max_depth=None), key=lambda entry: entry[0])
        members = {key: member for key, member in found_members if isinstance(member, zarr.Array)}
        candidates = {key: (tuple(array.shape), np.dtype(array.dtype)) for key, array in members.items()}
        full = next((key for key in scales if key in candidates), None)
        name = choose(candidates, dataset if dataset is not None else full, path)
        node = members[name]
        attributes |= dict(node.attrs)
    thing = path if name is None else f"{name} in {path}"
    names = getattr(node.metadata, "dimension_names", None)
    layout = layout_of(node.shape, np.dtype(node.dtype), thing, names)
    found = named_values(attributes, f"Zarr version {node.metadata.zarr_format}")
    axes = scales.get(name or "")
    if axes is not None and len(axes) == len(node.shape):
        frames = None if layout.frame_axis is None else axes[layout.frame_axis]
        found = Found("OME-Zarr", axes[layout.row_axis], axes[layout.column_axis], frames, values=found.values)
    return ZarrFrames(path, node, name, layout, found)


def _ome_scales(attributes: Mapping[str, Any]) -> dict[str, list[Axis]]:
    """Find the steps along the axes of each resolution level, finest first, of an OME-NGFF group."""
    scales = {}
    multiscales = (attributes.get("ome") or attributes).get("multiscales") or [{}]
    axes = multiscales[0].get("axes") or []
    for level in multiscales[0].get("datasets") or []:
        for change in level.get("coordinateTransformations") or []:
            if change.get("type") == "scale":
                scales[str(level["path"])] = [
                    Axis(float(scale), _OME_UNITS.get(axis.get("unit", ""), ""))
                    for scale, axis in zip(change["scale"], axes, strict=False)
                ]
    return scales
