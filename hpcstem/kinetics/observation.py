"""What is seen in one movie: its defects, and where each of them went."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from hpcstem.atoms import AtomTable
from hpcstem.config import Section
from hpcstem.errors import HpcstemError
from hpcstem.files import whole_file
from hpcstem.kinetics.drift import sheet_drift_A
from hpcstem.kinetics.environment import Environment
from hpcstem.kinetics.sightings import Sighting, sightings
from hpcstem.kinetics.tracks import linked_sightings
from hpcstem.kinetics.trajectory import LabelledTrack

_Positive = Annotated[float, Field(gt=0)]
_Count = Annotated[int, Field(ge=0)]


class ObserveConfig(Section):
    """How defects are found and followed.

    Parameters
    ----------
    sheet
        Chemical symbol of the atoms that make up the sheet, by which drift is measured.
    sheet_gate_A
        Longest displacement of these between frames that is still a link [Å].
    defect_gate_A
        Longest displacement of a defect between frames that is still a link [Å].
    max_gap
        Most frames in a row in which a defect may be missed.
    n_shells
        Shells of bonded atoms around a defect that belong to its environment.
    edge_margin_A
        Least distance of a defect from the edge of the sheet or of the frame [Å]; more than the reach of the largest
        class, or large ones are missed more often than small ones there.
    classes_by
        `kind`: classes are the names of defects; `graph`: every bond graph of defect and shells is its own class.
    """

    sheet: str = "C"
    sheet_gate_A: _Positive = 0.6
    defect_gate_A: _Positive = 4.0
    max_gap: _Count = 3
    n_shells: _Count = 1
    edge_margin_A: Annotated[float, Field(ge=0)] = 8.0
    classes_by: Literal["kind", "graph"] = "kind"


@dataclass(frozen=True, eq=False)
class Observation:
    """Defects of one or more movies.

    Parameters
    ----------
    tracks
        Defects followed over the frames.
    seen
        Every defect of every frame.
    """

    tracks: tuple[LabelledTrack, ...]
    seen: tuple[Sighting, ...]

    def __add__(self, other: Observation) -> Observation:
        """Defects of both."""
        return Observation(self.tracks + other.tracks, self.seen + other.seen)


def observe(movie: AtomTable, config: ObserveConfig, field_A: tuple[float, float] | None = None) -> Observation:
    """Find the defects of one movie and follow them.

    Parameters
    ----------
    movie
        Its atoms.
    config
        How.
    field_A
        Width and height of the frames [Å]; without them only the rim of the sheet counts as edge.

    Raises
    ------
    HpcstemError
        Drift cannot be measured, or a gate is too wide.
    """
    if not len(movie):
        return Observation((), ())
    seen = sightings(movie, config.n_shells, config.edge_margin_A, field_A)
    by_graph = config.classes_by == "graph"
    labels = [sighting.environment.graph_name if by_graph else sighting.kind for sighting in seen]
    drift_A = sheet_drift_A(movie, config.sheet, config.sheet_gate_A)
    tracks = linked_sightings(seen, labels, drift_A, config.defect_gate_A, config.max_gap)
    return Observation(tuple(tracks), tuple(seen))


def write_observation(path: Path, found: Observation) -> None:
    """Write one `.npz` file, whole or not at all."""
    tracks, seen = found.tracks, found.seen
    environments = [sighting.environment for sighting in seen]
    columns = {
        "track_length": np.array([len(track.frame) for track in tracks], np.int64),
        "track_movie": np.array([track.movie for track in tracks], np.str_),
        "track_identity": np.array([track.track for track in tracks], np.int64),
        "track_frame": _joined([track.frame for track in tracks], (0,), np.int64),
        "track_label": _joined([track.label for track in tracks], (0,), np.str_),
        "track_positions_A": _joined([track.positions_A for track in tracks], (0, 2), np.float64),
        "movie": np.array([sighting.movie for sighting in seen], np.str_),
        "frame": np.array([sighting.frame for sighting in seen], np.int64),
        "kind": np.array([sighting.kind for sighting in seen], np.str_),
        "centre_A": np.array([sighting.centre_A for sighting in seen], np.float64).reshape(-1, 2),
        "n_atoms": np.array([len(e) for e in environments], np.int64),
        "n_bonds": np.array([len(e.edges) for e in environments], np.int64),
        "positions_A": _joined([e.positions_A for e in environments], (0, 2), np.float64),
        "species": _joined([e.species for e in environments], (0,), np.str_),
        "core": _joined([e.core for e in environments], (0,), np.bool_),
        "images": np.array([s.image for s in seen if s.image is not None], np.float32),
        "edges": _joined([e.edges for e in environments], (0, 2), np.int64),
    }
    with whole_file(path) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, allow_pickle=False, **columns)


def read_observation(path: Path) -> Observation:
    """Read what `write_observation` wrote.

    Raises
    ------
    HpcstemError
        The file is absent or damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            columns = {name: file[name] for name in file.files}
        return Observation(_tracks(columns), _seen(columns))
    except (OSError, ValueError, KeyError, IndexError, EOFError, zipfile.BadZipFile) as error:
        raise HpcstemError(f"cannot read {path}", error, "a file written by `hpcstem kinetics run`") from error


def _tracks(columns: dict[str, np.ndarray]) -> tuple[LabelledTrack, ...]:
    cuts = np.cumsum(columns["track_length"])[:-1]
    parts = [np.split(columns[f"track_{name}"], cuts) for name in ("frame", "label", "positions_A")]
    return tuple(
        LabelledTrack(frame, label, positions_A, str(movie), int(identity))
        for frame, label, positions_A, movie, identity in zip(
            *parts, columns["track_movie"], columns["track_identity"], strict=False
        )
    )


def _seen(columns: dict[str, np.ndarray]) -> tuple[Sighting, ...]:
    atoms, bonds = np.cumsum(columns["n_atoms"])[:-1], np.cumsum(columns["n_bonds"])[:-1]
    parts = [np.split(columns[name], atoms) for name in ("positions_A", "species", "core")]
    environments = map(Environment, *parts, np.split(columns["edges"], bonds))
    rows = zip(
        columns["movie"].tolist(), columns["frame"].tolist(), columns["kind"].tolist(), columns["centre_A"], strict=True
    )
    images = columns["images"] if len(columns["images"]) else [None] * len(columns["frame"])
    return tuple(Sighting(*row, e, image) for row, e, image in zip(rows, environments, images, strict=False))


def _joined(arrays: list[np.ndarray], empty: tuple[int, ...], dtype: type) -> np.ndarray:
    return np.concatenate(arrays) if arrays else np.empty(empty, dtype)
