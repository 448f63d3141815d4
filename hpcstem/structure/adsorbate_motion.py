"""How an adsorbate moves on a sheet: height, site, and diffusion along it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import ase
import numpy as np

from hpcstem.errors import StructureError
from hpcstem.structure.adsorbates import SiteKind, adsorption_sites
from hpcstem.structure.sheet import sheet_of

_UNDER_A = 3.0
"""Atoms of the sheet within this distance of the adsorbate in the plane make up the ground it stands on."""


@dataclass(frozen=True, eq=False)
class AdsorbateMotion:
    """An adsorbate, frame by frame; the position is that of its binding atom.

    Parameters
    ----------
    height_A
        Height over the sheet under it [Å], with shape (n_frames,), float64.
    nearest_A
        Distance to the nearest atom of the sheet [Å], with shape (n_frames,), float64.
    sites
        Kind of the nearest site in the plane, one per frame.
    diffusion_A2_ps
        Diffusion coefficient along the sheet, relative to its centre [Å²/ps]: a quarter of the slope of the squared
        displacement over lags up to a quarter of the run; None for fewer than eight frames.
    """

    height_A: np.ndarray
    nearest_A: np.ndarray
    sites: tuple[SiteKind, ...]
    diffusion_A2_ps: float | None


def adsorbate_motion(frames: Sequence[ase.Atoms], binding: int, members: np.ndarray, time_fs: float) -> AdsorbateMotion:
    """Follow an adsorbate.

    Parameters
    ----------
    frames
        Structures in order of time, positions not wrapped into the cell; the sheet lies in x and y.
    binding
        Index of the adsorbate's binding atom.
    members
        Indices of the atoms of the sheet, int64.
    time_fs
        Time between two frames [fs].

    Raises
    ------
    StructureError
        There is no frame, or the binding atom belongs to the sheet.
    """
    if not len(frames) or binding in set(members.tolist()):
        got = f"{len(frames)} frames, atom {binding}"
        raise StructureError("adsorbate", got, "frames, and an atom beside the sheet")
    heights, nearest, sites, path = [], [], [], []
    for frame in frames:
        vectors_A = frame.get_distances(binding, members, mic=bool(frame.pbc.any()), vector=True)
        lateral_A = np.linalg.norm(vectors_A[:, :2], axis=1)
        ground = vectors_A[lateral_A <= max(_UNDER_A, float(lateral_A.min()))]
        heights.append(-float(ground[:, 2].mean()))
        nearest.append(float(np.linalg.norm(vectors_A, axis=1).min()))
        sites.append(_nearest_kind(frame, binding, members))
        path.append(frame.positions[binding, :2] - frame.positions[members, :2].mean(axis=0))
    return AdsorbateMotion(np.array(heights), np.array(nearest), tuple(sites), _diffusion(np.array(path), time_fs))


def _nearest_kind(frame: ase.Atoms, binding: int, members: np.ndarray) -> SiteKind:
    sheet = sheet_of(frame, members)
    best, kind = np.inf, SiteKind.TOP
    for one in SiteKind:
        sites = adsorption_sites(sheet, one)
        if sites:
            probes = ase.Atoms("X" * len(sites), [site.position_A for site in sites], cell=frame.cell, pbc=frame.pbc)
            probes.append(ase.Atom("X", frame.positions[binding]))
            vectors_A = probes.get_distances(-1, range(len(sites)), mic=bool(frame.pbc.any()), vector=True)
            distance_A = float(np.linalg.norm(vectors_A[:, :2], axis=1).min())
            if distance_A < best:
                best, kind = distance_A, one
    return kind


def _diffusion(path_A: np.ndarray, time_fs: float) -> float | None:
    """Diffusion coefficient of a path (n_frames, 2) [Å²/ps]."""
    if len(path_A) < 8:
        return None
    lags = np.arange(1, len(path_A) // 4 + 1)
    squared_A2 = [((path_A[lag:] - path_A[:-lag]) ** 2).sum(axis=1).mean() for lag in lags]
    slope_A2_fs = np.polyfit(lags * time_fs, squared_A2, 1)[0] if len(lags) > 1 else squared_A2[0] / time_fs
    return float(slope_A2_fs * 1000 / 4)
