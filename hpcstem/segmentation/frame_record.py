"""What is kept of a frame besides its atoms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from hpcstem.segmentation.candidates import Candidate, Reason
from hpcstem.segmentation.cover import Cover
from hpcstem.segmentation.survey import Survey


@dataclass(frozen=True)
class FrameRecord:
    """Cover of one frame, and places in it for unknown species and defects.

    Parameters
    ----------
    movie, frame
        Which frame.
    contamination_A2, vacuum_A2
        Areas [Å²]; None where there is too little lattice to tell.
    n_obscured
        Atoms that were found under contamination and left out.
    candidates
        The places.
    """

    movie: str
    frame: int
    contamination_A2: float | None
    vacuum_A2: float | None
    n_obscured: int
    candidates: tuple[Candidate, ...]

    @classmethod
    def of(cls, movie: str, frame: int, survey: Survey, n_obscured: int) -> Self:
        """Record of a frame that was surveyed."""
        cover = survey.cover
        contamination, vacuum = (
            (None, None) if cover is None else (cover.area_A2(Cover.CONTAMINATION), cover.area_A2(Cover.VACUUM))
        )
        return cls(movie, frame, contamination, vacuum, n_obscured, survey.candidates)

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        """Record from what `dataclasses.asdict` made of one."""
        candidates = tuple(Candidate(**{**one, "reason": Reason(one["reason"])}) for one in value["candidates"])
        return cls(**{**value, "candidates": candidates})
