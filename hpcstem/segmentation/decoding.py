"""Frames in, atoms out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace

import numpy as np

from hpcstem.atoms import NO_TRACK, AtomTable
from hpcstem.errors import MovieError
from hpcstem.imaging.resample import to_pixels
from hpcstem.segmentation.ensemble import Ensemble, EnsembleCard
from hpcstem.segmentation.frame_fit import begin_fit
from hpcstem.segmentation.frame_record import FrameRecord
from hpcstem.segmentation.inference import prepared
from hpcstem.segmentation.locate import Blobs
from hpcstem.segmentation.refine import finish_fit
from hpcstem.segmentation.survey import Survey, survey_frame
from hpcstem.segmentation.tiles import find_blobs

_SMALLEST_FIELD_A = 4.0


@dataclass(frozen=True)
class DecodedFrame:
    """Atoms of one frame.

    Parameters
    ----------
    positions_px
        (x, y) in the frame [px], with shape (n, 2), float64.
    positions_A
        The same [Å].
    species
        Symbols, with shape (n,).
    probability, detection
        As in `hpcstem.atoms.AtomTable`, with shape (n,).
    spread_A
        Standard deviation per axis of the members' positions [Å], with shape (n,).
    sigma_A
        Standard uncertainty of the position per axis [Å], with shape (n,).
    survey
        What the frame shows besides these atoms.
    n_obscured
        Atoms found under contamination, and left out of the above.
    """

    positions_px: np.ndarray
    positions_A: np.ndarray
    species: np.ndarray
    probability: np.ndarray
    detection: np.ndarray
    spread_A: np.ndarray
    sigma_A: np.ndarray
    survey: Survey
    n_obscured: int


def decode_frame(frame: np.ndarray, pixel_size_A: float, ensemble: Ensemble, *, refine: bool = True) -> DecodedFrame:
    """Find the atoms of one frame with shape (rows, columns), see `decode_frames`."""
    return next(decode_frames(frame[None], pixel_size_A, ensemble, refine=refine))


def decode_frames(
    frames: np.ndarray, pixel_size_A: float, ensemble: Ensemble, *, refine: bool = True
) -> Iterator[DecodedFrame]:
    """Find the atoms of frames; those under contamination are left out.

    Parameters
    ----------
    frames
        With shape (n, rows, columns), finite.
    pixel_size_A
        Pixel size of the frames [Å].
    ensemble
        The networks.
    refine
        Fit the positions to the frame, see `hpcstem.segmentation.refine`; otherwise they are the networks' own, which
        scatter less where counts are few, and draw an atom out of place back to its lattice site.

    Yields
    ------
    DecodedFrame
        Of each frame in turn.

    Raises
    ------
    MovieError
        The field is too small to hold a ring of atoms, which mostly means a wrong pixel size.
    """
    field_A = min(frames.shape[1:]) * pixel_size_A
    if field_A < _SMALLEST_FIELD_A:
        raise MovieError(
            f"field of {field_A:.2f} Å at {pixel_size_A} Å per pixel", wanted=f"at least {_SMALLEST_FIELD_A} Å"
        )
    found = find_blobs(prepared(frames, pixel_size_A, ensemble), ensemble)
    for frame, (blobs, spread) in zip(frames, found, strict=True):
        yield _decoded(frame, pixel_size_A, blobs, spread, ensemble.card, refine=refine)


def _decoded(
    frame: np.ndarray,
    pixel_size_A: float,
    blobs: Blobs,
    spread: np.ndarray,
    card: EnsembleCard,
    *,
    refine: bool,
) -> DecodedFrame:
    """One frame, from what the networks see in it."""
    spread_A = blobs.spread_px * card.pixel_size_A
    positions_px = to_pixels(blobs.positions_px, card.pixel_size_A, pixel_size_A)
    species = np.array(card.classes)[blobs.classes]
    sigma_A = np.hypot(card.sigma_floor_A, card.sigma_scale * spread_A)
    fit = begin_fit(frame, pixel_size_A, positions_px, species)
    survey = survey_frame(fit, species, spread, card.pixel_size_A, card.atom_radius_A)
    if refine:
        refined = finish_fit(fit, pixel_size_A, positions_px, species, sigma_A / pixel_size_A)
        positions_px, sigma_A = refined.positions_px, refined.sigma_px * pixel_size_A
    clear = ~survey.obscured(positions_px * pixel_size_A)
    probability = blobs.probability if card.confidence is None else card.confidence.chance(blobs.probability)
    return DecodedFrame(
        positions_px=positions_px[clear],
        positions_A=positions_px[clear] * pixel_size_A,
        species=species[clear],
        probability=probability[clear],
        detection=blobs.detection[clear],
        spread_A=spread_A[clear],
        sigma_A=sigma_A[clear],
        survey=survey,
        n_obscured=int((~clear).sum()),
    )


def decode(
    frames: np.ndarray,
    pixel_size_A: float,
    ensemble: Ensemble,
    movie: str = "movie",
    frame_indices: np.ndarray | None = None,
    *,
    refine: bool = True,
) -> AtomTable:
    """Find the atoms of many frames.

    Parameters
    ----------
    frames
        With shape (n, rows, columns), finite.
    pixel_size_A
        Pixel size [Å].
    ensemble
        The networks.
    movie
        Name that the rows carry.
    frame_indices
        Indices that the frames carry, with shape (n,); 0, 1, 2 … by default.
    refine
        As in `decode_frames`.

    Returns
    -------
    AtomTable
        With a `FrameRecord` of each frame, as a dictionary, under `frames` of its metadata.
    """
    indices = np.arange(len(frames)) if frame_indices is None else np.asarray(frame_indices)
    tables, records = [], []
    for index, found in zip(indices, decode_frames(frames, pixel_size_A, ensemble, refine=refine), strict=True):
        n = len(found.species)
        records.append(asdict(FrameRecord.of(movie, int(index), found.survey, found.n_obscured)))
        tables.append(
            AtomTable(
                movie=np.full(n, movie),
                frame=np.full(n, index),
                x_px=found.positions_px[:, 0],
                y_px=found.positions_px[:, 1],
                x_A=found.positions_A[:, 0],
                y_A=found.positions_A[:, 1],
                species=found.species,
                probability=found.probability,
                detection=found.detection,
                sigma_A=found.sigma_A,
                track=np.full(n, NO_TRACK),
            )
        )
    return replace(AtomTable.concatenate(tables), metadata={"frames": records})
