"""Positions of the same atoms in every snapshot, as arrays in NPZ or HDF5 files."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from hpcstem.errors import StructureError
from hpcstem.potentials.trajectory import Trajectory


@dataclass(frozen=True)
class NpzTrajectory:
    """Arrays of an NPZ file; those stored without compression are read snapshot by snapshot.

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
    def _arrays(self) -> dict[str, Any]:
        try:
            with np.load(self.path, allow_pickle=False) as file:
                small = {name: file[name] for name in file.files if name != "positions_A"}
            return {**small, "positions_A": self._positions()}
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise StructureError(
                f"cannot read {self.path}", error, "an NPZ file with positions_A and species"
            ) from error

    def _positions(self) -> np.ndarray:
        with zipfile.ZipFile(self.path) as archive:
            member = archive.getinfo("positions_A.npy")
            with archive.open(member) as handle:
                version = np.lib.format.read_magic(handle)
                read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
                shape, fortran, dtype = read(handle)
                header = handle.tell()
            if member.compress_type != zipfile.ZIP_STORED or fortran or dtype.hasobject:
                with np.load(self.path, allow_pickle=False) as file:
                    return np.asarray(file["positions_A"])
            with open(self.path, "rb") as raw:
                raw.seek(member.header_offset + 26)
                lengths = np.frombuffer(raw.read(4), "<u2")
        offset = member.header_offset + 30 + int(lengths.sum()) + header
        return np.memmap(self.path, dtype, "r", offset, shape)

    @property
    def n_frames(self) -> int:
        """Number of snapshots."""
        return len(self._arrays["positions_A"])

    def read(self, first: int, stop: int) -> Trajectory:
        """Snapshots `first` to `stop` - 1."""
        return _from_arrays(self._arrays, self.symbols, self.path, first, stop)

    def __getstate__(self) -> dict[str, Any]:
        """Travel without the open file."""
        return {"path": self.path, "symbols": self.symbols}


@dataclass(frozen=True)
class Hdf5Trajectory:
    """Data sets of an HDF5 file, read snapshot by snapshot.

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
    def n_frames(self) -> int:
        """Number of snapshots."""
        return int(self._read(lambda file: file["positions_A"].shape[0]))

    def read(self, first: int, stop: int) -> Trajectory:
        """Snapshots `first` to `stop` - 1."""

        def arrays(file: Any) -> dict[str, Any]:
            box = {"box_A": file["box_A"][:]} if "box_A" in file else {}
            species = (
                file["species"].asstr()[:].astype(str) if file["species"].dtype.kind in "OS" else file["species"][:]
            )
            return {"positions_A": file["positions_A"][first:stop], "species": species, **box}

        loaded = self._read(arrays)
        return _from_arrays(loaded, self.symbols, self.path, 0, stop - first, first)

    def _read(self, take: Any) -> Any:
        import h5py

        try:
            with h5py.File(self.path, "r") as file:
                return take(file)
        except (OSError, KeyError, TypeError, AttributeError) as error:
            raise StructureError(f"cannot read {self.path}", error, "HDF5 with positions_A and species") from error


def _from_arrays(
    arrays: dict[str, Any], symbols: tuple[str, ...], path: Path, first: int, stop: int, first_frame: int | None = None
) -> Trajectory:
    try:
        species, positions_A = np.asarray(arrays["species"]), arrays["positions_A"][first:stop]
    except KeyError as error:
        raise StructureError(f"arrays in {path}", f"no {error}", "positions_A and species") from error
    if species.dtype.kind in "US":
        unknown = np.setdiff1d(species, symbols)
        if len(unknown):
            raise StructureError(f"species in {path}", ", ".join(unknown), f"only {', '.join(symbols)}")
        species = np.array([symbols.index(symbol) for symbol in species])
    box = arrays.get("box_A")
    box_A = None if box is None else (float(box[0]), float(box[1]))
    return Trajectory.from_arrays(positions_A, species, symbols, box_A, first if first_frame is None else first_frame)
