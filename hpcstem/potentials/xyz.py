"""Extended XYZ trajectories, read frame by frame from an index of where each begins."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np

from hpcstem.errors import StructureError
from hpcstem.potentials.trajectory import Trajectory


@dataclass(frozen=True)
class XyzTrajectory:
    """Snapshots of an extended XYZ file; a column `track` tells who is who, else the order of the rows does.

    Parameters
    ----------
    path
        The file.
    symbols
        Species that take part.
    """

    path: Path
    symbols: tuple[str, ...]

    @cached_property
    def _offsets(self) -> list[int]:
        """Byte at which each frame begins, and the end of the file."""
        offsets = [0]
        with open(self.path, "rb") as file:
            while line := file.readline():
                if not line.strip():
                    break
                try:
                    n_lines = int(line) + 1
                except ValueError as error:
                    raise StructureError(
                        f"frame {len(offsets) - 1} of {self.path}",
                        line.decode(errors="replace").strip(),
                        "a number of atoms",
                    ) from error
                for _ in range(n_lines):
                    file.readline()
                offsets.append(file.tell())
        return offsets

    @property
    def n_frames(self) -> int:
        """Number of snapshots."""
        return len(self._offsets) - 1

    def read(self, first: int, stop: int) -> Trajectory:
        """Snapshots `first` to `stop` - 1."""
        from ase.io import read

        with open(self.path, "rb") as file:
            file.seek(self._offsets[first])
            text = file.read(self._offsets[stop] - self._offsets[first]).decode("utf-8", errors="replace")
        try:
            frames: Any = read(StringIO(text), index=":", format="extxyz")
        except Exception as error:  # the reader raises whatever the text makes it stumble over
            raise StructureError(f"cannot read {self.path}", error, "extended XYZ") from error
        species = [self._species(frame.get_chemical_symbols()) for frame in frames]
        tracks = [
            frame.arrays["track"].astype(np.int64) if "track" in frame.arrays else np.arange(len(frame))
            for frame in frames
        ]
        if len({len(t) for t in tracks}) > 1 and not all("track" in frame.arrays for frame in frames):
            raise StructureError(f"{self.path}", "a changing number of atoms and no track column", "a column track:I:1")
        counts = [len(frame) for frame in frames]
        box_A = tuple(frames[0].cell.lengths()[:2]) if frames[0].pbc[:2].all() else None
        return Trajectory(
            frame=first + np.arange(len(frames)),
            start=np.concatenate([[0], np.cumsum(counts)]),
            positions_A=np.concatenate([frame.positions[:, :2] for frame in frames]),
            species=np.concatenate(species),
            track=np.concatenate(tracks),
            weight=np.ones(sum(counts)),
            symbols=self.symbols,
            box_A=box_A,
        )

    def _species(self, symbols: list[str]) -> np.ndarray:
        unknown = sorted(set(symbols) - set(self.symbols))
        if unknown:
            raise StructureError(f"species in {self.path}", ", ".join(unknown), f"only {', '.join(self.symbols)}")
        return np.array([self.symbols.index(symbol) for symbol in symbols], np.int64)
