"""Trajectories for the page's player: whole positions of few frames, colours, and the rings that are no hexagons."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from hpcstem.report.figures_region import radius_A
from hpcstem.report.style import BOND, OTHER_COLOR, RING_COLORS, species_color
from hpcstem.structure.bonds import bond_cutoff_A
from hpcstem.structure.sheet import sheet_of

if TYPE_CHECKING:
    from ase import Atoms

MOST_FRAMES = 200
_MARGIN_A = 1.5
# Longer than any bond: an edge of a ring that goes over the boundary of the cell.
_ACROSS_A = 3.0
_LEAST_STEP_A = 0.001


def movie(frames: Sequence[Atoms], largest_bytes: int) -> str:
    """Return what the player shows, as JSON.

    Parameters
    ----------
    frames
        Structures of the same atoms with `time_fs` in their header, the sheet in x and y.
    largest_bytes
        Frames, 200 at most, are left out until their positions fit; first and last stay.
    """
    n_atoms = len(frames[0])
    # Two bytes per coordinate, four characters for three bytes.
    most = int(np.clip(largest_bytes // (8 * n_atoms), 2, MOST_FRAMES))
    shown = np.unique(np.linspace(0, len(frames) - 1, most).round().astype(int))
    chosen = [frames[k] for k in shown]
    positions_A = np.array([frame.positions for frame in chosen])
    low_A, high_A = positions_A.min(axis=(0, 1)), positions_A.max(axis=(0, 1))
    step_A = max(_LEAST_STEP_A, float((high_A - low_A).max()) / 65_000)
    whole = np.round((positions_A - (low_A + high_A) / 2) / step_A).astype("<i2")
    species = sorted(set(frames[0].get_chemical_symbols()))
    return json.dumps(
        {
            "positions": base64.b64encode(whole.tobytes()).decode("ascii"),
            "step_A": step_A,
            "width_A": float(high_A[0] - low_A[0]) + 2 * _MARGIN_A,
            "height_A": float(high_A[1] - low_A[1]) + 2 * _MARGIN_A,
            "times_fs": [float(frame.info["time_fs"]) for frame in chosen],
            "symbols": [species.index(symbol) for symbol in frames[0].get_chemical_symbols()],
            "colors": [species_color(one) for one in species],
            "radii_A": [radius_A(one) for one in species],
            "bonds_A": [[bond_cutoff_A(one, other) for other in species] for one in species],
            "bond_color": BOND,
            "rings": [_odd_rings(frame) for frame in chosen],
            "ring_colors": RING_COLORS,
            "other_color": OTHER_COLOR,
        }
    )


def _odd_rings(frame: Atoms) -> list[list[int]]:
    """Atoms of each ring that is no hexagon, without those that go over the boundary of the cell."""
    sheet = sheet_of(frame)
    found = []
    for k in np.flatnonzero(sheet.rings.sizes != 6).tolist():
        ring = sheet.atoms[sheet.rings[k]]
        corners_A = frame.positions[ring]
        if np.linalg.norm(corners_A - np.roll(corners_A, 1, axis=0), axis=1).max() < _ACROSS_A:
            found.append(ring.tolist())
    return found
