"""Members of an ensemble that stand apart from the others on a movie: artefacts of their training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hpcstem.segmentation.inference import ProbabilityMaps
from hpcstem.segmentation.locate import locate

_FEWEST_MEMBERS = 3
_OUTLIER = 5.0
_COUNT_FLOOR, _DISTANCE_FLOOR, _LOSS_FLOOR = 0.01, 0.2, 0.1
"""Least spread, as shares of the median: members nearly alike are not outliers of each other."""


@dataclass(frozen=True)
class MemberCheck:
    """One member, measured on sample frames of a movie.

    Parameters
    ----------
    name
        Its file.
    n_atoms
        Atoms that it finds by itself.
    distance
        Mean absolute difference of its probability of an atom from the median member's, over the pixels where that
        one sees atoms.
    final_loss
        Cross-entropy at the end of its training; None where that is not known.
    reasons
        Why it is left out; empty where it is kept.
    """

    name: str
    n_atoms: int
    distance: float
    final_loss: float | None
    reasons: tuple[str, ...]


def check_members(
    maps: Sequence[ProbabilityMaps],
    names: Sequence[str],
    atom_radius_A: float,
    final_losses: Sequence[float | None],
) -> tuple[MemberCheck, ...]:
    """Measure each member against the median of all.

    A member is left out where its number of atoms is far from the median, or its distance or loss far above it: by
    more than five times the spread of the members, a robust one, and never less than five times a small share of the
    median itself. Two members have no majority, and are kept.

    Parameters
    ----------
    maps
        What the ensemble sees in some frames.
    names
        Of the members.
    atom_radius_A
        Radius of the discs that the networks were trained on [Å].
    final_losses
        Of the members; None where not known.
    """
    n_atoms, distances = np.zeros(len(names)), np.zeros(len(names))
    for one in maps:
        median = np.median(one.atom, axis=0)
        cover = max(float((median > 0.5).sum()), 1.0)
        distances += np.abs(one.atom - median).sum(axis=(1, 2)) / cover / len(maps)
        for i, atom in enumerate(one.atom):
            alone = ProbabilityMaps(np.stack([1 - atom, atom]), atom[None], one.pixel_size_A)
            n_atoms[i] += len(locate(alone, atom_radius_A).positions_px)
    losses = np.array([np.nan if loss is None else loss for loss in final_losses])
    reasons: list[list[str]] = [[] for _ in names]
    if len(names) >= _FEWEST_MEMBERS:
        for i in np.flatnonzero(np.abs(_deviation(n_atoms, _COUNT_FLOOR)) > _OUTLIER).tolist():
            reasons[i].append(f"finds {n_atoms[i]:.0f} atoms, the median member {np.median(n_atoms):.0f}")
        for i in np.flatnonzero(_deviation(distances, _DISTANCE_FLOOR) > _OUTLIER).tolist():
            reasons[i].append(f"is {distances[i]:.3f} from the median, others {np.median(distances):.3f}")
        for i in np.flatnonzero(_deviation(losses, _LOSS_FLOOR) > _OUTLIER).tolist():
            reasons[i].append(f"ended training at a loss of {losses[i]:.3g}, others at {np.nanmedian(losses):.3g}")
    return tuple(
        MemberCheck(name, int(n_atoms[i]), float(distances[i]), final_losses[i], tuple(reasons[i]))
        for i, name in enumerate(names)
    )


def _deviation(values: np.ndarray, floor: float) -> np.ndarray:
    """Deviations from the median in units of the robust spread; 0 where there is no value."""
    if np.isnan(values).all():
        return np.zeros(len(values))
    median = np.nanmedian(values)
    spread = 1.4826 * float(np.nanmedian(np.abs(values - median)))
    return np.nan_to_num((values - median) / max(spread, floor * abs(median), np.finfo(float).tiny))
