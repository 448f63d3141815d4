"""EMD files of Velox: images kept as (row, column, frame), with JSON for every frame."""

from __future__ import annotations

import json
from typing import Any

from hpcstem.errors import MovieError
from hpcstem.frames.found import Axis, Found, number, pick
from hpcstem.frames.readers.layout import FrameLayout, layout_of

VELOX_IMAGES = "Data/Image"
"""Group that marks a Velox file and holds its images, one group each."""
_RULES = (
    ("Optics/AccelerationVoltage", "voltage_kV", 1e-3),
    ("Optics/BeamConvergence", "convergence_angle_mrad", 1e3),
    ("Scan/DwellTime", "dwell_time_us", 1e6),
    ("Scan/FrameTime", "frame_time_s", 1.0),
)
# The screen current is not read: it is measured behind the sample and at another time, so it is no probe current.


def is_velox(array: Any) -> bool:
    """Say whether a dataset is an image of a Velox file."""
    return array.name.startswith(f"/{VELOX_IMAGES}/")


def velox_images(file: Any) -> dict[str, Any]:
    """Images of an open Velox file by the name of their detector, numbered where a detector has several."""
    images: dict[str, Any] = {}
    for key, group in file[VELOX_IMAGES].items():
        if "Data" in group:
            detector = _frame_metadata(group).get("BinaryResult", {}).get("Detector") or key
            images[detector if detector not in images else f"{detector} {len(images)}"] = group["Data"]
    return images


def velox_layout(array: Any, thing: object) -> tuple[FrameLayout, Found]:
    """Find axes and metadata of an image of a Velox file.

    Parameters
    ----------
    array
        The open h5py dataset.
    thing
        File and dataset, for errors.

    Raises
    ------
    MovieError
        The dataset has no frames, or its metadata cannot be read.
    """
    layout = layout_of(array.shape, array.dtype, thing, ("y", "x", "frame"))
    if len(array.shape) == 3:
        layout = FrameLayout(array.shape, 2, 0, 1)
    metadata = _frame_metadata(array.parent)
    result = metadata.get("BinaryResult", {})
    rows, columns = (
        Axis(number(result.get("PixelSize", {}).get(side)) or 0.0, str(result.get(unit, "")))
        for side, unit in (("height", "PixelUnitY"), ("width", "PixelUnitX"))
    )
    return layout, Found("Velox EMD", rows, columns, values=pick(metadata, _RULES))


def _frame_metadata(group: Any) -> dict[str, Any]:
    """Metadata of the first frame of an image."""
    if "Metadata" not in group:
        return {}
    text = bytes(group["Metadata"][:, 0]).split(b"\0", 1)[0]
    try:
        tree: dict[str, Any] = json.loads(text or b"{}")
    except ValueError as error:
        raise MovieError(f"metadata of {group.name} in a Velox file", error, "JSON") from error
    return tree
