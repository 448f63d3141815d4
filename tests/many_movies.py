"""Small movies to fill datasets with, and what a dataset holds."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from hpcstem.frames import MovieMetadata, write_movie
from hpcstem.imaging import Acquisition, Probe, simulate_movie
from hpcstem.imaging.probe import annular_cross_section_A2

PIXEL_A = 0.16
SHAPE = (64, 72)


def small_frames(n_frames: int = 4, shape: tuple[int, int] = SHAPE) -> np.ndarray:
    """Frames of a graphene sheet with silicon, 10 Å wide, with shape (n_frames, 64, 72) unless another is given."""
    probe = Probe()
    dose = Acquisition(dose_e_per_A2=1000 / annular_cross_section_A2(probe.voltage_kV))
    frames, _ = simulate_movie("small", n_frames, shape, PIXEL_A, probe, dose, np.random.SeedSequence(8))
    return frames


def write_movies(folder: Path, n_movies: int, n_frames: int = 2) -> list[Path]:
    """Movies that differ from each other: rolled frames of one sheet."""
    folder.mkdir(parents=True, exist_ok=True)
    frames = small_frames()
    paths = [folder / f"m{number:04d}.h5" for number in range(n_movies)]
    for number, path in enumerate(paths):
        turned = np.roll(frames, (number, number // SHAPE[0]), axis=(1, 2))
        chosen = [(number + index) % len(frames) for index in range(n_frames)]
        write_movie(path, turned[chosen], MovieMetadata(pixel_size_A=PIXEL_A))
    return paths


def rows(dataset: Path, name: str) -> list[dict]:
    """Rows of a table of a dataset."""
    return pq.read_table(dataset / name).to_pylist()


def atoms_of_frames(dataset: Path) -> dict[tuple[str, int], list[tuple]]:
    """Atoms by movie and frame, from all files of atoms; fails where a frame is in two of them."""
    found: dict[tuple[str, int], list[tuple]] = {}
    for path in sorted(dataset.glob("atoms/??/*.parquet")):
        here: dict[tuple[str, int], list[tuple]] = {}
        for row in pq.read_table(path).to_pylist():
            here.setdefault((row["movie"], row["frame"]), []).append((row["x_px"], row["y_px"], row["species"]))
        assert not here.keys() & found.keys(), f"{path} holds frames of another file"
        found |= here
    return found
