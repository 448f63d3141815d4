"""Sub-images around the atoms of movies: an analysis whose batches are frames.

A frame counts by itself: as it was taken, brought to median 0 and unit contrast; or as the probability that there is
an atom, which the networks give. An atom whose window would reach beyond the frame has no sub-image; how many these are
is counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from hpcstem.atoms import AtomTable
from hpcstem.errors import HpcstemError
from hpcstem.files import whole_file
from hpcstem.frames import Movie
from hpcstem.imaging.resample import to_pixels
from hpcstem.imaging.windows import cut_windows
from hpcstem.latent.sub_images import ImagesOnDisk
from hpcstem.segmentation import Ensemble
from hpcstem.segmentation.inference import predict
from hpcstem.segmentation.normalise import normalise

Source = Literal["frames", "maps"]


@dataclass(frozen=True)
class Window:
    """Size of sub-images.

    Parameters
    ----------
    half_width_A
        Half the width, between the centres of the outermost pixels [Å].
    n_pixels
        Side [px].
    """

    half_width_A: float
    n_pixels: int

    @property
    def name(self) -> str:
        """Name of its folder."""
        return f"window-{self.half_width_A:05.2f}A"

    @property
    def pixel_size_A(self) -> float:
        """Pixel size of the sub-images [Å]."""
        return 2.0 * self.half_width_A / (self.n_pixels - 1)


@dataclass(frozen=True)
class CutCounts:
    """What was cut from some frames: for each, its name, and for each window the sub-images and the atoms left out."""

    names: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    left_out: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class CutSubImages:
    """Analysis that cuts sub-images and writes them; a batch is the number of a movie and of a frame.

    Parameters
    ----------
    movies
        Frames.
    atoms
        Decoded atoms of each movie.
    windows
        Sizes of sub-images.
    out
        Folder; each window has its own in it. Frames that were cut before are not cut again.
    source
        `frames`, or `maps` of the probability that there is an atom.
    ensemble
        Networks for the maps.
    """

    movies: Sequence[Movie]
    atoms: Sequence[AtomTable]
    windows: Sequence[Window]
    out: Path
    source: Source
    ensemble: Ensemble | None = None

    def __post_init__(self) -> None:
        if (self.source == "maps") != (self.ensemble is not None):
            raise HpcstemError("networks for sub-images", self.ensemble, "an ensemble for maps, none for frames")

    @property
    def batches(self) -> list[tuple[int, int]]:
        """Numbers of movie and frame of every frame with atoms."""
        return [(i, int(frame)) for i, table in enumerate(self.atoms) for frame in np.unique(table.frame)]

    def process(self, batch: tuple[int, int]) -> CutCounts:
        """Cut the sub-images of one frame."""
        number, frame = batch
        name = f"movie-{number:03d}-frame-{frame:05d}"
        atoms = self.atoms[number].in_frame(frame)
        movie = self.movies[number]
        # The calibration of the atoms may have changed what the file says.
        pixel_size_A = _pixel_size_A(atoms)
        kept = [whole_windows(atoms, movie.shape, window.half_width_A) for window in self.windows]
        folders = [self.out / window.name for window in self.windows]
        if not all((folder / f"{name}.npy").is_file() for folder in folders):
            values, centres_px, value_size_A = self._values(movie, frame, atoms, pixel_size_A)
            for window, folder, rows in zip(self.windows, folders, kept, strict=True):
                step_px = window.pixel_size_A / value_size_A
                images = cut_windows(values, centres_px[rows], window.n_pixels, step_px)
                atoms[rows].write(folder / f"{name}.parquet")
                # Last: what is there is whole.
                with whole_file(folder / f"{name}.npy") as temporary, open(temporary, "wb") as file:
                    np.save(file, images, allow_pickle=False)
        counts = tuple(int(rows.sum()) for rows in kept)
        return CutCounts((name,), (counts,), (tuple(len(atoms) - count for count in counts),))

    def merge(self, left: CutCounts, right: CutCounts) -> CutCounts:
        """Join what was cut from neighbouring frames."""
        return CutCounts(left.names + right.names, left.counts + right.counts, left.left_out + right.left_out)

    def finish(self, partial: CutCounts) -> tuple[ImagesOnDisk, ...]:
        """Sub-images of each window, listed on disk."""
        found = []
        for number, window in enumerate(self.windows):
            counts = tuple(of_frame[number] for of_frame in partial.counts)
            left_out = sum(of_frame[number] for of_frame in partial.left_out)
            found.append(
                ImagesOnDisk(
                    self.out / window.name, partial.names, counts, window.n_pixels, window.half_width_A, left_out
                )
            )
            if not sum(counts):
                raise HpcstemError(
                    f"sub-images of half width {window.half_width_A} Å", "none inside a frame", "a smaller window"
                )
            found[-1].save_list()
        return tuple(found)

    def _values(
        self, movie: Movie, frame: int, atoms: AtomTable, pixel_size_A: float
    ) -> tuple[np.ndarray, np.ndarray, float]:
        """Image to cut from, columns and rows of the atoms in it, and its pixel size [Å]."""
        values = movie.read(frame, frame + 1)[0]
        centres_px = np.column_stack([atoms.x_px, atoms.y_px])
        if self.ensemble is None:
            return normalise(values[None], pixel_size_A)[0], centres_px, pixel_size_A
        maps = predict(values, pixel_size_A, self.ensemble)
        return 1.0 - maps.mean[0], to_pixels(centres_px, pixel_size_A, maps.pixel_size_A), maps.pixel_size_A


def _pixel_size_A(atoms: AtomTable) -> float:
    farthest = int(atoms.x_px.argmax())
    return float(atoms.x_A[farthest] / atoms.x_px[farthest])


def whole_windows(atoms: AtomTable, shape: tuple[int, int], half_width_A: float) -> np.ndarray:
    """Atoms of one frame whose window does not reach beyond it.

    Parameters
    ----------
    atoms
        The atoms.
    shape
        Rows and columns of the frame.
    half_width_A
        Half the width of the windows [Å].

    Returns
    -------
    numpy.ndarray
        With shape (n_atoms,), bool.
    """
    rows, columns = shape
    near_px = np.minimum.reduce([atoms.x_px, atoms.y_px, columns - 1 - atoms.x_px, rows - 1 - atoms.y_px])
    return np.asarray(near_px >= half_width_A / _pixel_size_A(atoms))
