"""What is known of each frame that was decoded, and of each file: all that a stopped watch needs to go on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hpcstem.atoms import AtomTable, read_metadata
from hpcstem.errors import AtomTableError
from hpcstem.files import inside, read_json, write_json


@dataclass(frozen=True)
class FlaggedRegion:
    """A region of a frame to simulate: the most certain one that holds a defect.

    Parameters
    ----------
    centre_A
        x and y of its centre [Å].
    size_A
        Side of the square [Å].
    score, reason, n_atoms
        As in `hpcstem.structure.regions.Region`.
    """

    centre_A: list[float]
    size_A: float
    score: float
    reason: str
    n_atoms: int


@dataclass(frozen=True)
class FrameRecord:
    """One decoded frame; kept in the metadata of its file of atoms.

    Parameters
    ----------
    movie, path, frame
        Key of the movie, its file, and index of the frame.
    frame_sha256
        SHA-256 of the frame's pixels as float32.
    n_bytes, mtime_ns
        Of the file when the frame was decoded; `mtime_ns` is its time of change [ns].
    pixel_size_A
        Pixel size [Å].
    frame_time_s
        Time from frame to frame [s]; None where unknown.
    decode_s
        Time taken to decode it [s].
    latency_s
        Time from the last change of the file to the atoms [s]; None for a file that was there at the start.
    n_atoms
        Atoms per species.
    defects
        Number of defects by name.
    region
        What to simulate; None where there is no defect, or none that fits.
    survey
        What else the frame shows, as `hpcstem.segmentation.frame_record.FrameRecord`; empty where that was not kept.
    likeness
        How far it is from the training images, as `hpcstem.segmentation.reference.Likeness`; None where these are not
        known.
    """

    movie: str
    path: str
    frame: int
    frame_sha256: str
    n_bytes: int
    mtime_ns: int
    pixel_size_A: float
    frame_time_s: float | None
    decode_s: float
    latency_s: float | None
    n_atoms: dict[str, int]
    defects: dict[str, int]
    region: FlaggedRegion | None = None
    survey: dict[str, Any] = field(default_factory=dict)
    likeness: dict[str, Any] | None = None

    @property
    def unlike(self) -> bool:
        """Whether it is not of the kind that the ensemble was trained on."""
        return self.likeness is not None and (self.likeness["score"] or 0) > 1


@dataclass
class FileState:
    """What became of a file.

    Parameters
    ----------
    mark
        Size, time of change and given pixel size for which this holds.
    identity
        Device and number of the file, which a new name does not change.
    movie
        Key of the movie that its frames are decoded under.
    n_frames
        Frames decoded.
    faults
        Index and kind of the frames that are broken, or not there yet.
    problem
        Why it cannot be decoded; empty where it can.
    """

    mark: str
    identity: str
    movie: str
    n_frames: int = 0
    faults: list[list[int | str]] = field(default_factory=list)
    problem: str = ""

    @property
    def not_decoded(self) -> str:
        """What of the file is not decoded and why, one line; empty where nothing is missing."""
        kinds = Counter(str(kind) for _, kind in self.faults)
        counts = ", ".join(f"{n} {kind}" for kind, n in sorted(kinds.items()))
        return self.problem or (f"frames not decoded: {counts}" if counts else "")


class Records:
    """The results of a watch.

    Parameters
    ----------
    folder
        Where they are.
    config_sha256
        Hash of the settings, kept in each file of atoms.
    model_sha256
        Of the ensemble.
    """

    def __init__(self, folder: Path, config_sha256: str, model_sha256: str) -> None:
        self.folder = folder
        self._origin = {"config_sha256": config_sha256, "model_sha256": model_sha256}
        self.frames = {(record.movie, record.frame): record for record in self._read()}
        self.files: dict[Path, FileState] = {}
        if self._files_path.exists():
            self.files = {Path(path): FileState(**state) for path, state in read_json(self._files_path).items()}

    @property
    def _files_path(self) -> Path:
        return self.folder / "files.json"

    def atoms_path(self, movie: str, frame: int) -> Path:
        """File of atoms of one frame."""
        return inside(self.folder, f"atoms/{movie}/frame-{frame:06d}.parquet")

    def add(self, record: FrameRecord, atoms: AtomTable) -> None:
        """Write the atoms of a frame, whole or not at all."""
        metadata = {**self._origin, **asdict(record)}
        AtomTable.concatenate([AtomTable.empty(metadata), atoms]).write(self.atoms_path(record.movie, record.frame))
        self.frames[record.movie, record.frame] = record

    def forget_beyond(self, movie: str, n_frames: int) -> None:
        """Remove frames of an earlier state of a file, which had more of them."""
        for name, frame in [key for key in self.frames if key[0] == movie and key[1] >= n_frames]:
            del self.frames[name, frame]
            self.atoms_path(name, frame).unlink(missing_ok=True)

    def take_renamed(self, identity: str, mark: str) -> FileState | None:
        """State of a file under a name that it no longer has, which is forgotten; None for a new file."""
        for path, state in self.files.items():
            if (state.identity, state.mark) == (identity, mark) and not path.exists():
                return self.files.pop(path)
        return None

    def write_files(self) -> None:
        """Write what is known of the files."""
        write_json(self._files_path, {str(path): asdict(state) for path, state in self.files.items()})

    def write_regions(self) -> None:
        """Write the regions to simulate, best first."""
        flagged = [record for record in self.frames.values() if record.region is not None]
        rows: list[dict[str, Any]] = [
            {
                "movie": record.movie,
                "path": record.path,
                "frame": record.frame,
                "atoms": str(self.atoms_path(record.movie, record.frame).relative_to(self.folder.resolve())),
                **asdict(record.region),  # type: ignore[arg-type]
            }
            for record in flagged
        ]
        write_json(self.folder / "regions.json", sorted(rows, key=lambda row: -row["score"]))

    def _read(self) -> Iterator[FrameRecord]:
        for path in sorted(self.folder.glob("atoms/*/frame-*.parquet")):
            with suppress(AtomTableError, KeyError, TypeError):
                found = read_metadata(path)
                origin = {key: found.pop(key) for key in self._origin}
                region = found.pop("region")
                if origin == self._origin:
                    yield FrameRecord(**found, region=None if region is None else FlaggedRegion(**region))
