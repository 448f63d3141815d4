"""Metadata that is named rather than standardised: attributes, scalars of an .npz, JSON beside the pixels."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from hpcstem.errors import MovieError
from hpcstem.frames.found import Found, number
from hpcstem.frames.metadata import QUANTITIES
from hpcstem.frames.units import length_A

_PIXEL_SIZES_A = {
    "pixel_size_a": 1.0,
    "pixel_size_angstrom": 1.0,
    "sampling": 1.0,
    "pixel_size_nm": 10.0,
    "pixel_size_pm": 1e-2,
}
_FIELDS_OF_VIEW_A = {
    "scan_size_a": 1.0,
    "scan_size_nm": 10.0,
    "scan_size_pm": 1e-2,
    "fov_nm": 10.0,
    "field_of_view_nm": 10.0,
}
_QUANTITIES = {name.casefold(): (name, 1.0) for name in QUANTITIES if name != "pixel_size_A"} | {
    "pixel_time_us": ("dwell_time_us", 1.0)
}
_WITH_UNIT = {
    "voltage": ("voltage_kV", {"v": 1e-3, "kv": 1.0}),
    "acc_voltage": ("voltage_kV", {"v": 1e-3, "kv": 1.0}),
    "acceleration_voltage": ("voltage_kV", {"v": 1e-3, "kv": 1.0}),
    "probe_current": ("beam_current_pA", {"pa": 1.0, "na": 1e3}),
    "beam_current": ("beam_current_pA", {"pa": 1.0, "na": 1e3}),
}
_NUMBER_AND_UNIT = re.compile(r"^\s*([-+0-9.eE]+)\s*([a-zA-Z]*)\s*$")
_LEAST_VOLT = 1000.0


def named_values(tree: Mapping[str, Any], source: str, scan_size_unit: str = "nm") -> Found:
    """Find what is known by its name in a mapping, at any depth.

    Names are compared without case, blanks read as underscores. A number named `acc voltage` or `voltage`
    without a unit is in volts from 1,000 on and in kilovolts below: no electron microscope runs outside both.

    Parameters
    ----------
    tree
        Names and values; nested mappings are searched too. JSON text in a value is not.
    source
        Where the mapping comes from.
    scan_size_unit
        Unit of a bare `scan size`.
    """
    values: dict[str, float] = {}
    fields_of_view_A: list[float] = []
    lengths_with_unit: dict[str, float] = {}
    unit = ""
    for name, value in _leaves(tree):
        key = re.sub(r"[\s\-]+", "_", name.strip()).casefold()
        found = number(value)
        if key == "field_of_view_units":
            unit = str(value)
        elif key in _WITH_UNIT:
            name_of_field, factors = _WITH_UNIT[key]
            if (quantity := _quantity(value, factors, key)) is not None:
                values.setdefault(name_of_field, quantity)
        elif found is None:
            continue
        elif key in _PIXEL_SIZES_A:
            values.setdefault("pixel_size_A", found * _PIXEL_SIZES_A[key])
        elif key in _FIELDS_OF_VIEW_A:
            fields_of_view_A.append(found * _FIELDS_OF_VIEW_A[key])
        elif key == "scan_size":
            fields_of_view_A.append(length_A(found, scan_size_unit, source) or 0.0)
        elif key in _QUANTITIES:
            name_of_field, factor = _QUANTITIES[key]
            values.setdefault(name_of_field, found * factor)
        elif key in ("field_of_view_x", "field_of_view_y"):
            lengths_with_unit[key] = found
    if lengths_with_unit and (longer := length_A(max(lengths_with_unit.values()), unit, source)):
        fields_of_view_A.append(longer)
    return Found(source, field_of_view_A=next((f for f in fields_of_view_A if f > 0), None), values=values)


def _leaves(tree: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value)
        else:
            yield str(name), value


def _quantity(value: Any, factors: Mapping[str, float], key: str) -> float | None:
    """Return a quantity written as a number or as text with a unit, such as "60 kV"."""
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    match = _NUMBER_AND_UNIT.match(text)
    found = number(match[1]) if match else None
    if match is None or found is None:
        return None
    if match[2]:
        factor = factors.get(match[2].casefold())
        return None if factor is None else found * factor
    if key.endswith("voltage"):
        return found * 1e-3 if found >= _LEAST_VOLT else found
    return None


def json_mapping(text: Any, thing: object) -> dict[str, Any]:
    """Read a JSON object; what does not begin as one, such as a comment or a list, names nothing and gives none.

    Raises
    ------
    MovieError
        The text begins as a JSON object and is damaged.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    if not isinstance(text, str) or not text.lstrip().startswith("{"):
        return {}
    try:
        tree: dict[str, Any] = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise MovieError(f"{thing} cannot be read", error, "whole JSON, or no such metadata at all") from error
    return tree
