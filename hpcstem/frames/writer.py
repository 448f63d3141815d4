"""Movies written: plain HDF5 that `open_movie` reads, for simulated and cut-out frames."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np

from hpcstem.errors import MovieError
from hpcstem.files import whole_file
from hpcstem.frames.metadata import MovieMetadata


def write_movie(path: str | Path, frames: np.ndarray, metadata: MovieMetadata) -> None:
    """Write frames as one HDF5 dataset `frames`, whole or not at all.

    One chunk is one frame. The dataset's attributes are the known fields of the metadata, unit in the name.

    Parameters
    ----------
    path
        The file, with suffix .h5 or .hdf5.
    frames
        Intensities, with shape (n_frames, rows, columns), a real dtype; kept as they are.
    metadata
        Calibration and acquisition.

    Raises
    ------
    MovieError
        Another suffix, no frames, or frames that are not real numbers in three dimensions.
    HpcstemError
        The file cannot be written.
    """
    import h5py

    path = Path(path)
    frames = np.asarray(frames)
    if path.suffix.casefold() not in (".h5", ".hdf5"):
        raise MovieError(f"name of the movie {path}", f"suffix {path.suffix!r}", ".h5 or .hdf5")
    if frames.ndim != 3 or frames.size == 0 or frames.dtype.kind not in "iuf":
        got = f"shape {frames.shape}, {frames.dtype}"
        raise MovieError(
            "frames to write", got, "real numbers with shape (n_frames, rows, columns), at least one frame"
        )
    with whole_file(path) as temporary, h5py.File(temporary, "w") as file:
        dataset = file.create_dataset("frames", data=frames, chunks=(1, *frames.shape[1:]))
        for name, value in asdict(metadata).items():
            if value not in (None, ""):
                dataset.attrs[name] = value
        for axis, label in enumerate(("frame", "row", "column")):
            dataset.dims[axis].label = label
