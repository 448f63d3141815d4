"""Decoding of a movie chunk by chunk: each chunk becomes one Parquet file, written once."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from hpcstem.atoms import AtomTable
from hpcstem.errors import AtomTableError, ModelError, MovieError
from hpcstem.frames import FaultKind, FrameFault, FrameRange, Movie
from hpcstem.segmentation.decoding import decode
from hpcstem.segmentation.ensemble import Ensemble
from hpcstem.segmentation.frame_record import FrameRecord

FORMAT = 4
"""Of a chunk's file; raised in the change that lets the same frames give other atoms, or another record of them."""


@dataclass(frozen=True)
class ChunkOfMovie:
    """One batch: some frames of one movie, and the file that their atoms go to.

    Parameters
    ----------
    movie
        The movie.
    frames
        The frames.
    path
        The file of atoms.
    file_sha256
        SHA-256 of the movie's file.
    members
        Names of the ensemble's members that decode it; empty for all.
    """

    movie: Movie
    frames: FrameRange
    path: Path
    file_sha256: str
    members: tuple[str, ...] = ()


@dataclass(frozen=True)
class DecodeSummary:
    """What decoding found; summaries of neighbouring chunks add up.

    Parameters
    ----------
    n_frames
        Frames decoded.
    n_atoms
        Atoms per species.
    faults
        Frames left out, by movie.
    frames
        What is kept of each frame besides its atoms.
    """

    n_frames: int = 0
    n_atoms: Counter[str] = field(default_factory=Counter)
    faults: tuple[tuple[str, FrameFault], ...] = ()
    frames: tuple[FrameRecord, ...] = ()

    def __add__(self, other: DecodeSummary) -> DecodeSummary:
        return DecodeSummary(
            self.n_frames + other.n_frames,
            self.n_atoms + other.n_atoms,
            self.faults + other.faults,
            self.frames + other.frames,
        )


@dataclass(frozen=True)
class DecodeChunks:
    """The analysis that turns frames into files of atoms.

    Parameters
    ----------
    model
        Folder of the ensemble.
    digest
        SHA-256 of the ensemble; a worker that finds another one under the same path refuses.
    skip_bad_frames
        Leave broken frames out and report them; otherwise the first one is an error.
    refine
        As in `hpcstem.segmentation.decode_frame`.
    """

    model: Path
    digest: str
    skip_bad_frames: bool = True
    refine: bool = True

    def process(self, batch: ChunkOfMovie) -> DecodeSummary:
        """Decode one chunk and write its file.

        Raises
        ------
        MovieError
            A frame is broken and broken frames are refused.
        ModelError
            The ensemble changed.
        """
        ensemble = loaded_ensemble(self.model, self.digest, batch.members)
        frames, indices, faults = batch.movie.read_checked(batch.frames.start, batch.frames.stop)
        if faults and not self.skip_bad_frames:
            raise MovieError(
                f"frame {faults[0].frame} of movie {batch.movie.name}",
                faults[0].kind,
                "whole frames; write `bad_frames: skip` under `frames:` to leave such frames out",
            )
        pixel_size_A = batch.movie.require_pixel_size()
        table = decode(frames, pixel_size_A, ensemble, batch.movie.name, indices, refine=self.refine)
        metadata = {
            **self._origin(batch),
            "faults": [[fault.frame, fault.kind.value] for fault in faults],
            "frames": table.metadata["frames"],
        }
        AtomTable.concatenate([AtomTable.empty(metadata), table]).write(batch.path)
        return _summary(batch, replace(table, metadata=metadata), faults)

    def merge(self, left: DecodeSummary, right: DecodeSummary) -> DecodeSummary:
        """Add the counts."""
        return left + right

    def finish(self, partial: DecodeSummary) -> DecodeSummary:
        """Return the counts."""
        return partial

    def written(self, batch: ChunkOfMovie) -> DecodeSummary | None:
        """Summary of a chunk whose file is there, whole and from the same origin; None where it must be decoded."""
        if not batch.path.is_file():
            return None
        try:
            table = AtomTable.read(batch.path)
        except AtomTableError:
            return None
        if any(table.metadata.get(key) != value for key, value in self._origin(batch).items()):
            return None
        return _summary(batch, table, [FrameFault(frame, FaultKind(kind)) for frame, kind in table.metadata["faults"]])

    def _origin(self, batch: ChunkOfMovie) -> dict[str, Any]:
        """What the rows of a chunk come from, kept in its file; the same origin gives the same file."""
        return {
            "movie": batch.movie.name,
            "file_sha256": batch.file_sha256,
            "pixel_size_A": batch.movie.require_pixel_size(),
            "model_sha256": self.digest,
            "members": list(batch.members),
            "refine": self.refine,
            "format": FORMAT,
            "start": batch.frames.start,
            "stop": batch.frames.stop,
        }


def _summary(batch: ChunkOfMovie, table: AtomTable, faults: list[FrameFault]) -> DecodeSummary:
    return DecodeSummary(
        len(batch.frames) - len(faults),
        Counter(table.species.tolist()),
        tuple((batch.movie.name, fault) for fault in faults),
        tuple(FrameRecord.from_dict(record) for record in table.metadata["frames"]),
    )


@lru_cache(maxsize=4)
def loaded_ensemble(model: Path, digest: str, members: tuple[str, ...] = ()) -> Ensemble:
    """Read an ensemble, or some members of it, once per process.

    Raises
    ------
    ModelError
        It cannot be read, or its SHA-256 is another one.
    """
    if members:
        return loaded_ensemble(model, digest).subset(members)
    ensemble = Ensemble.load(model)
    if ensemble.digest != digest:
        raise ModelError(f"the ensemble in {model} changed", ensemble.digest[:12], digest[:12])
    return ensemble
