"""A study of defect kinetics from end to end: observe movies, count, estimate, test, write.

What is seen in a movie is written as soon as it is known, and read instead of seen again when the study goes on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hpcstem.atoms import AtomTable
from hpcstem.config import checked
from hpcstem.errors import HpcstemError
from hpcstem.files import read_json, write_json
from hpcstem.frames import open_movie
from hpcstem.kinetics.chain_tests import (
    ChainTest,
    ChapmanKolmogorov,
    chapman_kolmogorov,
    detailed_balance,
    independence,
    memory,
)
from hpcstem.kinetics.counts import CountTransitions, TransitionCounts
from hpcstem.kinetics.diffusion import Diffusion, SumDisplacements, diffusion
from hpcstem.kinetics.images import with_images
from hpcstem.kinetics.library import BuildLibrary, LibraryEntry
from hpcstem.kinetics.lifetimes import CountDwells, DwellCounts, Lifetime, lifetimes
from hpcstem.kinetics.matrix import TransitionMatrix, transition_matrix
from hpcstem.kinetics.observation import Observation, observe, read_observation, write_observation
from hpcstem.kinetics.rates import Rates, rates
from hpcstem.kinetics.reversible import connected_states, reversible_transition_matrix
from hpcstem.kinetics.simulated_defects import simulate_defects
from hpcstem.kinetics.study_config import MovieConfig, StudyConfig
from hpcstem.kinetics.trajectory import OTHER, ClassTrajectory, LabelledTrack, class_trajectories, frequent_classes

_ALIKE = 1.01
"""Frame times that differ by less than this factor are counted together."""

RunAnalysis = Callable[["ObserveMovies", Sequence[int]], Observation]
"""Runs the analysis over the numbers of the movies, as an executor does."""


@dataclass(frozen=True)
class ObserveMovies:
    """Analysis that observes the movies of a study: a batch is the number of one.

    Parameters
    ----------
    config
        The study.
    out
        Folder of the study; what was seen is kept there, one file per movie.
    """

    config: StudyConfig
    out: Path

    def process(self, batch: int) -> Observation:
        """Observe one movie, or read what was seen in it."""
        if not _movie_file(self.out, batch).exists():
            write_observation(_movie_file(self.out, batch), self._observed(batch))
        return _read(self.config, self.out, batch)

    def merge(self, left: Observation, right: Observation) -> Observation:
        """Join what was seen in two runs of movies."""
        return left + right

    def finish(self, partial: Observation) -> Observation:
        """Return what was seen in all."""
        return partial

    def _observed(self, number: int) -> Observation:
        config = self.config
        if config.simulate is not None:
            seed = np.random.SeedSequence([config.seed, 0]).spawn(number + 1)[number]
            recipe = config.simulate.movie
            matrix = np.array(config.simulate.matrix)
            movie = simulate_defects(f"{config.name}-{number:05d}", matrix, recipe, seed)
            return observe(movie, config.observe, (recipe.field_A, recipe.field_A))
        table = AtomTable.read(config.movies[number].atoms)
        names = np.unique(table.movie)
        if len(names) > 1:
            raise HpcstemError(f"{config.movies[number].atoms}", f"{len(names)} movies", "one entry for each movie")
        return self._with_frames(table, config.movies[number])

    def _with_frames(self, table: AtomTable, movie: MovieConfig) -> Observation:
        config = self.config
        if movie.frames is None or not len(table):
            return observe(table, config.observe)
        frames = open_movie(movie.frames, dataset=movie.dataset)
        # The calibration of the atoms may have changed what the file says.
        farthest = int(table.x_px.argmax())
        pixel_size_A = float(table.x_A[farthest] / table.x_px[farthest])
        found = observe(table, config.observe, (frames.shape[1] * pixel_size_A, frames.shape[0] * pixel_size_A))

        def frame(k: int) -> np.ndarray:
            return frames.read(k, k + 1)[0]

        return replace(found, seen=tuple(with_images(found.seen, frame, pixel_size_A, config.image_half_width_A)))


@dataclass(frozen=True, eq=False)
class ChainResult:
    """What the movies of one frame time show.

    Parameters
    ----------
    frame_time_s
        Time from one frame to the next [s].
    counts
        Pooled counts at each lag.
    matrices
        Posterior with independent rows at each lag.
    reversible
        Posterior under detailed balance at the first lag; None where no two states lead to each other.
    tests
        Of independence, memory and detailed balance, at the first lag.
    chapman_kolmogorov
        For each lag but the first.
    dwells, lifetimes
        Dwells of each state and its lifetime [frames].
    diffusion
        Of all defects, under the name `all`, and of each state in which enough steps were seen.
    """

    frame_time_s: float
    counts: tuple[TransitionCounts, ...]
    matrices: tuple[TransitionMatrix, ...]
    reversible: TransitionMatrix | None
    tests: tuple[ChainTest, ...]
    chapman_kolmogorov: tuple[ChapmanKolmogorov, ...]
    dwells: DwellCounts
    lifetimes: tuple[Lifetime, ...]
    diffusion: dict[str, Diffusion]


@dataclass(frozen=True, eq=False)
class StudyResult:
    """What a study found.

    Parameters
    ----------
    classes
        Names of the states, the same for all movies.
    chains
        What the movies of each frame time show, the shortest first.
    rates
        Rates of the movies of all frame times together, or why they cannot be told; None where there is one frame time.
    library
        Every structure, most frequent first.
    """

    classes: tuple[str, ...]
    chains: tuple[ChainResult, ...]
    rates: Rates | str | None
    library: tuple[LibraryEntry, ...]


def observe_movies(config: StudyConfig, out: Path, run: RunAnalysis) -> Observation:
    """Observe all movies of a study that were not observed before.

    Parameters
    ----------
    config
        The study.
    out
        Its folder.
    run
        Runs an analysis over batches, as `hpcstem.execution.Executor.run` does.

    Raises
    ------
    HpcstemError
        The folder is that of another study.
    """
    fingerprint = {"study": config.model_dump(mode="json"), "sha256": _digest(config)}
    record = out / "study.json"
    if record.exists() and read_json(record).get("sha256") != fingerprint["sha256"]:
        raise HpcstemError(f"folder {out}", "results of another study, or of other settings", "a folder of its own")
    write_json(record, fingerprint)
    return run(ObserveMovies(config, out), range(config.n_movies))


def read_study(out: Path) -> tuple[StudyConfig, Observation]:
    """Read the settings of a finished study from its folder, and what was seen in its movies.

    Raises
    ------
    HpcstemError
        It is no such folder, or a movie has not been observed.
    """
    record = read_json(out / "study.json") if (out / "study.json").exists() else None
    if not isinstance(record, dict) or "study" not in record:
        raise HpcstemError(f"{out / 'study.json'}", "no settings", "a folder that `hpcstem kinetics run` wrote")
    config = checked(StudyConfig, record["study"], str(out / "study.json"))
    parts = [_read(config, out, number) for number in range(config.n_movies)]
    return config, sum(parts, Observation((), ()))


def analyse(config: StudyConfig, found: Observation) -> StudyResult:
    """Count, estimate and test.

    Raises
    ------
    HpcstemError
        No class was seen often enough, or an absorbing class is not among them or was left.
    """
    classes = frequent_classes(found.tracks, config.min_count)
    if not classes:
        raise HpcstemError(
            "defects", f"{len(found.seen)}, no class seen {config.min_count} times", "more frames, or less `min_count`"
        )
    if any(name not in classes for track in found.tracks for name in track.label.tolist()):
        classes.append(OTHER)
    unknown = [name for name in config.absorbing if name not in classes]
    if unknown:
        raise HpcstemError("absorbing class", unknown[0], f"one of {', '.join(classes)}")
    absorbing = [classes.index(name) for name in config.absorbing]
    groups = _by_frame_time(found.tracks, config.frame_time_s)
    chains = [
        _chain(config, classes, absorbing, group, np.random.SeedSequence([config.seed, 1, number]))
        for number, group in enumerate(groups)
    ]
    library = BuildLibrary(config.tolerance_A)
    return StudyResult(
        tuple(classes),
        tuple(chains),
        _rates(chains, absorbing, np.random.SeedSequence([config.seed, 2])),
        tuple(library.finish(library.process(found.seen))),
    )


def _by_frame_time(tracks: Sequence[LabelledTrack], frame_time_s: float) -> list[list[LabelledTrack]]:
    """Tracks of movies with frame times that are as good as one, the shortest first, each with its frame time."""
    timed = [track if track.frame_time_s else replace(track, frame_time_s=frame_time_s) for track in tracks]
    groups: list[list[LabelledTrack]] = []
    for track in sorted(timed, key=_frame_time_s):
        if not groups or _frame_time_s(track) > _ALIKE * _frame_time_s(groups[-1][0]):
            groups.append([])
        groups[-1].append(track)
    return groups


def _frame_time_s(track: LabelledTrack) -> float:
    return track.frame_time_s or np.nan


def _chain(
    config: StudyConfig,
    classes: list[str],
    absorbing: list[int],
    tracks: list[LabelledTrack],
    seed: np.random.SeedSequence,
) -> ChainResult:
    frame_time_s = float(np.median([_frame_time_s(track) for track in tracks]))
    trajectories = class_trajectories(tracks, classes)
    matrix_seed, reversible_seed = seed.spawn(2)
    counts = [_counted(CountTransitions(len(classes), lag), trajectories) for lag in config.lags]
    seeds = matrix_seed.spawn(len(counts))
    matrices = [transition_matrix(count, seed, absorbing) for count, seed in zip(counts, seeds, strict=True)]
    connected = len(connected_states(counts[0].counts)) > 1
    dwell_counter = CountDwells(len(classes))
    dwells = dwell_counter.finish(dwell_counter.process(trajectories))
    return ChainResult(
        frame_time_s,
        tuple(counts),
        tuple(matrices),
        reversible_transition_matrix(counts[0], reversible_seed) if connected else None,
        (independence(counts[0]), memory(counts[0]), detailed_balance(counts[0])),
        tuple(chapman_kolmogorov(matrices[0], long) for long in matrices[1:]),
        dwells,
        tuple(lifetimes(dwells)),
        _diffusions(trajectories, classes, frame_time_s),
    )


def _rates(chains: Sequence[ChainResult], absorbing: list[int], seed: np.random.SeedSequence) -> Rates | str | None:
    if len(chains) < 2:
        return None
    try:
        return rates([chain.counts[0] for chain in chains], [chain.frame_time_s for chain in chains], seed, absorbing)
    except HpcstemError as error:
        return str(error)


def _counted(analysis: CountTransitions, trajectories: list[ClassTrajectory]) -> TransitionCounts:
    return analysis.finish(analysis.process(trajectories))


def _diffusions(trajectories: list[ClassTrajectory], classes: list[str], frame_time_s: float) -> dict[str, Diffusion]:
    found = {}
    for name, state in [("all", None), *((name, k) for k, name in enumerate(classes))]:
        sums = SumDisplacements(state).process(trajectories)
        if sums.sums[:, 1].sum() >= 2:
            found[name] = diffusion(sums, frame_time_s)
    return found


def _read(config: StudyConfig, out: Path, number: int) -> Observation:
    """What was seen in a movie, with its frame time."""
    found = read_observation(_movie_file(out, number))
    frame_time_s = config.movies[number].frame_time_s if config.movies else None
    return replace(found, tracks=tuple(replace(track, frame_time_s=frame_time_s) for track in found.tracks))


def _movie_file(out: Path, number: int) -> Path:
    return out / "movies" / f"movie-{number:05d}.npz"


def _digest(config: StudyConfig) -> str:
    return hashlib.sha256(config.model_dump_json().encode()).hexdigest()
