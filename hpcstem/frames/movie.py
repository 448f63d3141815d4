"""Movies: frames read when they are asked for, in any process."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hpcstem.errors import MovieError
from hpcstem.frames.faults import FaultKind, FrameFault, check_frame
from hpcstem.frames.found import GIVE_PIXEL_SIZE
from hpcstem.frames.metadata import MovieMetadata
from hpcstem.frames.readers import Reader, open_reader


@dataclass(frozen=True)
class Movie:
    """Frames of one file, with what is known of them.

    A movie holds no open file: every read opens the file anew and closes it. So it can be pickled, sent to
    workers, and used from forked processes and threads alike; read many frames at a time.

    Parameters
    ----------
    name
        Name of the movie: the file's name without its suffix.
    path
        The file, absolute.
    n_frames
        Number of frames that the file announces; a truncated file holds fewer.
    shape
        Rows and columns of a frame.
    dtype
        Type of the pixels in the file; `read` gives float32.
    metadata
        Calibration and acquisition.
    dataset
        Name of the dataset inside the file; None where the format has just one.
    """

    name: str
    path: Path
    n_frames: int
    shape: tuple[int, int]
    dtype: np.dtype
    metadata: MovieMetadata
    dataset: str | None = None

    def with_metadata(self, **values: Any) -> Movie:
        """Return the same movie with some fields of its `MovieMetadata` replaced, checked again."""
        return replace(self, metadata=replace(self.metadata, **values))

    def require_pixel_size(self) -> float:
        """Return the side of a pixel [Å].

        Raises
        ------
        MovieError
            It is unknown; the message says how to give it.
        """
        if self.metadata.pixel_size_A is None:
            raise MovieError(f"pixel size of {self.path}", "none in the file", GIVE_PIXEL_SIZE)
        return self.metadata.pixel_size_A

    def read(self, start: int, stop: int) -> np.ndarray:
        """Read the frames `start` to `stop - 1`, and refuse broken ones.

        Returns
        -------
        numpy.ndarray
            Intensities as the file has them, with shape (stop - start, rows, columns), float32.

        Raises
        ------
        MovieError
            No such frames, the file has changed or gone, or a frame is broken; movie, frame and fault are named.
        """
        frames, _, faults = self.read_checked(start, stop)
        if faults:
            kinds = ", ".join(f"frame {fault.frame} {fault.kind}" for fault in faults[:5])
            more = f" and {len(faults) - 5} more" if len(faults) > 5 else ""
            raise MovieError(
                f"movie {self.name} ({self.path})",
                kinds + more,
                "whole frames; skip these or repair the file",
            )
        return frames

    def read_checked(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray, list[FrameFault]]:
        """Read the frames `start` to `stop - 1` that are whole, and name the others.

        Returns
        -------
        frames : numpy.ndarray
            Good frames, with shape (n_good, rows, columns), float32.
        indices : numpy.ndarray
            Their indices in the movie, with shape (n_good,), int64.
        faults : list of FrameFault
            The other frames, in order.

        Raises
        ------
        MovieError
            No such frames, or the file has changed or gone.
        """
        if not 0 <= start <= stop <= self.n_frames:
            raise MovieError(
                f"frames {start} to {stop} of movie {self.name}",
                wanted=f"0 <= start <= stop <= {self.n_frames}",
            )
        with closing(open_reader(self.path, self.dataset)) as reader:
            if reader.shape[1:] != self.shape or reader.shape[0] < self.n_frames:
                wanted = f"({self.n_frames}, {self.shape[0]}, {self.shape[1]}) as when it was opened"
                raise MovieError(f"{self.path} has changed: its shape", reader.shape, wanted)
            truncated = set(reader.missing(start, stop))
            whole = [index for index in range(start, stop) if index not in truncated]
            frames, unreadable = _read_whole(reader, whole)
        truncated |= unreadable
        kept = np.array([index for index in whole if index not in unreadable], np.int64)
        kinds = [check_frame(frame) for frame in frames]
        faults = [FrameFault(index, FaultKind.TRUNCATED) for index in truncated]
        faults += [FrameFault(int(i), kind) for i, kind in zip(kept, kinds, strict=True) if kind is not None]
        if any(kind is not None for kind in kinds):
            good = np.array([kind is None for kind in kinds], bool)
            frames, kept = frames[good], kept[good]
        return frames, kept, sorted(faults)


def _read_whole(reader: Reader, indices: list[int]) -> tuple[np.ndarray, set[int]]:
    """Read runs of neighbouring frames; a run that cannot be decoded, frame by frame.

    Returns
    -------
    frames : numpy.ndarray
        With shape (n_read, rows, columns), float32.
    unreadable : set of int
        Frames that the file holds but that cannot be decoded.
    """
    blocks, unreadable = [], set()
    for run in _runs(indices):
        block = _decoded(reader, run.start, run.stop)
        if block is not None:
            blocks.append(block)
            continue
        for index in run:
            block = _decoded(reader, index, index + 1)
            if block is None:
                unreadable.add(index)
            else:
                blocks.append(block)
    if len(blocks) == 1:
        return blocks[0], unreadable
    return np.concatenate([np.empty((0, *reader.shape[1:]), np.float32), *blocks]), unreadable


def _runs(indices: list[int]) -> Iterable[range]:
    """Split increasing indices into ranges without gaps."""
    begin = 0
    for position in range(1, len(indices) + 1):
        if position == len(indices) or indices[position] != indices[position - 1] + 1:
            yield range(indices[begin], indices[position - 1] + 1)
            begin = position


def _decoded(reader: Reader, start: int, stop: int) -> np.ndarray | None:
    """Read frames as float32; None where a decoder fails on them."""
    try:
        block = reader.read(start, stop)
    except (MemoryError, MovieError):
        raise
    except Exception:  # every codec raises its own kind, and each means: these bytes are no frame
        return None
    with np.errstate(over="ignore"):  # a double beyond float32 turns infinite and is named as such
        return np.ascontiguousarray(block, np.float32)


def open_movie(
    path: str | Path,
    *,
    dataset: str | None = None,
    pixel_size_A: float | None = None,
    dwell_time_us: float | None = None,
    frame_time_s: float | None = None,
    beam_current_pA: float | None = None,
    voltage_kV: float | None = None,
    convergence_angle_mrad: float | None = None,
) -> Movie:
    """Open a movie of any known format; a single image is a movie of one frame.

    Only the header is read. Values given here win over the file's.

    Parameters
    ----------
    path
        The file, or the folder of a Zarr store.
    dataset
        Name of the dataset inside the file, where it holds several images.
    pixel_size_A
        Side of a square pixel [Å].
    dwell_time_us
        Time of the beam on one pixel [µs].
    frame_time_s
        Time from frame to frame [s].
    beam_current_pA
        Current of the probe [pA].
    voltage_kV
        Acceleration voltage [kV].
    convergence_angle_mrad
        Convergence semi-angle [mrad].

    Raises
    ------
    MovieError
        No such file, an unknown format, no image or several to choose from, a diffraction stack or a spectrum
        image, pixels that are not square, or a value that is not positive.

    Examples
    --------
    >>> open_movie("scan_0001.h5", pixel_size_A=0.104).read(0, 8).shape  # doctest: +SKIP
    (8, 896, 896)
    """
    path = Path(path).expanduser().absolute()
    overrides = {
        "pixel_size_A": pixel_size_A,
        "dwell_time_us": dwell_time_us,
        "frame_time_s": frame_time_s,
        "beam_current_pA": beam_current_pA,
        "voltage_kV": voltage_kV,
        "convergence_angle_mrad": convergence_angle_mrad,
    }
    with closing(open_reader(path, dataset)) as reader:
        n_frames, rows, columns = reader.shape
        metadata = reader.found.metadata((rows, columns), overrides, path)
        return Movie(path.stem, path, n_frames, (rows, columns), reader.dtype, metadata, reader.dataset)
