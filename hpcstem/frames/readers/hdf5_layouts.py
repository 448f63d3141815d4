"""Axes and metadata of an HDF5 dataset, by the conventions in use.

Nion Swift (attribute `properties`), NCEM EMD (`emd_group_type`, dim1 …), Velox EMD, NSID (dimension scales,
`data_type`), and plain files with attributes or JSON. Where the names of the dimensions tell x before y, as in NSID,
frames are turned to (row, column).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from hpcstem.errors import MovieError
from hpcstem.frames.found import Axis, Found, pick
from hpcstem.frames.named_values import json_mapping, named_values
from hpcstem.frames.readers.layout import FrameLayout, layout_of
from hpcstem.frames.readers.nion import nion_found
from hpcstem.frames.readers.velox import is_velox, velox_layout

_NCEM_RULES = (
    ("high tension", "voltage_kV", 1e-3),
    ("dwell time", "dwell_time_us", 1e6),
    ("convergence angle", "convergence_angle_mrad", 1e3),
)
_NSID_IMAGES = {"IMAGE", "IMAGE_STACK", "UNKNOWN"}


def is_ncem(array: Any) -> bool:
    """Say whether a dataset is the data of an NCEM EMD group."""
    return array.name.rsplit("/", 1)[-1] == "data" and "emd_group_type" in array.parent.attrs


def describe(array: Any, path: Path) -> tuple[FrameLayout, Found]:
    """Find axes and metadata of an h5py dataset.

    Parameters
    ----------
    array
        The open dataset.
    path
        Its file, for errors.

    Raises
    ------
    MovieError
        It is not a movie of images.
    """
    thing = f"{array.name.strip('/')} in {path}"
    if is_velox(array):
        return velox_layout(array, thing)
    if "properties" in array.attrs:
        layout = layout_of(array.shape, array.dtype, thing)
        properties = json_mapping(array.attrs["properties"], f"properties of {thing}")
        return layout, nion_found(properties, layout, thing)
    data_type = _text(array.attrs.get("data_type", "UNKNOWN")).rsplit(".", 1)[-1].upper()
    if data_type not in _NSID_IMAGES:
        raise MovieError(f"{thing} is not a movie of images", f"data type {data_type}", "IMAGE or IMAGE_STACK")
    names, steps, source = _ncem_axes(array) if is_ncem(array) else _scaled_axes(array)
    layout = layout_of(array.shape, array.dtype, thing, names)
    found = _attributes(array, path)
    frames = None if layout.frame_axis is None else steps[layout.frame_axis]
    return layout, replace(
        found,
        source=_text(array.attrs.get("source", source)),
        rows=steps[layout.row_axis],
        columns=steps[layout.column_axis],
        frames=frames,
    )


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _step(values: Any) -> float:
    """Mean step of the positions along an axis, in their own unit; zero where there are not two."""
    return float(values[-1] - values[0]) / (len(values) - 1) if len(values) > 1 else 0.0


def _scaled_axes(array: Any) -> tuple[list[str], list[Axis | None], str]:
    """Names and steps from the dimension scales, as NSID and netCDF attach them."""
    names: list[str] = []
    steps: list[Axis | None] = []
    for axis in array.dims:
        scale = axis[0] if len(axis) else None
        name = axis.label or (_text(scale.attrs.get("name", "")) if scale is not None else "")
        names.append(name)
        steps.append(None if scale is None else Axis(_step(scale), _text(scale.attrs.get("units", ""))))
    source = "NSID HDF5" if any(steps) else f"HDF5 dataset {array.name.strip('/')}"
    return names, steps, source


def _ncem_axes(array: Any) -> tuple[list[str], list[Axis | None], str]:
    """Names and steps from dim1, dim2 … beside the data."""
    names: list[str] = []
    steps: list[Axis | None] = []
    for number in range(1, len(array.shape) + 1):
        scale = array.parent.get(f"dim{number}")
        attributes = {} if scale is None else scale.attrs
        names.append(_text(attributes.get("name", "")))
        steps.append(None if scale is None else Axis(_step(scale), _text(attributes.get("units", ""))))
    return names, steps, "NCEM EMD"


def _attributes(array: Any, path: Path) -> Found:
    """Find named values in the attributes of the dataset, its group and the file, and in their JSON `metadata`.

    `scan size` is in nm, except in files of training images (`nn_input`), where it is in pm: both are
    conventions of the AICrystallographer collection.
    """
    unit = "pm" if array.name.endswith("nn_input") else "nm"
    tree: dict[str, Mapping[str, Any]] = {}
    for place, node in (("dataset", array), ("group", array.parent), ("file", array.file)):
        tree[place] = dict(node.attrs)
        if "metadata" in node.attrs:
            tree[f"{place} JSON"] = json_mapping(node.attrs["metadata"], f"attribute metadata in {path}")
    beside = array.parent.get("metadata")
    if getattr(beside, "shape", None) == ():
        tree["JSON"] = json_mapping(beside[()], f"metadata in {path}")
    found = named_values(tree, str(path), unit)
    microscope = array.file.get("microscope")
    return (
        found
        if microscope is None
        else replace(found, values={**pick(dict(microscope.attrs), _NCEM_RULES), **found.values})
    )
