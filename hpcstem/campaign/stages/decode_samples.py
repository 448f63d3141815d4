"""What stage `decode` learns of a movie from a few of its frames: whether the ensemble knows such frames at all."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from hpcstem.frames import Movie
    from hpcstem.segmentation.ensemble import Ensemble
    from hpcstem.segmentation.inference import ProbabilityMaps
    from hpcstem.segmentation.members import MemberCheck
    from hpcstem.segmentation.reference import Reference

_SAMPLE_FRAMES = 3


def sample_frames(indices: np.ndarray) -> np.ndarray:
    """First, middle and last of some frames."""
    unique = np.unique(indices)
    chosen = np.unique(np.linspace(0, len(unique) - 1, min(_SAMPLE_FRAMES, len(unique))).round().astype(int))
    return unique[chosen]


@dataclass(frozen=True)
class MovieSample:
    """A few frames of a movie as the whole ensemble sees them.

    Parameters
    ----------
    movie
        The movie.
    model
        Folder of the ensemble.
    ensemble
        All its members.
    """

    movie: Movie
    model: Path
    ensemble: Ensemble

    @cached_property
    def frames(self) -> dict[int, np.ndarray]:
        """First, middle and last whole frame by index, each with shape (rows, columns)."""
        whole = {}
        for index in sample_frames(np.arange(self.movie.n_frames)).tolist():
            frames, _, _ = self.movie.read_checked(index, index + 1)
            if len(frames):
                whole[index] = frames[0]
        return whole

    @cached_property
    def maps(self) -> dict[int, ProbabilityMaps]:
        """What all members see in them."""
        from hpcstem.segmentation.inference import predict

        pixel_size_A = self.movie.require_pixel_size()
        return {index: predict(frame, pixel_size_A, self.ensemble) for index, frame in self.frames.items()}

    @cached_property
    def members(self) -> tuple[MemberCheck, ...]:
        """The members against each other."""
        from hpcstem.segmentation.ensemble import final_losses
        from hpcstem.segmentation.members import check_members

        card = self.ensemble.card
        return check_members(list(self.maps.values()), card.members, card.atom_radius_A, final_losses(self.model, card))

    @property
    def agreeing(self) -> tuple[str, ...]:
        """Names of the members that do not stand apart from the others."""
        return tuple(member.name for member in self.members if not member.reasons)

    def record(self, reference: Reference | None) -> dict[str, Any]:
        """What `decode/decode.json` says of the movie, compared with the training images where they are known."""
        from hpcstem.campaign.lattice_hint import pixel_size_hint
        from hpcstem.segmentation.reference import likeness

        found: dict[str, Any] = {
            "name": self.movie.name,
            "members": [asdict(member) for member in self.members],
            "out_of_distribution": None,
        }
        if reference is not None and self.frames:
            pixel_size_A = self.movie.require_pixel_size()
            frames = [(frame, pixel_size_A, self.maps[index]) for index, frame in self.frames.items()]
            compared = likeness(frames, self.ensemble.card, reference)
            found["out_of_distribution"] = {
                "score": compared.score,
                "flagged": compared.out_of_distribution,
                "frames": list(self.frames),
                "reasons": [{"statistic": name, "deviation": deviation} for name, deviation in compared.reasons],
                "hint": pixel_size_hint(self.movie) if compared.out_of_distribution else None,
            }
        return found
