"""Tables of what happened in the trajectories of a queue: rings, bonds, events, adsorbates, temperature, drift."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from hpcstem.errors import StructureError
from hpcstem.files import inside
from hpcstem.simulation.jobs import NVT
from hpcstem.simulation.published import LENGTHS_A
from hpcstem.simulation.records import JobRecord
from hpcstem.structure.adsorbate_motion import adsorbate_motion
from hpcstem.structure.exchange import read_xyz
from hpcstem.structure.history import RING_SIZES, sheet_history
from hpcstem.structure.sheet import sheet_of


def analyse(records: Sequence[JobRecord], run_directory: Path, wanted: Container[str]) -> Iterator[dict[str, Any]]:
    """Yield plain JSON of each molecular dynamics run that has ended.

    Parameters
    ----------
    records
        Jobs; with adsorbates also those of the bare sheets.
    run_directory
        Folder of the queue's files.
    wanted
        Keys of the runs to look at.

    Raises
    ------
    StructureError
        A trajectory cannot be read.
    """
    sheets = {one.key: one for one in records}
    for one in records:
        if one.key not in wanted or one.result is None or one.result.kind != NVT:
            continue
        frames = read_xyz(inside(run_directory, one.result.trajectory))[0]
        bare = sheets.get(one.references.get("sheet", ""))
        n_sheet = None
        if bare is not None and bare.result is not None:
            n_sheet = len(read_xyz(inside(run_directory, bare.result.structure))[0][-1])
        found = trajectory_table(frames, n_sheet)
        result = {
            "temperature_K": one.result.settings["temperature_K"],
            "temperature_mean_K": one.result.temperature_K,
            "temperature_std_K": one.result.temperature_std_K,
            "drift_eV_atom_ps": one.result.drift_eV_atom_ps,
            "method": one.result.method,
            "trajectory": one.result.trajectory,
        }
        yield {"key": one.key, "name": one.name, "labels": dict(one.labels)} | result | found


def trajectory_table(frames: Sequence[Atoms], n_sheet: int | None = None) -> dict[str, Any]:
    """Return what happened in one trajectory, plain JSON.

    Parameters
    ----------
    frames
        Structures with `time_fs` in their header, evenly spaced.
    n_sheet
        Number of atoms of the bare structure, which come first; the rest is an adsorbate. None without one.

    Raises
    ------
    StructureError
        There are no frames, they have no times, or there is no sheet.
    """
    if not frames or any("time_fs" not in frame.info for frame in frames):
        raise StructureError(
            "frames of a trajectory", f"{len(frames)}, some without time_fs", "frames with their times"
        )
    times_fs = np.array([frame.info["time_fs"] for frame in frames], float)
    history = sheet_history(frames)
    broken = history.first_broken_frame
    table: dict[str, Any] = {
        "n_frames": len(frames),
        "length_fs": float(times_fs[-1] - times_fs[0]),
        "times_fs": times_fs.tolist(),
        "rings": {str(size): history.ring_counts[:, k].tolist() for k, size in enumerate(RING_SIZES)},
        "geometry": [asdict(row) for row in history.geometry],
        "stone_wales_at_fs": times_fs[history.stone_wales_frames].tolist(),
        "n_stone_wales": history.n_stone_wales.tolist(),
        "first_bond_broken_at_fs": None if broken is None else float(times_fs[broken]),
        "bonds_broken_at_end": int(history.n_broken[-1]),
        "bonds_made_at_end": int(history.n_made[-1]),
        "largest_hole": history.largest_hole.tolist(),
        "healed": history.healed,
    }
    if n_sheet is not None and n_sheet < len(frames[0]):
        table["adsorbate"] = _adsorbate(frames, n_sheet, times_fs)
    return table


def ring_rows(tables: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return a row per trajectory and ring size, with the published bond length beside it where there is one."""
    return [
        {"name": table["name"], "temperature_K": table["temperature_K"]}
        | row
        | {"published_length_A": LENGTHS_A.get((float(table["temperature_K"]), row["size"]))}
        for table in tables
        for row in table["geometry"]
    ]


def _adsorbate(frames: Sequence[Atoms], n_sheet: int, times_fs: np.ndarray) -> dict[str, Any]:
    numbers = frames[0].numbers[n_sheet:]
    binding = n_sheet + int(np.argmax(numbers != 1))
    members = sheet_of(frames[0][:n_sheet]).atoms
    step_fs = float(times_fs[1] - times_fs[0]) if len(times_fs) > 1 else 1.0
    motion = adsorbate_motion(frames, binding, members, step_fs)
    sites = Counter(str(site) for site in motion.sites)
    return {
        "height_A": motion.height_A.tolist(),
        "nearest_atom_A": motion.nearest_A.tolist(),
        "share_of_sites": {site: n / len(motion.sites) for site, n in sorted(sites.items())},
        "diffusion_A2_ps": motion.diffusion_A2_ps,
    }
