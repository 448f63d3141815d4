"""What Nion Swift says of its data: calibrations, dimensions, hardware.

The same properties stand in metadata.json of an .ndata file and in the attribute `properties` of an HDF5 dataset,
with `spatial_calibrations` in files of the first versions. Axes are (row, column).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hpcstem.errors import MovieError
from hpcstem.frames.found import Axis, Found, number, pick
from hpcstem.frames.readers.layout import FrameLayout

_RULES = (
    ("hardware_source/pixel_time_us", "dwell_time_us", 1.0),
    ("scan/scan_device_parameters/pixel_time_us", "dwell_time_us", 1.0),
    ("hardware_source/exposure", "frame_time_s", 1.0),
    ("instrument/high_tension", "voltage_kV", 1e-3),
    ("hardware_source/autostem/ImageScanned:EHT", "voltage_kV", 1e-3),
    ("scan/scan_device_properties/ImageScanned:EHT", "voltage_kV", 1e-3),
)


def nion_found(properties: Mapping[str, Any], layout: FrameLayout, thing: object) -> Found:
    """Find calibrations and acquisition in the properties of a Nion data item.

    Parameters
    ----------
    properties
        As in the file.
    layout
        Axes of the data.
    thing
        The file, for errors.

    Raises
    ------
    MovieError
        The data are a spectrum image or a diffraction stack.
    """
    source = _data_source(properties)
    collection, datum = source.get("collection_dimension_count", 0), source.get("datum_dimension_count", 2)
    if (collection, datum) not in ((0, 2), (1, 2), (2, 0)):
        got = f"{datum}-dimensional data over {collection} dimensions: a spectrum image or a diffraction stack"
        raise MovieError(f"{thing} is not a movie of images", got, "a sequence of images, or one image")
    steps = source.get("dimensional_calibrations") or source.get("spatial_calibrations") or []
    axes = [
        Axis(number(step.get("scale")) or 0.0, str(step.get("units") or "")) if isinstance(step, Mapping) else None
        for step in steps
    ]
    if len(axes) != len(layout.array_shape):
        axes = [None] * len(layout.array_shape)
    metadata = source.get("metadata")
    values = pick(metadata, _RULES) if isinstance(metadata, Mapping) else {}
    frames = None if layout.frame_axis is None else axes[layout.frame_axis]
    return Found("Nion Swift", axes[layout.row_axis], axes[layout.column_axis], frames, values=values)


def _data_source(properties: Mapping[str, Any]) -> Mapping[str, Any]:
    """Properties of the data themselves, which stand one level lower in a data item of a library."""
    inner = properties.get("data_source") or properties.get("data_sources")
    if isinstance(inner, list) and inner:
        inner = inner[0]
    return inner if isinstance(inner, Mapping) else properties
