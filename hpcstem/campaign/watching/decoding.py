"""The frames of one file that are new: decoded one by one."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hpcstem.campaign.reprocessing.survey import opened
from hpcstem.campaign.schema import MovieSection
from hpcstem.campaign.watching.records import FlaggedRegion, FrameRecord, Records
from hpcstem.errors import StructureError
from hpcstem.frames import plan_chunks

if TYPE_CHECKING:
    from hpcstem.atoms import AtomTable
    from hpcstem.frames import Movie
    from hpcstem.segmentation import Ensemble
    from hpcstem.segmentation.reference import Reference

_BLOCK_BYTES = 64_000_000


@dataclass(frozen=True)
class Shown:
    """A frame for the report.

    Parameters
    ----------
    image
        With shape (rows, columns), float32.
    atoms
        Its atoms.
    record
        What is known of it.
    """

    image: np.ndarray
    atoms: AtomTable
    record: FrameRecord


class FrameDecoder:
    """Decodes the frames of files that are not decoded yet.

    Parameters
    ----------
    records
        What is decoded, and where it goes.
    ensemble
        The networks.
    reference
        What their training images look like; None where that is not known.
    refine
        As in `hpcstem.segmentation.decode_frame`.
    region_size_A
        Side of the regions to simulate [Å].
    started_s
        When the watch began, in seconds since the epoch: older files have no latency.
    on_frame
        Called after each frame.
    """

    def __init__(
        self,
        records: Records,
        ensemble: Ensemble,
        reference: Reference | None,
        refine: bool,
        region_size_A: float,
        started_s: float,
        on_frame: Callable[[FrameRecord], None],
    ) -> None:
        self._records, self._ensemble, self._reference, self._refine = records, ensemble, reference, refine
        self._region_size_A, self._started_s, self._on_frame = region_size_A, started_s, on_frame
        self.last: Shown | None = None

    def decode_new(
        self, section: MovieSection, movie: str, state: tuple[int, int], stop: Callable[[], bool]
    ) -> tuple[int, list[list[int | str]]] | None:
        """Decode the frames whose pixels are not those of a frame decoded before.

        Parameters
        ----------
        section
            The file, and what is known of it from elsewhere.
        movie
            Key that the atoms carry.
        state
            Size [byte] and time of change [ns] of the file.
        stop
            Says whether to stop after the present frame.

        Returns
        -------
        tuple of int and list, or None
            Frames decoded now and before; index and kind of those that are broken or not there yet. None when stopped.

        Raises
        ------
        MovieError
            The file does not open, or its pixel size is unknown.
        """
        found = opened(section)
        self._records.forget_beyond(movie, found.n_frames)
        n_good = 0
        faults: list[list[int | str]] = []
        for block in plan_chunks(found, _BLOCK_BYTES):
            images, indices, bad = found.read_checked(block.start, block.stop)
            faults += [[fault.frame, fault.kind.value] for fault in bad]
            for image, index in zip(images, indices.tolist(), strict=True):
                if stop():
                    return None
                self._decode(found, movie, state, image, index)
                n_good += 1
        return n_good, faults

    def _decode(self, found: Movie, movie: str, state: tuple[int, int], image: np.ndarray, index: int) -> None:
        from hpcstem.segmentation import decode
        from hpcstem.structure.defects import defects_of_frame

        digest = hashlib.sha256(repr(image.shape).encode() + image.tobytes()).hexdigest()
        pixel_size_A = found.require_pixel_size()
        before = self._records.frames.get((movie, index))
        if before is not None and (before.frame_sha256, before.pixel_size_A) == (digest, pixel_size_A):
            return
        begun_s = time.monotonic()
        atoms = decode(image[None], pixel_size_A, self._ensemble, movie, np.array([index]), refine=self._refine)
        decode_s = time.monotonic() - begun_s
        field_A = (image.shape[1] * pixel_size_A, image.shape[0] * pixel_size_A)
        defects = Counter(defect.kind.value for defect in defects_of_frame(atoms, field_A)) if len(atoms) else Counter()
        closed_s = state[1] * 1e-9
        record = FrameRecord(
            movie=movie,
            path=str(found.path),
            frame=index,
            frame_sha256=digest,
            n_bytes=state[0],
            mtime_ns=state[1],
            pixel_size_A=pixel_size_A,
            frame_time_s=found.metadata.frame_time_s,
            decode_s=decode_s,
            latency_s=time.time() - closed_s if closed_s >= self._started_s else None,
            n_atoms=dict(sorted(Counter(atoms.species.tolist()).items())),
            defects=dict(sorted(defects.items())),
            region=self._region(atoms) if defects else None,
            survey=atoms.metadata["frames"][0],
            likeness=self._likeness(image, pixel_size_A),
        )
        self._records.add(record, atoms)
        self.last = Shown(image, atoms, record)
        self._on_frame(record)

    def _likeness(self, image: np.ndarray, pixel_size_A: float) -> dict[str, Any] | None:
        from hpcstem.segmentation.reference import frame_likeness

        if self._reference is None:
            return None
        return asdict(frame_likeness(image, pixel_size_A, self._ensemble, self._reference))

    def _region(self, atoms: AtomTable) -> FlaggedRegion | None:
        from hpcstem.structure.regions import Choice, select_region

        try:
            region = select_region(atoms, Choice.DEFECT, self._region_size_A)
        except StructureError:  # no defect fits, or the frame is smaller
            return None
        return FlaggedRegion(
            [float(x) for x in region.centre_A], region.size_A, region.score, region.reason, len(region.atoms)
        )
